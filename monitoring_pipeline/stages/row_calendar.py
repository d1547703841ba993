"""The rows of every scheduled window in order, and how they compare with what is usual."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from monitoring_pipeline.alerting import volume
from monitoring_pipeline.monitors import Monitor
from monitoring_pipeline.stages.drift_batches import number_of, start_of
from monitoring_pipeline.warehouse.window_verdict_store import TakenIn
from monitoring_pipeline.windows import WINDOWS_A_DAY, Window

MOST_WINDOWS = {"day": 730, "hour": 2_016}  # the newest ones are judged from; what is older stands
STEP = {"day": 28, "hour": 336}  # the first one moves by as many, so that it moves rarely


def calendar(
    taken_in: Sequence[TakenIn], monitor: Monitor, on_their_way: Collection[Window] = ()
) -> tuple[list[Window], list[int | None]]:
    """All windows from the first one with rows to the last one taken in, and their rows: None where a window was not
    taken in, or its rows are still ``on_their_way``."""
    size = monitor.window
    rows = {number_of(one.window.start, size): one.n_rows for one in taken_in if one.window not in on_their_way}
    filled = [number for number, n in rows.items() if n]
    if not filled:
        return [], []
    first, last = min(filled), max(rows)
    if last - first >= MOST_WINDOWS[size]:
        first = (last - MOST_WINDOWS[size]) // STEP[size] * STEP[size]
    numbers = range(first, last + 1)
    windows = [Window(start_of(n, size), start_of(n + 1, size)) for n in numbers]
    return windows, [rows.get(n) for n in numbers]


def volume_tests(
    monitor: Monitor, windows: Sequence[Window], rows: Sequence[int | None],
    before: NDArray[np.float64] | None = None,
) -> tuple[NDArray[np.int64], volume.VolumeTests]:  # fmt: skip
    """(1, T) rows of these consecutive windows, and their tests. A window that was not taken in is not empty: nothing
    is known of it. ``before`` (1, R, K): states of the first R windows, which are not judged again."""
    alarms = monitor.alarms
    settings = volume.VolumeSettings.declared(alarms.volume, WINDOWS_A_DAY[monitor.window])
    days = [window.start.date() for window in windows]
    counts = np.array([[n or 0 for n in rows]])
    tests = volume.judge(
        counts, settings, holidays=np.array([int(day in alarms.holidays) for day in days]) if alarms.holidays else None,
        origin=number_of(windows[0].start, monitor.window), known=np.array([[n is not None for n in rows]]),
        accepted=[days.index(day) for day in alarms.volume.accepted if day in days], before=before,
    )  # fmt: skip
    return counts, tests
