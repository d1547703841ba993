"""Which windows make a rollup: weeks, months and quarters in UTC, and trailing windows that hold a number of rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from monitoring_pipeline.monitors import Monitor
from monitoring_pipeline.monitors.declaration import LONGEST_SPAN, RowsRollup, rollup_name
from monitoring_pipeline.windows import LENGTH, Window

MONTHS = {"month": 1, "quarter": 3}
Taken = tuple[Window, int]  # a window that was taken in, and its rows


@dataclass(frozen=True)
class Span:
    """One rollup: ``windows`` that were taken in, in order, and those of the rollup ``before`` it.

    ``partial``: a window of it was not taken in, or is still to come; of trailing windows, too, that they hold fewer
    rows than asked for.
    """

    size: str
    window: Window
    windows: tuple[Window, ...]
    before: tuple[Window, ...]
    partial: bool


def spans(monitor: Monitor, taken: Sequence[Taken]) -> list[Span]:
    """Every rollup that holds a row, by declaration and in order of time. ``taken`` in order of time."""
    found: list[Span] = []
    for rollup in monitor.rollups:
        made = _trailing(monitor, rollup, taken) if isinstance(rollup, RowsRollup) else _periods(monitor, rollup, taken)
        found += made
    return found


def period_of(moment: datetime, size: str) -> Window:
    """The ISO week, month or quarter in UTC that holds ``moment``."""
    day = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    if size == "week":
        start = day - timedelta(days=day.weekday())
        return Window(start, start + timedelta(days=7))
    months = MONTHS[size]
    first = day.replace(day=1, month=(day.month - 1) // months * months + 1)
    after = first.month - 1 + months
    return Window(first, first.replace(year=first.year + after // 12, month=after % 12 + 1))


def _periods(monitor: Monitor, size: str, taken: Sequence[Taken]) -> list[Span]:
    by_period: dict[Window, list[Taken]] = {}
    for window, rows in taken:
        by_period.setdefault(period_of(window.start, size), []).append((window, rows))
    found = []
    for period, held in sorted(by_period.items()):
        if not any(rows for _, rows in held):
            continue
        windows = tuple(window for window, _ in held)
        last = by_period.get(period_of(period.start - timedelta(microseconds=1), size), [])
        due = (period.end - period.start) // LENGTH[monitor.window]
        found.append(Span(size, period, windows, tuple(window for window, _ in last), len(windows) < due))
    return found


def _trailing(monitor: Monitor, rollup: RowsRollup, taken: Sequence[Taken]) -> list[Span]:
    most, length, found = LONGEST_SPAN[monitor.window], LENGTH[monitor.window], []
    for stop in range(1, len(taken) + 1):
        first, rows = _back(taken, stop, rollup.rows, most)
        if not rows:
            continue
        windows = tuple(window for window, _ in taken[first:stop])
        hull = Window(windows[0].start, windows[-1].end)
        earlier, _ = _back(taken, first, rollup.rows, most)
        whole = rows >= rollup.rows and len(windows) == (hull.end - hull.start) // length
        before = tuple(window for window, _ in taken[earlier:first])
        found.append(Span(rollup_name(rollup), hull, windows, before, not whole))
    return found


def _back(taken: Sequence[Taken], stop: int, wanted: int, most: int) -> tuple[int, int]:
    """Position of the first of the windows before ``stop`` that together hold ``wanted`` rows, and their rows."""
    rows, first = 0, stop
    while first > 0 and rows < wanted and stop - first < most:
        first -= 1
        rows += taken[first][1]
    return first, rows
