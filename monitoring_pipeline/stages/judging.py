"""Verdicts: each measurement of a window judged under the declared thresholds. Reads no profile and no row."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from sqlalchemy import Connection

from monitoring_pipeline import __version__
from monitoring_pipeline.alerting import judge_drift, judge_performance, judge_quality
from monitoring_pipeline.alerting.drift.methods import ColumnStatus, pinned_status
from monitoring_pipeline.alerting.fairness import judge_fairness
from monitoring_pipeline.alerting.maturity import is_mature
from monitoring_pipeline.alerting.performance.bounds import Judged as SubjectVerdict
from monitoring_pipeline.alerting.policy import policy_version
from monitoring_pipeline.alerting.verdict import Verdict
from monitoring_pipeline.errors import WindowError
from monitoring_pipeline.measurements import WHOLE_ROWS, Measurement
from monitoring_pipeline.monitors import Monitor, Window
from monitoring_pipeline.profiles.profile import EVERYTHING
from monitoring_pipeline.records import StageState
from monitoring_pipeline.stages import column_verdicts, window_verdicts
from monitoring_pipeline.stages.context import StageContext, WindowOutcome
from monitoring_pipeline.stages.each_window import Computed, Wrote, each_window, read_ahead
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

FAMILIES = ("drift", "quality", "realized", "estimated", "fairness")
MEASURED_BY = ("quality", "drift", "performance", "estimation")
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
        return {} if found is None else column_verdicts.status_by_name(found)

    def subjects_of(self, kept: Kept) -> Mapping[str, SubjectVerdict]:
        """The calibrated verdicts on the performance of a measurement's window, version and segment."""
        m = kept.measurement
        return self.performance.get((kept.window.start, m.model_version, m.segment), {})


@dataclass(frozen=True)
class JudgedWindow:
    """Measurements of a window, or of several, with the verdict on each, and what those were read with."""

    of: Read
    kept: Sequence[Kept]
    judged: Sequence[Judged]


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
    stages.warehouse.run(lambda conn: run.fold(conn, set(windows)), can_be_recomputed=True)
    read_of = read_ahead(windows, lambda some: read(stages, some), WINDOWS_A_READ)
    return each_window(stages, "verdicts", windows, lambda w: run.judge_window(w, read_of(w)), run.write)


class _Run:
    """One run of the stage at the moment ``now``. The judgement is opened when the first verdict needs it."""

    def __init__(self, stages: StageContext, now: datetime) -> None:
        self._stages, self._monitor, self._now = stages, stages.monitor, now
        self._judgement_id: int | None = None

    def judgement_id(self) -> int:
        """Number of the judgement that this run's verdicts belong to."""
        if self._judgement_id is None:
            self._judgement_id = self._stages.warehouse.run(lambda conn: open_judgement(conn, self._stages))
        return self._judgement_id

    def fold(self, conn: Connection, asked: Collection[Window]) -> None:
        """Brings the calibrated verdicts up to date, and repeats changed ones beside the measurements of windows that
        are not ``asked`` for: in one transaction, for nobody else would come back to these."""
        changed = window_verdicts.judge_again(conn, self._monitor, self.judgement_id, self._now)
        changed += column_verdicts.judge_again(conn, self._monitor, self.judgement_id)
        others = sorted(set(changed) - set(asked))
        for at in range(0, len(others), WINDOWS_A_READ):
            of = read_from(conn, self._monitor.name, others[at : at + WINDOWS_A_READ])
            kept = [one for some in of.kept.values() for one in some]
            self._write(conn, [JudgedWindow(of, kept, self._judged(of, kept))])

    def judge_window(self, window: Window, of: Read) -> Computed[JudgedWindow]:
        """Judges what was measured in a window. Raises WindowError when nothing was."""
        inputs = _inputs(self._monitor, window, of.states, self._now)
        judged = JudgedWindow(of, of.kept[window], self._judged(of, of.kept[window]))
        return Computed(judged, self._stages.provenance(_data_version(window, of.states)), inputs)

    def write(self, conn: Connection, some: Sequence[tuple[Window, Computed[JudgedWindow]]]) -> list[Wrote]:
        """Writes the verdicts on these windows."""
        changed = self._write(conn, [one.value for _, one in some])
        versions = {window: f"{self.judgement_id()}" if changed[window] else None for window, _ in some}
        return [
            Wrote(versions[window], _facts(one.value.kept, one.value.judged) | {"changed": changed[window]})
            for window, one in some
        ]

    def _judged(self, of: Read, kept: Sequence[Kept]) -> list[Judged]:
        return [
            Judged(
                one.measurement_id,
                one.window,
                verdict_on(self._monitor, one, of.columns_of(one), of.subjects_of(one), self._now),
            )
            for one in kept
        ]

    def _write(self, conn: Connection, windows: Sequence[JudgedWindow]) -> Counter[Window]:
        """How many verdicts differ from what stood, by window."""
        name, judged = self._monitor.name, [verdict for one in windows for verdict in one.judged]
        differing, restated = verdict_store.changes(conn, name, policy_version(self._monitor), judged)
        if differing or restated:
            verdict_store.write_verdicts(conn, name, self.judgement_id(), [*differing, *restated])
        for one in windows:
            _pin(conn, self._monitor, one.of, zip(one.kept, (v.verdict for v in one.judged), strict=True))
        return Counter(one.window for one in differing)


def read(stages: StageContext, windows: Sequence[Window]) -> Read:
    """What these windows' verdicts rest on."""
    return stages.warehouse.run(lambda conn: read_from(conn, stages.monitor.name, windows))


def read_from(conn: Connection, monitor: str, windows: Sequence[Window]) -> Read:
    """The same, in a transaction that is under way."""
    kept: dict[Window, list[Kept]] = {window: [] for window in windows}
    for one in measurement_store.current(conn, monitor, windows, FAMILIES):
        if one.window in kept:
            kept[one.window].append(one)
    return Read(
        kept,
        ledger.stage_states(conn, monitor, windows),
        column_verdict_store.standing(conn, monitor, windows),
        window_verdict_store.performance_of(conn, monitor, windows),
    )


def verdict_on(
    monitor: Monitor,
    kept: Kept,
    columns: Mapping[str, ColumnStatus],
    subjects: Mapping[str, SubjectVerdict],
    now: datetime,
) -> Verdict:
    """How one measurement is judged: by the monitor's thresholds, or as the calibrated verdicts on ``columns`` (drift)
    and ``subjects`` (performance) say.

    ``now`` decides whether its window has come of age. Performance is mature when all of its subjects are.
    """
    m = kept.measurement
    if m.family == "drift":
        return judge_drift(m, monitor.thresholds, columns)
    if m.family == "estimated":
        return judge_performance(m, monitor.thresholds, mature=False)  # only pinned bounds: estimates have no budget
    mature = is_mature(monitor.labels, kept.window, _coverage(m), now)
    if m.family == "quality":
        return judge_quality(m, monitor.thresholds, mature=mature)
    if m.family == "fairness":
        return judge_fairness(m, monitor.thresholds, monitor.protected, mature=mature)
    known = [subject.mature for subject in subjects.values() if subject.mature is not None]
    mature = all(known) if known else mature
    return judge_performance(m, monitor.thresholds, mature=mature, subjects=subjects)


def _coverage(m: Measurement) -> float | None:
    """The labelled share that a measurement speaks of; None where none is known."""
    if m.family != "quality":
        return m.n_labelled / m.n_predictions if m.n_predictions and m.n_labelled is not None else None
    if "label_coverage" not in m.keys.metrics:
        return None
    value = float(m.value[m.keys.metrics.index("label_coverage")])
    return None if np.isnan(value) else value


def open_judgement(conn: Connection, stages: StageContext) -> int:
    """Number of a new judgement: under what the verdicts that follow are reached."""
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
        "unfair": ", ".join(sorted(set(flagged["fairness"]))[:10]) or None,
        "degraded": ", ".join(sorted(set(flagged["realized"]))[:10]) or None,
    }
