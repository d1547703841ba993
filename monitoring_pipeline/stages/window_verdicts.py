"""Verdicts on performance, volume, coverage and freshness: folds over all windows, taken up where what they rest on has
changed (``window_folds``)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from sqlalchemy import Connection

from monitoring_pipeline.alerting import coverage, volume
from monitoring_pipeline.alerting.performance import PerformanceSettings, Tests, causes, decide, judge
from monitoring_pipeline.alerting.policy import policy_version
from monitoring_pipeline.monitors import Monitor
from monitoring_pipeline.monitors.durations import as_text
from monitoring_pipeline.profiles.profile import EVERYTHING
from monitoring_pipeline.stages import freshness, window_folds
from monitoring_pipeline.stages.alarm_levels import level_of
from monitoring_pipeline.stages.drift_batches import number_of
from monitoring_pipeline.stages.outcome_series import Series, series_of
from monitoring_pipeline.stages.row_calendar import calendar, volume_tests
from monitoring_pipeline.stages.window_folds import Fold, Kind
from monitoring_pipeline.warehouse import ledger, profile_store, readers
from monitoring_pipeline.warehouse import window_verdict_store as store
from monitoring_pipeline.warehouse.window_verdict_store import WindowVerdict
from monitoring_pipeline.windows import LENGTH, Window

PINS = {"roc_auc": "auc", "mae": "scale", "accuracy": "error"}  # metric with a pinned bound -> contrast it replaces


def judge_again(
    conn: Connection, monitor: Monitor, judgement_id: Callable[[], int], now: datetime
) -> list[Window]:  # fmt: skip
    """Judges all windows from the first one on that rests on anything that has changed. Returns the windows with a
    changed verdict."""
    ledger.lock_verdicts(conn, monitor.name)
    late = freshness.judge_again(conn, monitor, judgement_id, now)
    found = store.inputs(conn, monitor.name, monitor.labels.max_delay, _ages(monitor), now)
    references = sorted(profile_store.reference_versions(conn, monitor.name).items())
    rests_on = [found, references, policy_version(monitor), sorted(map(str, late.on_their_way))]
    made_from = hashlib.sha256(json.dumps(rests_on).encode()).hexdigest()[:16]
    if not found or store.last_inputs(conn, monitor.name) == made_from:
        return late.changed
    windows, rows = calendar(store.taken_in(conn, monitor.name), monitor, late.on_their_way)
    folded = _judged(conn, _History(monitor, windows, rows, now, references), keep=True)
    kept = None if monitor.retention.verdicts is None else now - monitor.retention.verdicts  # deleted stays deleted
    firsts: dict[str, datetime] = {one.kind: max(one.since, kept or one.since) for one in folded}
    verdicts = [v for one in folded for v in one.verdicts if v.window.start >= firsts[v.kind]]
    starts = store.replace(conn, monitor.name, judgement_id(), firsts, verdicts, made_from)
    again = {Window(start, start + LENGTH[monitor.window]) for start in starts}
    return sorted(again | set(late.changed))


def imagined(conn: Connection, policy: Monitor, now: datetime) -> list[WindowVerdict]:
    """The verdicts on all windows if ``policy`` had held from the first one on. Writes nothing."""
    late = freshness.judged(conn, policy, now)
    windows, rows = calendar(store.taken_in(conn, policy.name), policy, late.on_their_way)
    folded = _judged(conn, _History(policy, windows, rows, now, []), keep=False)
    return [*late.verdicts, *(verdict for one in folded for verdict in one.verdicts)]


@dataclass(frozen=True)
class _History:
    """Consecutive windows up to ``now``; ``rows`` of each, None where it was not taken in. ``references``: the version
    of each model version's."""

    monitor: Monitor
    windows: Sequence[Window]
    rows: Sequence[int | None]
    now: datetime
    references: Sequence[tuple[str, str]]

    def begin(self, conn: Connection, kind: Kind, keep: bool, rules: object, inputs: Sequence[object]) -> Fold:
        """The fold of this kind, from the first window on unless states are kept."""
        if not keep:
            return window_folds.anew(kind, self.windows)
        rules = [policy_version(self.monitor), self.monitor.window, rules]
        return window_folds.begin(conn, self.monitor.name, kind, self.windows, rules, inputs)


@dataclass(frozen=True)
class _Folded:
    """The verdicts of one kind on windows from position ``first`` on; those before stand."""

    kind: Kind
    windows: Sequence[Window]
    first: int
    verdicts: Sequence[WindowVerdict]

    @property
    def since(self) -> datetime:
        """Start of the first window, or the end of the last one that stands."""
        return self.windows[self.first].start if self.first < len(self.windows) else self.windows[-1].end


def _judged(conn: Connection, of: _History, keep: bool) -> list[_Folded]:
    """Verdicts by kind. ``keep``: only on windows that are not folded already, and the states of those are stored."""
    if not of.windows:
        return []
    found = [_volume(conn, of, keep)]
    if of.monitor.ground_truth is None:
        return found + [_none(conn, of, kind, keep) for kind in ("coverage", "performance")]
    uncovered, of_coverage = _coverage(conn, of, keep)
    return [*found, of_coverage, _performance(conn, of, uncovered, keep)]


def _none(conn: Connection, of: _History, kind: Kind, keep: bool) -> _Folded:
    """Nothing is judged, and what was is gone."""
    if keep:
        window_folds.forget(conn, of.monitor.name, kind, of.windows[0])
    return _Folded(kind, of.windows, 0, [])


def _volume(conn: Connection, of: _History, keep: bool) -> _Folded:
    monitor = of.monitor
    if "volume_ratio" in monitor.thresholds.model_fields_set:
        return _none(conn, of, "volume", keep)  # pinned: judged with the quality of the window
    fold = of.begin(conn, "volume", keep, None, of.rows)
    if fold.done:
        return _Folded("volume", of.windows, fold.first, [])
    before = fold.before([EVERYTHING], len(volume.STATE))
    counts, tests = volume_tests(monitor, of.windows, of.rows, before)
    verdicts = volume.decide(tests, level_of(monitor, "volume"))
    if keep:
        window_folds.end(conn, monitor.name, fold, [EVERYTHING], tests.state[:, fold.first :])
    return _Folded("volume", of.windows, fold.first, [
        WindowVerdict(
            window, "volume", "", EVERYTHING, "", str(verdicts.status[0, t]), "rows", int(tests.horizon[0, t]),
            _number(tests.effect[0, t]), _number(tests.p[0, t]), _number(verdicts.q[0, t]), float(counts[0, t]),
            _number(tests.expected[0, t]), "learnt", str(verdicts.reason[0, t]), "",
        )
        for t, window in enumerate(of.windows) if t >= fold.first and of.rows[t] is not None
    ])  # fmt: skip


def _ages(monitor: Monitor) -> list[timedelta]:
    """The ages before the largest label delay at which coverage is judged."""
    return sorted({age for age in monitor.alarms.coverage.ages if age < monitor.labels.max_delay})


def _coverage(conn: Connection, of: _History, keep: bool) -> tuple[np.ndarray, _Folded]:
    """(T,) whether coverage alarms, and the verdicts, of the labelled share at each age and once all labels are due."""
    monitor, windows = of.monitor, of.windows
    settings = coverage.CoverageSettings.declared(monitor.alarms.coverage)
    rows = np.array([[float(n or 0) for n in of.rows]])
    ages = _labels(conn, of)
    came, known = (np.array([one[i] for one in ages.values()]) for i in (0, 1))
    read = list(zip(of.rows, came.T.tolist(), known.T.tolist(), strict=True))
    fold = of.begin(conn, "coverage", keep, list(ages), read)
    before = fold.before(list(ages), len(coverage.STATE))
    tests = [
        coverage.judge(came[i : i + 1], rows, known[i : i + 1], settings, before[i : i + 1]) for i in range(len(ages))
    ]
    if keep:
        states = np.concatenate([one.state for one in tests])[:, fold.first :]
        window_folds.end(conn, monitor.name, fold, list(ages), states)
    verdicts = coverage.decide(tests, level_of(monitor, "coverage"))
    found = [
        WindowVerdict(
            windows[t], "coverage", "", EVERYTHING, age, str(v.status[0, t]), "labelled share", 1,
            _number(tested.share[0, t] - tested.usual[0, t]), _number(tested.p[0, t]), _number(v.q[0, t]),
            _number(tested.share[0, t]), _number(tested.usual[0, t]), "learnt", str(v.reason[0, t]), "",
        )
        for i, (age, tested, v) in enumerate(zip(ages, tests, verdicts, strict=True))
        for t in range(fold.first, len(windows)) if of.rows[t] and (not age or known[i, t])
    ]  # fmt: skip
    uncovered = np.logical_or.reduce([v.status[0] == "alarm" for v in verdicts])
    return uncovered, _Folded("coverage", windows, fold.first, found)


def _labels(conn: Connection, of: _History) -> dict[str, tuple[list[float], list[bool]]]:
    """By age, empty once all labels are due: labels of each window that had come by then, and whether it has come to
    that age."""
    monitor, windows = of.monitor, of.windows
    counted = readers.label_counts(conn, monitor.name, windows)
    due = [of.now >= window.end + monitor.labels.max_delay for window in windows]
    found = {"": ([float(counted.get(window.start, 0)) for window in windows], due)}
    for age in _ages(monitor):
        labels = store.labels_at_age(conn, monitor.name, age, of.now)
        came = [float(labels.get(window.start, 0)) for window in windows]
        found[as_text(age)] = (came, [window.start in labels for window in windows])
    return found


def _performance(conn: Connection, of: _History, uncovered: np.ndarray, keep: bool) -> _Folded:
    monitor, windows = of.monitor, of.windows
    seconds = LENGTH[monitor.window].total_seconds()
    settings = PerformanceSettings.declared(monitor.alarms.performance, seconds, monitor.labels.coverage)
    joined = store.joined(conn, monitor.name)
    due = [of.now >= window.end + monitor.labels.max_delay for window in windows]
    inputs = [(joined.get(w.start), *told) for w, *told in zip(windows, due, uncovered.tolist(), strict=True)]
    fold = of.begin(conn, "performance", keep, of.references, inputs)
    if fold.done:
        return _Folded("performance", windows, fold.first, [])
    start = max(0, fold.first + 1 - max(settings.horizons))  # what is before is not merged with any window to judge
    series = series_of(conn, monitor, windows[start:], settings, of.now, keep)
    pinned = [PINS[metric] for metric in monitor.thresholds.performance if metric in PINS]
    tests = [
        judge(
            one.calibration, one.evidence, one.mature, settings, declared=pinned,
            origin=number_of(windows[start].start, monitor.window), first=fold.first - start,
            before=fold.before(names, 1 + 2 * len(one.calibration.family.names)),
            uncovered=np.broadcast_to(uncovered[start:], one.mature.shape),
        )
        for one, names in ((one, _names(one)) for one in series)
    ]  # fmt: skip
    if keep:
        _end(conn, monitor, fold, series, tests, start)
    found = _told(windows[start:], series, tests, settings, level_of(monitor, "performance"), fold.first - start)
    return _Folded("performance", windows, fold.first, found)


def _names(one: Series) -> list[str]:
    return ["\x1f".join((one.model_version, one.subject.name, segment)) for segment in one.segments]


def _end(
    conn: Connection, monitor: Monitor, fold: Fold, series: Sequence[Series], tests: Sequence[Tests], start: int
) -> None:
    names = [name for one in series for name in _names(one)]
    width = max((one.state.shape[2] for one in tests), default=1)
    states = np.zeros((len(names), len(fold.windows) - fold.first, width))
    row = 0
    for one in tests:
        here = one.state[:, fold.first - start :]
        states[row : row + len(here), :, : here.shape[2]] = here
        row += len(here)
    window_folds.end(conn, monitor.name, fold, names, states)


def _told(
    windows: Sequence[Window], series: Sequence[Series], tests: Sequence[Tests], settings: PerformanceSettings,
    level: float, first: int,
) -> list[WindowVerdict]:  # fmt: skip
    """On windows from position ``first`` on."""
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
            for t in (np.flatnonzero(one.labelled[s, first:]) + first).tolist()
        ]  # fmt: skip
    return found


def _number(value: Any) -> float | None:
    return None if not np.isfinite(value) else float(value)
