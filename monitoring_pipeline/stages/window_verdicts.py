"""Verdicts on performance, volume and coverage: a fold over all windows, made again when anything changed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import numpy as np
from sqlalchemy import Connection

from monitoring_pipeline.alerting import coverage, volume
from monitoring_pipeline.alerting.performance import PerformanceSettings, causes, decide, judge
from monitoring_pipeline.alerting.policy import policy_version
from monitoring_pipeline.monitors import Monitor
from monitoring_pipeline.profiles.profile import EVERYTHING
from monitoring_pipeline.stages.alarm_levels import level_of
from monitoring_pipeline.stages.drift_batches import number_of, start_of
from monitoring_pipeline.stages.outcome_series import Series, series_of
from monitoring_pipeline.warehouse import ledger, profile_store, readers
from monitoring_pipeline.warehouse import window_verdict_store as store
from monitoring_pipeline.warehouse.window_verdict_store import WindowVerdict
from monitoring_pipeline.windows import LENGTH, Window

MOST_WINDOWS = {"day": 730, "hour": 2_016}  # the newest ones are judged from; what is older stands
STEP = {"day": 28, "hour": 336}  # the first one moves by as many, so that it moves rarely
PINS = {"roc_auc": "auc", "mae": "scale", "accuracy": "error"}  # metric with a pinned bound -> contrast it replaces


def judge_again(
    conn: Connection, monitor: Monitor, judgement_id: Callable[[], int], now: datetime
) -> list[Window]:  # fmt: skip
    """Judges all windows when anything that verdicts rest on has changed. Returns the windows with a changed one."""
    ledger.lock_verdicts(conn, monitor.name)
    found = store.inputs(conn, monitor.name, monitor.labels.max_delay, now)
    references = sorted(profile_store.reference_versions(conn, monitor.name).items())
    made_from = hashlib.sha256(f"{found} {references} {policy_version(monitor)}".encode()).hexdigest()[:16]
    if not found or store.last_inputs(conn, monitor.name) == made_from:
        return []
    windows, rows = _calendar(store.taken_in(conn, monitor.name), monitor)
    first = windows[0].start if windows else now
    if monitor.retention.verdicts is not None:
        first = max(first, now - monitor.retention.verdicts)  # what is deleted stays deleted
    verdicts = [one for one in judged(conn, monitor, windows, rows, now) if one.window.start >= first]
    starts = store.replace(conn, monitor.name, judgement_id(), first, verdicts, made_from)
    return [Window(start, start + LENGTH[monitor.window]) for start in starts]


def imagined(conn: Connection, policy: Monitor, now: datetime) -> list[WindowVerdict]:
    """The verdicts on all windows if ``policy`` had held from the first one on. Writes nothing."""
    windows, rows = _calendar(store.taken_in(conn, policy.name), policy)
    return judged(conn, policy, windows, rows, now)


def judged(
    conn: Connection, monitor: Monitor, windows: Sequence[Window], rows: Sequence[int | None], now: datetime
) -> list[WindowVerdict]:
    """Verdicts on these consecutive windows; ``rows`` of each, None where it was not taken in. Writes nothing."""
    if not windows:
        return []
    found = _volume(monitor, windows, rows)
    if monitor.ground_truth is not None:
        uncovered, of_coverage = _coverage(conn, monitor, windows, rows, now)
        found += of_coverage
        settings = PerformanceSettings().for_windows(LENGTH[monitor.window].total_seconds())
        series = series_of(conn, monitor, windows, settings, now)
        found += _performance(monitor, windows, series, settings, uncovered)
    return found


def _calendar(
    taken_in: Sequence[tuple[Window, int]], monitor: Monitor
) -> tuple[list[Window], list[int | None]]:  # fmt: skip
    """All windows from the first one with rows to the last one taken in, and their rows."""
    size, rows = monitor.window, {number_of(window.start, monitor.window): n for window, n in taken_in}
    filled = [number for number, n in rows.items() if n]
    if not filled:
        return [], []
    first, last = min(filled), max(rows)
    if last - first >= MOST_WINDOWS[size]:
        first = (last - MOST_WINDOWS[size]) // STEP[size] * STEP[size]
    numbers = range(first, last + 1)
    windows = [Window(start_of(n, size), start_of(n + 1, size)) for n in numbers]
    return windows, [rows.get(n) for n in numbers]


def _volume(
    monitor: Monitor, windows: Sequence[Window], rows: Sequence[int | None]
) -> list[WindowVerdict]:  # fmt: skip
    if "volume_ratio" in monitor.thresholds.model_fields_set:
        return []  # pinned: judged with the quality of the window
    settings = volume.VolumeSettings(windows_a_day=1 if monitor.window == "day" else 24)
    counts = np.array([[n or 0 for n in rows]])
    days = (
        np.array([int(w.start.date() in monitor.alarms.holidays) for w in windows]) if monitor.alarms.holidays else None
    )
    tests = volume.judge(counts, settings, holidays=days, origin=number_of(windows[0].start, monitor.window))
    verdicts = volume.decide(tests, level_of(monitor, "volume"))
    return [
        WindowVerdict(
            window, "volume", "", EVERYTHING, "", str(verdicts.status[0, t]), "rows", int(tests.horizon[0, t]),
            _number(tests.effect[0, t]), _number(tests.p[0, t]), _number(verdicts.q[0, t]), float(counts[0, t]),
            _number(tests.expected[0, t]), "learnt", str(verdicts.reason[0, t]), "",
        )
        for t, window in enumerate(windows) if rows[t] is not None
    ]  # fmt: skip


def _coverage(
    conn: Connection, monitor: Monitor, windows: Sequence[Window], rows: Sequence[int | None], now: datetime,
) -> tuple[np.ndarray, list[WindowVerdict]]:  # fmt: skip
    """(T,) whether coverage alarms, and the verdicts, of the labelled share once all labels are due."""
    labelled = readers.label_counts(conn, monitor.name, windows)
    counts = np.array([[float(labelled.get(window.start, 0)) for window in windows]])
    of = np.array([[float(n or 0) for n in rows]])
    due = np.array([[now >= window.end + monitor.labels.max_delay for window in windows]])
    tests = coverage.judge(counts, of, due, coverage.CoverageSettings())
    (verdicts,) = coverage.decide([tests], level_of(monitor, "coverage"))
    found = [
        WindowVerdict(
            window, "coverage", "", EVERYTHING, "", str(verdicts.status[0, t]), "labelled share", 1,
            _number(tests.share[0, t] - tests.usual[0, t]), _number(tests.p[0, t]), _number(verdicts.q[0, t]),
            _number(tests.share[0, t]), _number(tests.usual[0, t]), "learnt", str(verdicts.reason[0, t]), "",
        )
        for t, window in enumerate(windows) if rows[t]
    ]  # fmt: skip
    return verdicts.status[0] == "alarm", found


def _performance(
    monitor: Monitor, windows: Sequence[Window], series: Sequence[Series], settings: PerformanceSettings,
    uncovered: np.ndarray,
) -> list[WindowVerdict]:  # fmt: skip
    pinned = [PINS[metric] for metric in monitor.thresholds.performance if metric in PINS]
    origin, level = number_of(windows[0].start, monitor.window), level_of(monitor, "performance")
    tests = [
        judge(one.calibration, one.evidence, one.mature, settings, declared=pinned, origin=origin,
              uncovered=np.broadcast_to(uncovered, one.mature.shape))
        for one in series
    ]  # fmt: skip
    found = []
    for one, tested, verdicts in zip(series, tests, decide(tests, level), strict=True):
        why = causes(one.calibration, one.evidence, one.mature, tested, verdicts, level, settings)
        found += [
            WindowVerdict(
                windows[t], "performance", one.model_version, segment, one.subject.name, str(verdicts.status[s, t]),
                str(verdicts.contrast[s, t]), int(verdicts.horizon[s, t]), _number(verdicts.effect[s, t]),
                _number(verdicts.p[s, t]), _number(verdicts.q[s, t]), None, None, str(verdicts.source[s, t]),
                str(verdicts.reason[s, t]), str(why[s, t]),
            )
            for s, segment in enumerate(one.segments)
            for t in np.flatnonzero(one.labelled[s]).tolist()
        ]  # fmt: skip
    return found


def _number(value: Any) -> float | None:
    return None if not np.isfinite(value) else float(value)
