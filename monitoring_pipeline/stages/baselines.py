"""Which earlier windows a window is compared with."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from monitoring_pipeline.monitors.declaration import PREVIOUS_WITHIN, SEASONS
from monitoring_pipeline.windows import Window

USUAL_WEEKS = 8  # weeks that the usual volume of an hour or day of the week is taken from


def windows_before(baseline: str, window: Window) -> Iterator[timedelta]:
    """How far back the windows of a baseline begin, the newest first; none for ``training``."""
    if baseline == "previous":
        yield from ((window.end - window.start) * k for k in range(1, PREVIOUS_WITHIN + 1))
    elif baseline == "seasonal":
        yield from (timedelta(weeks=k) for k in range(1, SEASONS + 1))


def usual_windows(window: Window) -> Iterator[Window]:
    """The windows at the same hour of the week whose rows make the usual volume, the newest first."""
    yield from (shifted(window, -timedelta(weeks=k)) for k in range(1, USUAL_WEEKS + 1))


def shifted(window: Window, by: timedelta) -> Window:
    """The window of the same length, moved by ``by`` (negative: back)."""
    return Window(window.start + by, window.end + by)
