"""Stored verdicts as alarms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from monitoring_pipeline.alerting.incidents.alarm import WHOLE_ROWS, Alarm
from monitoring_pipeline.monitors import Monitor
from monitoring_pipeline.stages.drift_batches import number_of


def alarms_of(
    monitor: Monitor, drift: Sequence[Any], quality: Sequence[Any], performance: Sequence[Any]
) -> list[Alarm]:
    """The rows that ``incident_store.alarm_rows`` reads, as alarms."""
    size = monitor.window
    return [
        *(
            Alarm(number_of(r.window_start, size), "drift", r.column_name, r.role, r.segment, r.model_version,
                  r.moved or "threshold", r.effect or 0.0, r.q_value, source=r.threshold_source)
            for r in drift
        ),
        *(
            Alarm(number_of(r.window_start, size), _kind(r.metric), r.column_name, "", r.segment, r.model_version,
                  r.metric, _size(r.value, r.threshold), None, r.value, r.threshold, detail=r.detail or "",
                  source=r.threshold_source)
            for r in quality
        ),
        *(
            Alarm(number_of(r.window_start, size), "performance", WHOLE_ROWS, "", r.segment, r.model_version, r.metric,
                  _size(r.value, r.threshold), None, r.value, r.threshold, source=r.threshold_source)
            for r in performance
        ),
    ]  # fmt: skip


def _kind(metric: str) -> Any:
    return {"volume_ratio": "volume", "label_coverage": "coverage"}.get(metric, "quality")


def _size(value: float | None, threshold: float | None) -> float:
    return 0.0 if value is None or threshold is None else value - threshold
