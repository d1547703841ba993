"""K of the last m windows: what shows in one window alone may be an accident."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from monitoring_pipeline.monitors.retraining import Persistence

T = TypeVar("T")


def showing(windows: Sequence[T], shows: Callable[[T], bool], persistence: Persistence) -> list[T]:
    """Those of the newest ``of`` windows that show it."""
    return [window for window in windows[-persistence.of :] if shows(window)]


def said(shown: Sequence[object], persistence: Persistence, of_what: str) -> str:
    """The count in words, such as ``2 of the last 3 mature windows, 2 are needed``."""
    last = f"the last {persistence.of} {of_what}s" if persistence.of > 1 else f"the newest {of_what}"
    needed = f", {persistence.windows} are needed" if persistence.of > 1 else ""
    return f"{len(shown)} of {last}{needed}"
