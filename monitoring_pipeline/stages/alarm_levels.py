"""What of the declared budget one window may spend on a kind of alarm."""

from __future__ import annotations

from monitoring_pipeline.alerting.budget import Kind, levels, windows_a_month
from monitoring_pipeline.monitors import Monitor
from monitoring_pipeline.windows import LENGTH


def level_of(monitor: Monitor, kind: Kind) -> float:
    """Largest q-value that alarms; 0: nothing does."""
    a_month = windows_a_month(LENGTH[monitor.window].total_seconds())
    return levels(monitor.alarms.budget, getattr(monitor.alarms.shares, kind), a_month)
