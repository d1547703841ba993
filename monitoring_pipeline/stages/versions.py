"""Which reference a model version is judged by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

from monitoring_pipeline.errors import WindowError
from monitoring_pipeline.monitors import Monitor

T = TypeVar("T")


def reference_version(monitor: Monitor, version: str, known: Iterable[str]) -> str:
    """The version's own reference; for a version that has none, the declared one. Raises WindowError without any."""
    versions = set(known)
    for candidate in (version, monitor.reference.model_version, *sorted(versions)[-1:]):
        if candidate in versions:
            return candidate
    raise WindowError(f"{monitor.name} has no reference profile yet; materialize {monitor.name}/reference first")


def by_version(monitor: Monitor, versions: Iterable[str], known: Mapping[str, T]) -> dict[str, T]:
    """What each of these model versions is judged by."""
    return {version: known[reference_version(monitor, version, known)] for version in versions}
