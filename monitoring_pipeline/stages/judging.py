"""Verdicts: each measurement of a window judged under the declared thresholds. Reads no profile and no row."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

import numpy as np
from sqlalchemy import Connection

from monitoring_pipeline import __version__
from monitoring_pipeline.alerting import judge_drift, judge_performance, judge_quality
from monitoring_pipeline.alerting.drift.methods import ColumnStatus, pinned_status
from monitoring_pipeline.alerting.maturity import is_mature
from monitoring_pipeline.alerting.performance.bounds import Judged as SubjectVerdict
from monitoring_pipeline.alerting.policy import policy_version
from monitoring_pipeline.alerting.verdict import ThresholdSource, Verdict
from monitoring_pipeline.errors import WindowError
from monitoring_pipeline.measurements import WHOLE_ROWS, Measurement
from monitoring_pipeline.monitors import Monitor, Window
from monitoring_pipeline.profiles.profile import EVERYTHING
from monitoring_pipeline.records import StageState
from monitoring_pipeline.stages import column_verdicts, window_verdicts
from monitoring_pipeline.stages.context import Facts, StageContext, WindowOutcome, complete, each_window
from monitoring_pipeline.stages.inputs import Inputs
from monitoring_pipeline.warehouse import (
    column_verdict_store,
    ledger,
    measurement_store,
    verdict_store,
    window_verdict_store,
)
from monitoring_pipeline.warehouse.column_verdict_store import Standing
from monitoring_pipeline.warehouse.measurement_store import Kept
from monitoring_pipeline.warehouse.verdict_store import Judged, Judgement
from monitoring_pipeline.warehouse.window_verdict_store import Place

FAMILIES = ("drift", "quality", "realized", "estimated")
MEASURED_BY = ("quality", "drift", "performance")
WINDOWS_A_READ = 64


@dataclass(frozen=True)
class Read:
    """The measurements, the ledger's states and the verdicts on columns of some windows."""

    kept: Mapping[Window, Sequence[Kept]]
    states: Mapping[tuple[datetime, str], StageState]
    columns: Mapping[tuple[datetime, str, str], Standing]
    performance: Mapping[Place, Mapping[str, SubjectVerdict]]

    def columns_of(self, kept: Kept) -> dict[str, ColumnStatus]:
        """The calibrated verdict on each column of a measurement's window, version and segment."""
        m = kept.measurement
        found = self.columns.get((kept.window.start, m.model_version, m.segment))
        return {} if found is None else status_by_column(found)

    def subjects_of(self, kept: Kept) -> Mapping[str, SubjectVerdict]:
        """The calibrated verdicts on the performance of a measurement's window, version and segment."""
        m = kept.measurement
        return self.performance.get((kept.window.start, m.model_version, m.segment), {})


def status_by_column(found: Standing) -> dict[str, ColumnStatus]:
    """By name; a name that is a feature and the score has the verdict of the feature."""
    named = zip(found.keys.columns, found.keys.roles, found.status, found.sources, strict=True)
    by_role = sorted(named, key=lambda each: each[1] == "feature")
    return {name: ColumnStatus(status, cast("ThresholdSource", source)) for name, _, status, source in by_role}


def _pin(conn: Connection, monitor: Monitor, of: Read, verdicts: Iterable[tuple[Kept, Verdict]]) -> None:
    """Keeps with the verdicts on columns what pinned thresholds of the first baseline say, or that none is pinned."""
    declared = bool(monitor.thresholds.drift or any(c.drift for c in monitor.thresholds.columns.values()))
    for kept, verdict in verdicts:
        m = kept.measurement
        standing = of.columns.get((kept.window.start, m.model_version, m.segment))
        if m.family != "drift" or m.baseline != monitor.baseline_names[0] or standing is None:
            continue
        if declared or standing.pinned:
            pinned = pinned_status(m, verdict)
            values = [pinned.get(name) for name in standing.keys.columns] if pinned else None
            column_verdict_store.pin(conn, monitor.name, kept.window.start, m.model_version, m.segment, values)


def judge(stages: StageContext, windows: Sequence[Window]) -> list[WindowOutcome]:
    """Judges these windows; an equal verdict changes nothing, and no measurement is touched.

    Calibrated verdicts rest on other windows: those whose verdicts change thereby are judged again as well.
    """
    run = _Run(stages, datetime.now(UTC))
    affected = stages.warehouse.run(run.fold, can_be_recomputed=True)
    ahead: dict[Window, Read] = {}

    def work(window: Window) -> Facts:
        if window not in ahead:
            at = windows.index(window)
            some = windows[at : at + WINDOWS_A_READ]
            ahead.clear()
            ahead.update(dict.fromkeys(some, read(stages, some)))
        return run.judge_window(window, ahead[window])

    outcomes = each_window(stages, "verdicts", windows, work)
    others = sorted(set(affected) - set(windows))
    for at in range(0, len(others), WINDOWS_A_READ):
        run.judge_measured(read(stages, others[at : at + WINDOWS_A_READ]))
    return outcomes


class _Run:
    """One run of the stage at the moment ``now``. The judgement is opened when the first verdict needs it."""

    def __init__(self, stages: StageContext, now: datetime) -> None:
        self._stages, self._monitor, self._now = stages, stages.monitor, now
        self._judgement_id: int | None = None

    def judgement_id(self) -> int:
        """Number of the judgement that this run's verdicts belong to."""
        if self._judgement_id is None:
            self._judgement_id = self._stages.warehouse.run(lambda conn: _open(conn, self._stages))
        return self._judgement_id

    def fold(self, conn: Connection) -> list[Window]:
        """Brings the calibrated verdicts up to date. Returns the windows in which one may have changed."""
        changed = window_verdicts.judge_again(conn, self._monitor, self.judgement_id, self._now)
        return [*changed, *column_verdicts.judge_again(conn, self._monitor, self.judgement_id)]

    def judge_window(self, window: Window, of: Read) -> Facts:
        """Judges what was measured in a window and notes what that rests on. Raises WindowError when nothing was."""
        inputs = _inputs(self._monitor, window, of.states, self._now)
        judged, number = self._judged(of, of.kept[window]), self.judgement_id()

        def write(conn: Connection) -> int:
            ledger.lock_window(conn, self._monitor.name, window)
            changed = self._write(conn, of, of.kept[window], judged)
            made = self._stages.provenance(_data_version(window, of.states))
            complete(self._stages, conn, "verdicts", window, made, inputs, f"{number}" if changed else None)
            return changed

        changed = self._stages.warehouse.run(write, can_be_recomputed=True)
        return _facts(of.kept[window], judged) | {"changed": changed}

    def judge_measured(self, of: Read) -> None:
        """Repeats changed verdicts on columns and performance beside the measurements of windows not asked for."""
        kept = [one for some in of.kept.values() for one in some]
        judged = self._judged(of, kept)
        self.judgement_id()
        self._stages.warehouse.run(lambda conn: self._write(conn, of, kept, judged), can_be_recomputed=True)

    def _judged(self, of: Read, kept: Sequence[Kept]) -> list[Judged]:
        return [
            Judged(
                one.measurement_id,
                one.window,
                verdict_on(self._monitor, one, of.columns_of(one), of.subjects_of(one), self._now),
            )
            for one in kept
        ]

    def _write(self, conn: Connection, of: Read, kept: Sequence[Kept], judged: Sequence[Judged]) -> int:
        changed = verdict_store.write_verdicts(conn, self._monitor.name, self.judgement_id(), judged)
        _pin(conn, self._monitor, of, zip(kept, (one.verdict for one in judged), strict=True))
        return changed


def read(stages: StageContext, windows: Sequence[Window]) -> Read:
    """What these windows' verdicts rest on."""
    name = stages.monitor.name

    def of(conn: Connection) -> tuple:
        return (
            measurement_store.current(conn, name, windows, FAMILIES),
            ledger.stage_states(conn, name, windows),
            column_verdict_store.standing(conn, name, windows),
            window_verdict_store.performance_of(conn, name, windows),
        )

    found, states, columns, performance = stages.warehouse.run(of)
    kept: dict[Window, list[Kept]] = {window: [] for window in windows}
    for one in found:
        if one.window in kept:
            kept[one.window].append(one)
    return Read(kept, states, columns, performance)


def verdict_on(
    monitor: Monitor,
    kept: Kept,
    columns: Mapping[str, ColumnStatus],
    subjects: Mapping[str, SubjectVerdict],
    now: datetime,
) -> Verdict:
    """How one measurement is judged: by the monitor's thresholds, or as the calibrated verdicts on ``columns`` (drift)
    and ``subjects`` (performance) say.

    ``now`` decides whether its window has come of age.
    """
    m = kept.measurement
    if m.family == "drift":
        return judge_drift(m, monitor.thresholds, columns)
    mature = is_mature(monitor.labels, kept.window, _coverage(m), now)
    if m.family == "quality":
        return judge_quality(m, monitor.thresholds, mature=mature)
    return judge_performance(m, monitor.thresholds, mature=mature, subjects=subjects)


def _coverage(m: Measurement) -> float | None:
    """The labelled share that a measurement speaks of; None where none is known."""
    if m.family != "quality":
        return m.n_labelled / m.n_predictions if m.n_predictions and m.n_labelled is not None else None
    if "label_coverage" not in m.keys.metrics:
        return None
    value = float(m.value[m.keys.metrics.index("label_coverage")])
    return None if np.isnan(value) else value


def _open(conn: Connection, stages: StageContext) -> int:
    policy = policy_version(stages.monitor)
    made = Judgement(stages.monitor.config_version, policy, None, __version__, stages.run_id)
    return verdict_store.open_judgement(conn, stages.monitor.name, made)


def _inputs(
    monitor: Monitor, window: Window, states: Mapping[tuple[datetime, str], StageState], now: datetime
) -> Inputs:
    """What was measured, by which version; raises WindowError when nothing was."""
    inputs: Inputs = {}
    for stage in MEASURED_BY:
        state = states.get((window.start, stage))
        if state is not None and state.completed_at is not None:
            inputs[f"stage:{stage}"] = state.output_version
    if not inputs:
        raise WindowError(f"{window} is not measured yet; materialize its quality, drift and performance first")
    inputs |= {f"stage:{stage}": None for stage in MEASURED_BY if f"stage:{stage}" not in inputs}
    if monitor.ground_truth is not None:
        inputs["aged"] = str(now >= window.end + monitor.labels.max_delay).lower()
    return inputs


def _data_version(window: Window, states: Mapping[tuple[datetime, str], StageState]) -> str:
    found = (states.get((window.start, stage)) for stage in ("profile", *MEASURED_BY))
    return next((s.data_version for s in found if s is not None and s.data_version), "none")


def _facts(kept: Sequence[Kept], judged: Sequence[Judged]) -> dict[str, int | float | str | None]:
    """How many metrics are flagged by family, and the first names of them; of everything, not of segments."""
    flagged: dict[str, list[str]] = defaultdict(list)
    share = None
    for one, verdict in zip(kept, (j.verdict for j in judged), strict=True):
        m = one.measurement
        if m.segment != EVERYTHING:
            continue
        for i in np.flatnonzero(verdict.flagged == 1).tolist():
            of = "" if m.keys.columns[i] == WHOLE_ROWS else f" of {m.keys.columns[i]}"
            flagged[m.family].append(f"{m.keys.metrics[i]}{of}")
        if verdict.share is not None and not np.isnan(verdict.share.value):
            share = max(share or 0.0, verdict.share.value)
    columns = Counter(name.rpartition(" of ")[2] for name in flagged["drift"])
    return {
        "drifted_columns_share": share,
        "drifted": ", ".join(name for name, _ in columns.most_common(10)) or None,
        "violated": ", ".join(sorted(set(flagged["quality"]))[:10]) or None,
        "degraded": ", ".join(sorted(set(flagged["realized"]))[:10]) or None,
    }
