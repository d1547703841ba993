"""Which earlier windows a window is compared with."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta

from monitoring_pipeline.monitors.declaration import PREVIOUS_WITHIN, SEASONS, NamedBaseline
from monitoring_pipeline.windows import Window

USUAL_WEEKS = 8  # weeks that the usual volume of an hour or day of the week is taken from


Baseline = str | NamedBaseline


def windows_before(baseline: Baseline, window: Window) -> Iterator[timedelta]:
    """How far back the windows of a baseline begin, the newest first; none for ``training``.

    Of a named span: those of its windows that begin before ``window``.
    """
    length = window.end - window.start
    if isinstance(baseline, NamedBaseline):
        first, last = _span(baseline, window)
        steps = (last - first) // length
        starts = (first + length * k for k in range(steps - 1, -1, -1))
        yield from (window.start - start for start in starts if start < window.start)
    elif baseline == "previous":
        yield from (length * k for k in range(1, PREVIOUS_WITHIN + 1))
    elif baseline == "seasonal":
        yield from (timedelta(weeks=k) for k in range(1, SEASONS + 1))


def _span(baseline: NamedBaseline, window: Window) -> tuple[datetime, datetime]:
    """First moment of the span and the first one after it, in UTC."""
    if baseline.from_ is not None and baseline.to is not None:
        return _midnight(baseline.from_), _midnight(baseline.to)
    year, month = window.start.year - (baseline.years_ago or 1), window.start.month
    return _midnight(date(year, month, 1)), _midnight(date(year + month // 12, month % 12 + 1, 1))


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def usual_windows(window: Window) -> Iterator[Window]:
    """The windows at the same hour of the week whose rows make the usual volume, the newest first."""
    yield from (shifted(window, -timedelta(weeks=k)) for k in range(1, USUAL_WEEKS + 1))


def shifted(window: Window, by: timedelta) -> Window:
    """The window of the same length, moved by ``by`` (negative: back)."""
    return Window(window.start + by, window.end + by)
