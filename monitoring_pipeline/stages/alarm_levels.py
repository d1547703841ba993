"""What of the declared budget one window may spend on a kind of alarm."""

from __future__ import annotations

from monitoring_pipeline.alerting.budget import Kind, level
from monitoring_pipeline.monitors import Monitor
from monitoring_pipeline.windows import LENGTH


def level_of(monitor: Monitor, kind: Kind) -> float:
    """Largest q-value that alarms; 0: nothing does."""
    return level(monitor.alarms, kind, LENGTH[monitor.window].total_seconds())
