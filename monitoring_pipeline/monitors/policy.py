"""A policy file: thresholds and label rules to try in place of a monitor's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML

from monitoring_pipeline.errors import DeclarationError
from monitoring_pipeline.monitors.declaration import Monitor
from monitoring_pipeline.monitors.loading import line_of

PARTS = ("thresholds", "alarms", "labels")
"""What of a declaration verdicts depend on, and a policy file may hold."""
RETRAIN_PARTS = ("retrain",)
"""What a policy file holds to try another way of retraining."""
REPLACED = ("when", "trainer", "estimator")
"""Keys of ``retrain`` of which the file's value takes the place of the declared one as a whole."""


def with_policy(monitor: Monitor, path: Path, parts: Sequence[str] = PARTS) -> Monitor:
    """``monitor`` with those ``parts`` that the file holds; what the file does not name stays as declared.

    Raises DeclarationError that names the file, the line and the key.
    """
    policy = _read(path, parts)
    declared = monitor.model_dump(exclude_unset=True, by_alias=True)
    merged = {**declared, "base_dir": monitor.base_dir}
    for part, given in policy.items():
        own = dict(declared.get(part, {}))
        if part == "retrain":
            own = {key: value for key, value in own.items() if not _is_replaced(key, given)}
        merged[part] = _merged(own, given)
    try:
        return Monitor.model_validate(merged)
    except ValidationError as error:
        found = [(tuple(item["loc"]), item["msg"]) for item in error.errors()]
        lines = [f"{path}:{line_of(path, loc)}: {'.'.join(map(str, loc))}: {message}" for loc, message in found]
        raise DeclarationError("\n".join(lines)) from error


def _is_replaced(key: str, given: Mapping[str, Any]) -> bool:
    """Whether the file says otherwise: its trainer replaces a declared estimator too."""
    what_trains = {"trainer", "estimator"}
    return key in REPLACED and (key in given or (key in what_trains and bool(what_trains & set(given))))


def _read(path: Path, parts: Sequence[str]) -> Mapping[str, Any]:
    try:
        policy = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DeclarationError(f"{path}: cannot be read: {error.strerror}") from error
    except Exception as error:  # the YAML reader raises KeyError and IndexError too
        said = next(iter(str(error).splitlines()), type(error).__name__)
        raise DeclarationError(f"{path}: is not YAML: {said}; check indentation, colons and quotes") from error
    if not isinstance(policy, dict) or not policy:
        raise DeclarationError(f"{path}: must be a mapping with the keys {' and '.join(parts)}, as in a monitor's file")
    for key, given in policy.items():
        if key not in parts:
            raise DeclarationError(
                f"{path}:{line_of(path, (key,))}: {key}: not part of a policy; write {' or '.join(parts)}"
            )
        if not isinstance(given, dict):
            raise DeclarationError(f"{path}:{line_of(path, (key,))}: {key}: must be a mapping, as in a monitor's file")
    return policy


def _merged(declared: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """``given`` over ``declared``, key by key at every depth."""
    out = dict(declared)
    for key, value in given.items():
        before = out.get(key)
        out[key] = _merged(before, value) if isinstance(before, Mapping) and isinstance(value, Mapping) else value
    return out
