"""Stored verdicts as alarms."""

from __future__ import annotations

from typing import Any

from monitoring_pipeline.alerting.incidents.alarm import WHOLE_ROWS, Alarm
from monitoring_pipeline.monitors import Monitor
from monitoring_pipeline.stages.drift_batches import number_of
from monitoring_pipeline.warehouse.incident_store import AlarmRows


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
            Alarm(number_of(r.window_start, size), _kind(r.metric), r.column_name, "", r.segment, r.model_version,
                  r.metric, _size(r.value, r.threshold), None, r.value, r.threshold, detail=r.detail or "",
                  source=r.threshold_source)
            for r in rows.quality
        ),
        *(
            Alarm(number_of(r.window_start, size), "performance", WHOLE_ROWS, "", r.segment, r.model_version, r.metric,
                  _size(r.value, r.threshold), None, r.value, r.threshold, source=r.threshold_source)
            for r in rows.performance
        ),
        *(
            Alarm(number_of(r.window_start, size), r.kind, WHOLE_ROWS, "", r.segment, r.model_version,
                  f"{r.contrast} of {r.subject}" if r.subject else r.contrast, r.effect or 0.0, r.q_value, r.value,
                  r.expected, r.cause, source=r.source)
            for r in rows.windows
        ),
    ]  # fmt: skip


def _kind(metric: str) -> Any:
    return {"volume_ratio": "volume", "label_coverage": "coverage"}.get(metric, "quality")


def _size(value: float | None, threshold: float | None) -> float:
    return 0.0 if value is None or threshold is None else value - threshold
