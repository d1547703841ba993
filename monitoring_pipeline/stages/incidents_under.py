"""Which incidents another policy would have opened: the same fold over imagined verdicts, written nowhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from sqlalchemy import Connection

from monitoring_pipeline.alerting.drift.judgement import ALARM
from monitoring_pipeline.alerting.drift.methods import ColumnStatus, pinned_status
from monitoring_pipeline.alerting.incidents.alarm import ESTIMATED, WHOLE_ROWS, Alarm
from monitoring_pipeline.alerting.performance.bounds import Judged
from monitoring_pipeline.alerting.verdict import FLAGGED, NOT_JUDGED, Verdict
from monitoring_pipeline.monitors import Monitor, Window
from monitoring_pipeline.profiles.profile import EVERYTHING
from monitoring_pipeline.stages import column_verdicts, window_verdicts
from monitoring_pipeline.stages.alarm_rows import ALWAYS_ALARM, alarm_of_window, kind_of_metric, sizes_said
from monitoring_pipeline.stages.context import StageContext
from monitoring_pipeline.stages.drift_batches import number_of
from monitoring_pipeline.stages.incidents import incidents_of, of_alarms
from monitoring_pipeline.stages.judging import WINDOWS_A_READ, read, verdict_on
from monitoring_pipeline.warehouse import incident_store
from monitoring_pipeline.warehouse.column_verdict_store import ColumnRow
from monitoring_pipeline.warehouse.incident_store import Incident
from monitoring_pipeline.warehouse.measurement_store import Kept
from monitoring_pipeline.warehouse.window_verdict_store import WindowVerdict

Statuses = dict[tuple[datetime, str, str], dict[str, ColumnStatus]]


@dataclass(frozen=True)
class Imagined:
    """The calibrated verdicts under a policy: rows of columns, and of performance, volume and coverage."""

    columns: Sequence[ColumnRow]
    windows: Sequence[WindowVerdict]


@dataclass(frozen=True)
class Comparison:
    """Incidents that stand and would stand, in the order they begin; those without a counterpart ``go`` or ``come``.

    Two are counterparts when they share windows, and columns where both have some.
    """

    now: tuple[Incident, ...]
    then: tuple[Incident, ...]
    go: tuple[Incident, ...]
    come: tuple[Incident, ...]


def compared(stages: StageContext, windows: Sequence[Window], policy: Monitor) -> Comparison:
    """The incidents of these windows as they stand and under ``policy``."""
    first, last = windows[0].start, windows[-1].start

    def stands(conn: Connection) -> list[Incident]:
        found = of_alarms(incident_store.current(conn, stages.monitor.name)).values()
        return sorted(
            (o for o in found if o.state != "retracted" and o.first_window <= last and o.last_window >= first),
            key=lambda one: (one.first_window, one.incident_id),
        )

    alarms = _alarms(stages, windows, policy)
    now = tuple(stages.warehouse.run(stands))
    then = tuple(stages.warehouse.run(lambda conn: incidents_of(conn, policy, alarms, stored=False)))
    return Comparison(
        now,
        then,
        tuple(one for one in now if not any(one.continues(other) for other in then)),
        tuple(one for one in then if not any(one.continues(other) for other in now)),
    )


def imagined(conn: Connection, policy: Monitor, windows: Sequence[Window], now: datetime) -> Imagined:
    """The calibrated verdicts on these windows if ``policy`` had held from the first window on."""
    wanted = {window.start for window in windows}
    of_windows = [v for v in window_verdicts.imagined(conn, policy, now) if v.window.start in wanted]
    return Imagined(column_verdicts.imagined(conn, policy, windows), of_windows)


def statuses(rows: Sequence[ColumnRow]) -> Statuses:
    """The status of each column, by (window start, version, segment)."""
    return {
        (row.window.start, row.model_version, row.segment): column_verdicts.status_by_name(row) for row in rows
    }  # fmt: skip


def subjects(verdicts: Sequence[WindowVerdict]) -> dict[tuple[datetime, str, str], dict[str, Judged]]:
    """The verdicts on performance by subject, by (window start, version, segment)."""
    found: dict[tuple[datetime, str, str], dict[str, Judged]] = {}
    for v in verdicts:
        if v.kind == "performance":
            of = found.setdefault((v.window.start, v.model_version, v.segment), {})
            of[v.subject] = Judged(v.status, v.contrast, v.source, v.mature)
    return found


def _alarms(stages: StageContext, windows: Sequence[Window], policy: Monitor) -> list[Alarm]:
    moment = datetime.now(UTC)
    found = stages.warehouse.run(lambda conn: imagined(conn, policy, windows, moment))
    columns, of_windows = statuses(found.columns), subjects(found.windows)
    alarms = [alarm_of_window(policy, v) for v in found.windows if v.status == "alarm"]
    pinned: set[tuple[datetime, str, str, str]] = set()
    for at in range(0, len(windows), WINDOWS_A_READ):
        for window, kept in read(stages, windows[at : at + WINDOWS_A_READ]).kept.items():
            realized: set[tuple[str, str, str]] = set()
            for one in sorted(kept, key=lambda k: k.measurement.family == "estimated"):  # what is realized goes first
                place = (window.start, one.measurement.model_version, one.measurement.segment)
                verdict = verdict_on(policy, one, columns.get(place, {}), of_windows.get(place, {}), moment)
                alarms += _by_threshold(policy, one, verdict, realized)
                if one.measurement.family == "drift" and one.measurement.baseline == policy.baseline_names[0]:
                    pinned |= {(*place, name) for name in pinned_status(one.measurement, verdict)}
    return alarms + [alarm for row in found.columns for alarm in _of_columns(policy, row, pinned)]


def _of_columns(policy: Monitor, row: ColumnRow, pinned: set[tuple[datetime, str, str, str]]) -> list[Alarm]:
    number = number_of(row.window.start, policy.window)
    place = (row.window.start, row.model_version, row.segment)
    return [
        Alarm(number, "drift", name, role, row.segment, row.model_version, row.moved[i] or "threshold",
              float(row.effect[i]), float(row.q_value[i]), source=row.sources[i])
        for i, (name, role) in enumerate(zip(row.keys.columns, row.keys.roles, strict=True))
        if row.status[i] == ALARM and (*place, name) not in pinned
    ]  # fmt: skip


def _by_threshold(policy: Monitor, kept: Kept, verdict: Verdict, realized: set[tuple[str, str, str]]) -> list[Alarm]:
    """Alarms of pinned thresholds, and of quality metrics that always alarm.

    ``realized``: (version, segment, metric) of the window that final outcomes have judged; an estimate of the same
    raises no alarm. What is judged here is added.
    """
    m, number = kept.measurement, number_of(kept.window.start, policy.window)
    if m.family == "drift" and m.baseline != policy.baseline_names[0]:
        return []
    if m.family == "realized" and not verdict.mature:
        return []
    if m.family == "realized":
        judged = np.flatnonzero((verdict.flagged != NOT_JUDGED) & (np.array(verdict.source) == "declared")).tolist()
        realized |= {(m.model_version, m.segment, m.keys.metrics[i]) for i in judged}
    if m.family == "quality" and m.segment != EVERYTHING:
        return []
    found = []
    for i in (i for i, flag in enumerate(verdict.flagged.tolist()) if flag == FLAGGED):
        metric, column = m.keys.metrics[i], m.keys.columns[i]
        if verdict.source[i] != "declared" and not (m.family == "quality" and metric in ALWAYS_ALARM):
            continue
        if m.family == "estimated" and (m.model_version, m.segment, metric) in realized:
            continue
        kind = {"drift": "drift", "quality": kind_of_metric(metric), "fairness": "fairness"}.get(
            m.family, "performance"
        )
        guessed = ESTIMATED if m.family == "estimated" else ""
        on = WHOLE_ROWS if kind == "performance" else column
        value, threshold = float(m.value[i]), float(verdict.threshold[i])
        moved = "threshold" if kind == "drift" else metric
        detail = (m.detail[i] or "") if m.detail else ""
        if m.family == "fairness" and m.n_reference is not None:
            detail = detail or sizes_said(int(m.n[i]), int(m.n_reference[i]), m.baseline.partition("=")[2])
        found.append(
            Alarm(number, kind, on, m.keys.roles[i], m.segment, m.model_version, moved, value - threshold, None,
                  value, threshold, guessed, detail or guessed, verdict.source[i])
        )  # fmt: skip
    return found
