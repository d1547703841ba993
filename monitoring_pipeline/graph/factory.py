"""One monitor, one graph; several graphs and the sensors that serve all of them, one code location."""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg

from monitoring_pipeline.graph.automation import automation_sensor
from monitoring_pipeline.graph.checks import reference_gate, verdicts
from monitoring_pipeline.graph.evidently_report import evidently_asset
from monitoring_pipeline.graph.reference_asset import reference_asset
from monitoring_pipeline.graph.resources import MONITORING
from monitoring_pipeline.graph.schedules import windows_job
from monitoring_pipeline.graph.sensors import freshness_sensor, new_labels_sensor, stale_windows_sensor
from monitoring_pipeline.graph.windows import window_assets
from monitoring_pipeline.monitors import Monitor


def build_monitor_graph(monitor: Monitor) -> dg.Definitions:
    """Assets, checks and job of one monitor."""
    return dg.Definitions(
        assets=[reference_asset(monitor), window_assets(monitor), evidently_asset(monitor)],
        asset_checks=[reference_gate(monitor), verdicts(monitor)],
        jobs=[windows_job(monitor)],
        resources={"monitoring": MONITORING},
        executor=dg.in_process_executor,
    )


def build_fleet(monitors: Sequence[Monitor]) -> dg.Definitions:
    """The graphs of all monitors and the sensors they share: four, whatever their number; none without a monitor."""
    if not monitors:
        return dg.Definitions()
    sensors = [stale_windows_sensor(monitors), automation_sensor(monitors), freshness_sensor(monitors)]
    if any(monitor.ground_truth for monitor in monitors):
        sensors.append(new_labels_sensor([monitor for monitor in monitors if monitor.ground_truth]))
    return dg.Definitions.merge(
        *(build_monitor_graph(monitor) for monitor in monitors),
        dg.Definitions(sensors=sensors, resources={"monitoring": MONITORING}, executor=dg.in_process_executor),
    )
