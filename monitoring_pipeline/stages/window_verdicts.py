"""Verdicts on performance, volume, coverage and freshness: a fold over all windows, made again on any change."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from sqlalchemy import Connection

from monitoring_pipeline.alerting import coverage, volume
from monitoring_pipeline.alerting.performance import PerformanceSettings, causes, decide, judge
from monitoring_pipeline.alerting.policy import policy_version
from monitoring_pipeline.monitors import Monitor
from monitoring_pipeline.monitors.durations import as_text
from monitoring_pipeline.profiles.profile import EVERYTHING
from monitoring_pipeline.stages import freshness
from monitoring_pipeline.stages.alarm_levels import level_of
from monitoring_pipeline.stages.drift_batches import number_of
from monitoring_pipeline.stages.outcome_series import Series, series_of
from monitoring_pipeline.stages.row_calendar import calendar, volume_tests
from monitoring_pipeline.warehouse import ledger, profile_store, readers
from monitoring_pipeline.warehouse import window_verdict_store as store
from monitoring_pipeline.warehouse.window_verdict_store import WindowVerdict
from monitoring_pipeline.windows import LENGTH, Window

PINS = {"roc_auc": "auc", "mae": "scale", "accuracy": "error"}  # metric with a pinned bound -> contrast it replaces


def judge_again(
    conn: Connection, monitor: Monitor, judgement_id: Callable[[], int], now: datetime
) -> list[Window]:  # fmt: skip
    """Judges all windows when anything that verdicts rest on has changed. Returns the windows with a changed one."""
    ledger.lock_verdicts(conn, monitor.name)
    late = freshness.judge_again(conn, monitor, judgement_id, now)
    found = store.inputs(conn, monitor.name, monitor.labels.max_delay, _ages(monitor), now)
    references = sorted(profile_store.reference_versions(conn, monitor.name).items())
    rests_on = [found, references, policy_version(monitor), sorted(map(str, late.on_their_way))]
    made_from = hashlib.sha256(json.dumps(rests_on).encode()).hexdigest()[:16]
    if not found or store.last_inputs(conn, monitor.name) == made_from:
        return late.changed
    windows, rows = calendar(store.taken_in(conn, monitor.name), monitor, late.on_their_way)
    first = windows[0].start if windows else now
    if monitor.retention.verdicts is not None:
        first = max(first, now - monitor.retention.verdicts)  # what is deleted stays deleted
    verdicts = [one for one in judged(conn, monitor, windows, rows, now) if one.window.start >= first]
    starts = store.replace(conn, monitor.name, judgement_id(), first, verdicts, made_from)
    again = {Window(start, start + LENGTH[monitor.window]) for start in starts}
    return sorted(again | set(late.changed))


def imagined(conn: Connection, policy: Monitor, now: datetime) -> list[WindowVerdict]:
    """The verdicts on all windows if ``policy`` had held from the first one on. Writes nothing."""
    late = freshness.judged(conn, policy, now)
    windows, rows = calendar(store.taken_in(conn, policy.name), policy, late.on_their_way)
    return [*late.verdicts, *judged(conn, policy, windows, rows, now)]


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
        seconds = LENGTH[monitor.window].total_seconds()
        settings = PerformanceSettings.declared(monitor.alarms.performance, seconds, monitor.labels.coverage)
        series = series_of(conn, monitor, windows, settings, now)
        found += _performance(monitor, windows, series, settings, uncovered)
    return found


def _volume(
    monitor: Monitor, windows: Sequence[Window], rows: Sequence[int | None]
) -> list[WindowVerdict]:  # fmt: skip
    if "volume_ratio" in monitor.thresholds.model_fields_set:
        return []  # pinned: judged with the quality of the window
    counts, tests = volume_tests(monitor, windows, rows)
    verdicts = volume.decide(tests, level_of(monitor, "volume"))
    return [
        WindowVerdict(
            window, "volume", "", EVERYTHING, "", str(verdicts.status[0, t]), "rows", int(tests.horizon[0, t]),
            _number(tests.effect[0, t]), _number(tests.p[0, t]), _number(verdicts.q[0, t]), float(counts[0, t]),
            _number(tests.expected[0, t]), "learnt", str(verdicts.reason[0, t]), "",
        )
        for t, window in enumerate(windows) if rows[t] is not None
    ]  # fmt: skip


def _ages(monitor: Monitor) -> list[timedelta]:
    """The ages before the largest label delay at which coverage is judged."""
    return sorted({age for age in monitor.alarms.coverage.ages if age < monitor.labels.max_delay})


def _coverage(
    conn: Connection, monitor: Monitor, windows: Sequence[Window], rows: Sequence[int | None], now: datetime,
) -> tuple[np.ndarray, list[WindowVerdict]]:  # fmt: skip
    """(T,) whether coverage alarms, and the verdicts, of the labelled share at each age and once all labels are due."""
    settings = coverage.CoverageSettings.declared(monitor.alarms.coverage)
    of = np.array([[float(n or 0) for n in rows]])
    counted = readers.label_counts(conn, monitor.name, windows)
    due = [now >= window.end + monitor.labels.max_delay for window in windows]
    ages = {"": ({w.start: counted.get(w.start, 0) for w in windows}, due)}
    for age in _ages(monitor):
        labels = store.labels_at_age(conn, monitor.name, age, now)
        ages[as_text(age)] = (labels, [window.start in labels for window in windows])
    tests = [
        coverage.judge(
            np.array([[float(labels.get(window.start, 0)) for window in windows]]), of, np.array([known]), settings
        )
        for labels, known in ages.values()
    ]
    verdicts = coverage.decide(tests, level_of(monitor, "coverage"))
    found = [
        WindowVerdict(
            window, "coverage", "", EVERYTHING, age, str(v.status[0, t]), "labelled share", 1,
            _number(tested.share[0, t] - tested.usual[0, t]), _number(tested.p[0, t]), _number(v.q[0, t]),
            _number(tested.share[0, t]), _number(tested.usual[0, t]), "learnt", str(v.reason[0, t]), "",
        )
        for age, tested, v in zip(ages, tests, verdicts, strict=True)
        for t, window in enumerate(windows) if rows[t] and (not age or ages[age][1][t])
    ]  # fmt: skip
    return np.logical_or.reduce([v.status[0] == "alarm" for v in verdicts]), found


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
                str(verdicts.reason[s, t]), str(why[s, t]), bool(one.mature[s, t]),
            )
            for s, segment in enumerate(one.segments)
            for t in np.flatnonzero(one.labelled[s]).tolist()
        ]  # fmt: skip
    return found


def _number(value: Any) -> float | None:
    return None if not np.isfinite(value) else float(value)
