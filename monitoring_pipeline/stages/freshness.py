"""Verdicts on freshness: windows whose rows stay away, or stayed away, longer than is usual after a window's end.

Only windows that ended after the monitor was first run are judged: the rows of older ones were taken in at once. A
window's delay ends when its first rows are taken in, or with the first rows of a later window; while there are none it
is judged at the clock, which its row keeps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from math import log

import numpy as np
from sqlalchemy import Connection

from monitoring_pipeline.alerting.freshness import DelayTests, FreshnessSettings, gap_p, judge_delays
from monitoring_pipeline.alerting.volume import arrival_shape
from monitoring_pipeline.monitors import Monitor
from monitoring_pipeline.profiles.profile import EVERYTHING
from monitoring_pipeline.stages.alarm_levels import level_of
from monitoring_pipeline.stages.drift_batches import number_of, start_of
from monitoring_pipeline.stages.row_calendar import STEP, calendar, volume_tests
from monitoring_pipeline.warehouse import window_verdict_store as store
from monitoring_pipeline.warehouse.window_verdict_store import TakenIn, WindowVerdict
from monitoring_pipeline.windows import LENGTH, Window

COMING = "no row has come yet"
CAME = "rows came late"
MOST_DELAYS = {"day": 365, "hour": 672}
NEVER = "rows of later windows came, and none of this one"


@dataclass(frozen=True)
class Late:
    """``verdicts`` on windows whose rows are later than usual, of those that start at ``first`` or later.
    ``on_their_way``: empty windows at the end that are not late yet. ``changed``: windows with another verdict than
    before."""

    verdicts: Sequence[WindowVerdict]
    on_their_way: frozenset[Window] = frozenset()
    changed: list[Window] = field(default_factory=list)
    first: datetime | None = None


@dataclass(frozen=True)
class Delay:
    """From the end of a window until ``clock``: its first rows, those of a later one, or now."""

    window: Window
    clock: datetime
    reason: str

    @property
    def seconds(self) -> float:
        """The delay in seconds, at least 0."""
        return max((self.clock - self.window.end).total_seconds(), 0.0)


def judge_again(conn: Connection, monitor: Monitor, judgement_id: Callable[[], int], now: datetime) -> Late:
    """Writes the verdicts as of ``now``. An alarm that stands and goes on is not touched."""
    found = judged(conn, monitor, now)
    if found.first is None:
        return found
    first = found.first  # what is older stands
    if monitor.retention.verdicts is not None:
        first = max(first, now - monitor.retention.verdicts)
    standing = {start: one for start, one in store.freshness(conn, monitor.name).items() if start >= first}
    verdicts = [_kept(one, standing.get(one.window.start)) for one in found.verdicts if one.window.start >= first]
    if {one.window.start: one for one in verdicts} == standing:
        return found
    starts = store.replace(conn, monitor.name, judgement_id(), {"freshness": first}, verdicts, None)
    changed = [Window(start, start + LENGTH[monitor.window]) for start in starts]
    return replace(found, verdicts=verdicts, changed=changed)


def judged(conn: Connection, monitor: Monitor, now: datetime) -> Late:
    """The verdicts as of ``now``. Writes nothing."""
    taken = store.taken_in(conn, monitor.name)
    delays = delays_of(taken, monitor, now)
    if not delays:
        return Late([])
    length, settings = LENGTH[monitor.window].total_seconds(), FreshnessSettings.declared(monitor.alarms.freshness)
    seconds = np.array([one.seconds for one in delays])
    tests = judge_delays(seconds, length, np.zeros(len(delays)), settings)
    if (tests.p < 1).any():  # late: were rows to be expected at all?
        tests = judge_delays(seconds, length, _none(monitor, taken, delays), settings)
    empty = {one.window for one in taken if not one.n_rows}
    not_late = [one.window for one, p in zip(delays, tests.p, strict=True) if p == 1 and one.reason == COMING]
    on_their_way = frozenset(empty & set(not_late))
    verdicts = _verdicts(monitor, delays, tests, settings.floor * length)
    return Late(verdicts, on_their_way, first=delays[0].window.start)


def delays_of(taken: Sequence[TakenIn], monitor: Monitor, now: datetime) -> list[Delay]:
    """The delays of the newest windows that ended since the monitor was first run, the one that is waited for included.

    At most ``MOST_DELAYS``; the first one moves by ``STEP``, so that it moves rarely.
    """
    since = {one.window: one.rows_since for one in taken if one.rows_since is not None}
    if not since:
        return []
    size, length = monitor.window, LENGTH[monitor.window]
    begun, last = Window.at(min(since.values()), size), max(since)
    first, stop = number_of(begun.start, size), number_of(last.start, size) + 2
    if stop - first > MOST_DELAYS[size]:
        first = (stop - MOST_DELAYS[size]) // STEP[size] * STEP[size]
    found: list[Delay] = []
    later = None  # when the first rows of any later window came
    for number in range(stop - 1, first - 1, -1):
        window = Window(start_of(number, size), start_of(number, size) + length)
        came = since.get(window)
        if came is not None:
            found.append(Delay(window, came, CAME))
            later = came if later is None else min(came, later)
        elif later is not None:
            found.append(Delay(window, later, NEVER))
        elif window.end <= now and (monitor.end is None or now.date() <= monitor.end):
            found.append(Delay(window, now, COMING))
    return found[::-1]


def _none(monitor: Monitor, taken: Sequence[TakenIn], delays: Sequence[Delay]) -> np.ndarray:
    """(T,) P(no row in the whole window) as far as earlier weeks tell, else NaN: then nothing is expected."""
    windows, rows = calendar(taken, monitor)
    known = {one.window for one in delays}
    while windows[-1] < max(known):
        windows.append(Window(windows[-1].end, windows[-1].end + LENGTH[monitor.window]))
        rows.append(None)
    _, tests = volume_tests(monitor, windows, rows)
    at = {window: t for t, window in enumerate(windows)}
    where = np.array([at.get(one.window, -1) for one in delays])
    expected = np.where(where >= 0, tests.expected[0, where], np.nan)
    expected[expected < monitor.alarms.volume.least_expected] = np.nan
    length = np.array([LENGTH[monitor.window].total_seconds()])
    shape = arrival_shape(expected, tests.variance[0, where])
    return gap_p(length, float(length[0]), expected, shape)


def _verdicts(monitor: Monitor, delays: Sequence[Delay], tests: DelayTests, least: float) -> list[WindowVerdict]:
    level = level_of(monitor, "freshness")
    found = []
    for one, p, usual in zip(delays, tests.p.tolist(), tests.usual.tolist(), strict=True):
        if not p < 1:
            continue
        status = "alarm" if p <= level and level > 0 else "quiet"
        effect = log((one.seconds + least) / (usual + least))
        found.append(
            WindowVerdict(
                one.window, "freshness", "", EVERYTHING, "", status, "arrival", 1, effect, p, p, one.seconds, usual,
                "learnt", one.reason, "", None, one.clock,
            )
        )  # fmt: skip
    return found


def _kept(now: WindowVerdict, was: WindowVerdict | None) -> WindowVerdict:
    """The verdict that stands, while the same alarm goes on: each look at the clock would write it anew."""
    goes_on = was is not None and now.reason == was.reason == COMING and now.status == was.status
    return was if goes_on and was is not None else now
