"""Which reference a model version is judged by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

from monitoring_pipeline.errors import WindowError
from monitoring_pipeline.monitors import Monitor
from monitoring_pipeline.warehouse.profile_store import is_rotated

T = TypeVar("T")


def reference_version(monitor: Monitor, version: str, known: Mapping[str, str]) -> str:
    """The version's own reference; for a version that has none, the declared one.

    ``known``: version of each reference by model version (``profile_store.reference_versions``). What a retraining
    made stands for its own version alone: a new reference never changes what other versions are compared with. Raises
    WindowError without any.
    """
    declared = sorted(name for name, made in known.items() if not is_rotated(made))
    for candidate in (version, monitor.reference.model_version, *declared[-1:], *sorted(known)[-1:]):
        if candidate in known:
            return candidate
    raise WindowError(f"{monitor.name} has no reference profile yet; materialize {monitor.name}/reference first")


def by_version(
    monitor: Monitor, versions: Iterable[str], known: Mapping[str, T], references: Mapping[str, str]
) -> dict[str, T]:
    """What each of these model versions is judged by; ``references`` as ``known`` of ``reference_version``."""
    return {version: known[reference_version(monitor, version, references)] for version in versions}
