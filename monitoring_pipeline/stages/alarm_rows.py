"""Stored verdicts as alarms."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from monitoring_pipeline.alerting.incidents.alarm import ESTIMATED, WHOLE_ROWS, Alarm, Kind
from monitoring_pipeline.monitors import Monitor
from monitoring_pipeline.stages.drift_batches import number_of
from monitoring_pipeline.warehouse.incident_store import AlarmRows
from monitoring_pipeline.warehouse.window_verdict_store import WindowVerdict

KINDS: dict[str, Kind] = {"volume_ratio": "volume", "label_coverage": "coverage"}
# Violations that need no pinned threshold; shares of missing, unseen and outside values are judged as drift.
ALWAYS_ALARM = (
    "duplicate_share", "quarantined_share", "type_violation_share", "column_missing", "column_extra", "retyped",
)  # fmt: skip


def alarms_of(monitor: Monitor, rows: AlarmRows) -> list[Alarm]:
    """The rows that ``incident_store.alarm_rows`` reads, as alarms."""
    size = monitor.window
    return [
        *(
            Alarm(number_of(r.window_start, size), "drift", r.column_name, r.role, r.segment, r.model_version,
                  r.moved or "threshold", r.effect or 0.0, r.q_value, source=r.threshold_source)
            for r in rows.drift
        ),
        *(
            Alarm(number_of(r.window_start, size), kind_of_metric(r.metric), r.column_name, "", r.segment,
                  r.model_version, r.metric, _size(r.value, r.threshold), None, r.value, r.threshold,
                  detail=r.detail or "", source=r.threshold_source)
            for r in rows.quality
        ),
        *(
            Alarm(number_of(r.window_start, size), "performance", WHOLE_ROWS, "", r.segment, r.model_version, r.metric,
                  _size(r.value, r.threshold), None, r.value, r.threshold,
                  *((ESTIMATED, ESTIMATED) if r.kind == "estimated" else ("", "")), r.threshold_source)
            for r in rows.performance
        ),
        *(_of_window(monitor, r.window_start, r) for r in rows.windows),
        *(_of_parity(monitor, r) for r in rows.parity),
        *(_of_fairness(monitor, r) for r in rows.fairness),
    ]  # fmt: skip


def alarm_of_window(monitor: Monitor, verdict: WindowVerdict) -> Alarm:
    """A calibrated verdict on performance, volume or coverage as an alarm."""
    return _of_window(monitor, verdict.window.start, verdict)


def kind_of_metric(metric: str) -> Kind:
    """The kind of an alarm of a quality metric."""
    return KINDS.get(metric, "quality")


def _of_parity(monitor: Monitor, r: Any) -> Alarm:
    allowed = monitor.parity.allowed if monitor.parity else 0.0
    number = number_of(r.window_start, monitor.window)
    return Alarm(
        number, "quality", r.column_name, "feature", WHOLE_ROWS, "", "parity", r.value - allowed, None, r.value,
        allowed, detail=r.detail, source="declared",
    )  # fmt: skip


def sizes_said(n: int, n_reference: int, reference: str) -> str:
    """The rows behind two groups' rates, for a sentence."""
    return f"n {n:,}, against n {n_reference:,} of {reference}"


def _of_fairness(monitor: Monitor, r: Any) -> Alarm:
    return Alarm(
        number_of(r.window_start, monitor.window), "fairness", r.protected_column, "", r.segment, r.model_version,
        r.metric, r.value - r.threshold, None, r.value, r.threshold,
        detail=r.detail or sizes_said(r.n_group, r.n_reference_group, r.reference_group), source=r.threshold_source,
    )  # fmt: skip


def _of_window(monitor: Monitor, start: datetime, v: Any) -> Alarm:
    of_subject = v.subject and v.kind != "coverage"
    moved = f"{v.contrast} of {v.subject}" if of_subject else v.contrast
    detail = f"{v.subject} after the end of the window" if v.subject and not of_subject else ""
    return Alarm(
        number_of(start, monitor.window), v.kind, WHOLE_ROWS, "", v.segment, v.model_version, moved, v.effect or 0.0,
        v.q_value, v.value, v.expected, v.cause, detail, v.source,
    )  # fmt: skip


def _size(value: float | None, threshold: float | None) -> float:
    return 0.0 if value is None or threshold is None else value - threshold
