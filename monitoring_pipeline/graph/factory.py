"""One monitor, one graph."""

from __future__ import annotations

import dagster as dg

from monitoring_pipeline.graph.automation import AUTOMATION, REFERENCE, automation_sensor, is_automated
from monitoring_pipeline.graph.checks import reference_gate, verdicts
from monitoring_pipeline.graph.evidently_report import evidently_asset
from monitoring_pipeline.graph.reference import reference_asset
from monitoring_pipeline.graph.resources import MONITORING
from monitoring_pipeline.graph.schedules import windows_job
from monitoring_pipeline.graph.sensors import new_labels_sensor, stale_windows_sensor
from monitoring_pipeline.graph.windows import window_assets
from monitoring_pipeline.monitors import Monitor


def build_monitor_graph(monitor: Monitor) -> dg.Definitions:
    """Assets, checks, job and sensors of one monitor. Merge the results of several to get a code location."""
    automated = is_automated(monitor)
    return dg.Definitions(
        assets=[
            reference_asset(monitor, REFERENCE if automated else None),
            window_assets(monitor, AUTOMATION if automated else {}),
            evidently_asset(monitor),
        ],
        asset_checks=[reference_gate(monitor), verdicts(monitor)],
        jobs=[windows_job(monitor)],
        sensors=[
            stale_windows_sensor(monitor),
            *([new_labels_sensor(monitor)] if monitor.ground_truth else []),
            *([automation_sensor(monitor)] if automated else []),
        ],
        resources={"monitoring": MONITORING},
        executor=dg.in_process_executor,
    )
