"""Verdicts: each measurement of a window judged under the declared thresholds. Reads no profile and no row."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

import numpy as np
from sqlalchemy import Connection

from monitoring_pipeline import __version__
from monitoring_pipeline.alerting import judge_drift, judge_performance, judge_quality
from monitoring_pipeline.alerting.drift.methods import ColumnStatus, pinned_status
from monitoring_pipeline.alerting.maturity import is_mature
from monitoring_pipeline.alerting.policy import policy_version
from monitoring_pipeline.alerting.verdict import ThresholdSource, Verdict
from monitoring_pipeline.errors import WindowError
from monitoring_pipeline.measurements import WHOLE_ROWS, Measurement
from monitoring_pipeline.monitors import Monitor, Window
from monitoring_pipeline.profiles.profile import EVERYTHING
from monitoring_pipeline.records import StageState
from monitoring_pipeline.stages import column_verdicts
from monitoring_pipeline.stages.context import Facts, StageContext, WindowOutcome, complete, each_window
from monitoring_pipeline.stages.inputs import Inputs
from monitoring_pipeline.warehouse import column_verdict_store, ledger, measurement_store, verdict_store
from monitoring_pipeline.warehouse.column_verdict_store import Standing
from monitoring_pipeline.warehouse.measurement_store import Kept
from monitoring_pipeline.warehouse.verdict_store import Judged, Judgement

FAMILIES = ("drift", "quality", "realized", "estimated")
MEASURED_BY = ("quality", "drift", "performance")
WINDOWS_A_READ = 64


@dataclass(frozen=True)
class Read:
    """The measurements, the ledger's states and the verdicts on columns of some windows."""

    kept: Mapping[Window, Sequence[Kept]]
    states: Mapping[tuple[datetime, str], StageState]
    columns: Mapping[tuple[datetime, str, str], Standing]

    def columns_of(self, kept: Kept) -> dict[str, ColumnStatus]:
        """The calibrated verdict on each column of a measurement's window, version and segment."""
        m = kept.measurement
        found = self.columns.get((kept.window.start, m.model_version, m.segment))
        return {} if found is None else status_by_column(found)


def status_by_column(found: Standing) -> dict[str, ColumnStatus]:
    """By name; a name that is a feature and the score has the verdict of the feature."""
    named = zip(found.keys.columns, found.keys.roles, found.status, found.sources, strict=True)
    by_role = sorted(named, key=lambda each: each[1] == "feature")
    return {name: ColumnStatus(status, cast("ThresholdSource", source)) for name, _, status, source in by_role}


def _pin(conn: Connection, monitor: Monitor, of: Read, verdicts: Iterable[tuple[Kept, Verdict]]) -> None:
    """Keeps with the verdicts on columns what pinned thresholds of the first baseline say."""
    if not (monitor.thresholds.drift or any(c.drift for c in monitor.thresholds.columns.values())):
        return
    for kept, verdict in verdicts:
        m = kept.measurement
        standing = of.columns.get((kept.window.start, m.model_version, m.segment))
        if m.family == "drift" and m.baseline == monitor.baselines[0] and standing is not None:
            pinned = pinned_status(m, verdict)
            values = [pinned.get(name) for name in standing.keys.columns]
            column_verdict_store.pin(conn, monitor.name, kept.window.start, m.model_version, m.segment, values)


def judge(stages: StageContext, windows: Sequence[Window]) -> list[WindowOutcome]:
    """Judges these windows; an equal verdict changes nothing, and no measurement is touched.

    Verdicts on columns rest on earlier windows: later windows whose verdicts change thereby are judged again as well.
    """
    monitor, now = stages.monitor, datetime.now(UTC)
    judgement: list[int] = []
    ahead: dict[Window, Read] = {}

    def judgement_id() -> int:
        if not judgement:
            judgement.append(stages.warehouse.run(lambda conn: _open(conn, stages)))
        return judgement[0]

    later = stages.warehouse.run(lambda conn: column_verdicts.judge_again(conn, monitor, judgement_id()))

    def work(window: Window) -> Facts:
        if window not in ahead:
            at = windows.index(window)
            some = windows[at : at + WINDOWS_A_READ]
            ahead.clear()
            ahead.update(dict.fromkeys(some, read(stages, some)))
        of = ahead[window]
        inputs = _inputs(monitor, window, of.states, now)
        judged = [
            Judged(k.measurement_id, k.window, verdict_on(monitor, k, of.columns_of(k), now)) for k in of.kept[window]
        ]
        number = judgement_id()

        def write(conn: Connection) -> int:
            ledger.lock_window(conn, monitor.name, window)
            changed = verdict_store.write_verdicts(conn, monitor.name, number, judged)
            _pin(conn, monitor, of, zip(of.kept[window], (one.verdict for one in judged), strict=True))
            made = stages.provenance(_data_version(window, of.states))
            complete(stages, conn, "verdicts", window, made, inputs, f"{number}" if changed else None)
            return changed

        changed = stages.warehouse.run(write, can_be_recomputed=True)
        return _facts(of.kept[window], judged) | {"changed": changed}

    outcomes = each_window(stages, "verdicts", windows, work)
    _judge_drift_again(stages, sorted(set(later) - set(windows)), judgement_id, now)
    return outcomes


def _judge_drift_again(
    stages: StageContext, windows: Sequence[Window], judgement_id: Callable[[], int], now: datetime
) -> None:
    """Repeats the new verdicts on columns beside the measurements of windows that were not asked for."""
    monitor = stages.monitor
    for at in range(0, len(windows), WINDOWS_A_READ):
        of = read(stages, windows[at : at + WINDOWS_A_READ])
        drift = [k for kept in of.kept.values() for k in kept if k.measurement.family == "drift"]
        verdicts = [verdict_on(monitor, k, of.columns_of(k), now) for k in drift]
        judged = [Judged(k.measurement_id, k.window, v) for k, v in zip(drift, verdicts, strict=True)]
        number = judgement_id()

        def write(conn: Connection, of: Read = of, judged: list[Judged] = judged, number: int = number) -> None:
            verdict_store.write_verdicts(conn, monitor.name, number, judged)

        stages.warehouse.run(write, can_be_recomputed=True)


def read(stages: StageContext, windows: Sequence[Window]) -> Read:
    """What these windows' verdicts rest on, in two statements."""
    name = stages.monitor.name

    def of(conn: Connection) -> tuple:
        return (
            measurement_store.current(conn, name, windows, FAMILIES),
            ledger.stage_states(conn, name, windows),
            column_verdict_store.standing(conn, name, windows),
        )

    found, states, columns = stages.warehouse.run(of)
    kept: dict[Window, list[Kept]] = {window: [] for window in windows}
    for one in found:
        if one.window in kept:
            kept[one.window].append(one)
    return Read(kept, states, columns)


def verdict_on(monitor: Monitor, kept: Kept, columns: Mapping[str, ColumnStatus], now: datetime) -> Verdict:
    """How one measurement is judged: by the monitor's thresholds, or as the verdicts on ``columns`` say.

    ``now`` decides whether its window has come of age.
    """
    m = kept.measurement
    if m.family == "drift":
        return judge_drift(m, monitor.thresholds, columns)
    mature = is_mature(monitor.labels, kept.window, _coverage(m), now)
    if m.family == "quality":
        return judge_quality(m, monitor.thresholds, mature=mature)
    return judge_performance(m, monitor.thresholds, mature=mature)


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
