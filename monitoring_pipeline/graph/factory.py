"""One monitor, one graph; several graphs and the sensors that serve all of them, one code location."""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from monitoring_pipeline.graph.automation import automation_sensor
from monitoring_pipeline.graph.checks import reference_gate, verdicts
from monitoring_pipeline.graph.evidently_report import evidently_asset
from monitoring_pipeline.graph.parity_asset import parity_asset
from monitoring_pipeline.graph.reference_asset import reference_asset
from monitoring_pipeline.graph.resources import MONITORING
from monitoring_pipeline.graph.retrain_assets import retrain_assets
from monitoring_pipeline.graph.retrain_sensor import retrain_sensor
from monitoring_pipeline.graph.schedules import is_retrained, retrain_job, windows_job
from monitoring_pipeline.graph.sensors import freshness_sensor, new_labels_sensor, stale_windows_sensor
from monitoring_pipeline.graph.windows import window_assets
from monitoring_pipeline.monitors import Monitor


def build_monitor_graph(monitor: Monitor, retraining: UnresolvedAssetJobDefinition | None = None) -> dg.Definitions:
    """Assets, checks and jobs of one monitor; those of retraining where it declares how a challenger is trained.

    ``retraining``: its job, where a sensor names the same one; made here when None.
    """
    assets = [reference_asset(monitor), window_assets(monitor), evidently_asset(monitor)]
    jobs = [windows_job(monitor)]
    if monitor.parity:
        assets.append(parity_asset(monitor))
    if is_retrained(monitor):
        assets.append(retrain_assets(monitor))
        jobs.append(retraining or retrain_job(monitor))
    return dg.Definitions(
        assets=assets,
        asset_checks=[reference_gate(monitor), verdicts(monitor)],
        jobs=jobs,
        resources={"monitoring": MONITORING},
        executor=dg.in_process_executor,
    )


def build_fleet(monitors: Sequence[Monitor]) -> dg.Definitions:
    """The graphs of all monitors and the sensors they share, whatever their number; none without a monitor."""
    if not monitors:
        return dg.Definitions()
    sensors = [stale_windows_sensor(monitors), automation_sensor(monitors), freshness_sensor(monitors)]
    if any(monitor.ground_truth for monitor in monitors):
        sensors.append(new_labels_sensor([monitor for monitor in monitors if monitor.ground_truth]))
    retrained = [monitor for monitor in monitors if is_retrained(monitor) and monitor.retrain.enabled]
    jobs = {monitor.name: retrain_job(monitor) for monitor in retrained}
    if retrained:
        sensors.append(retrain_sensor(retrained, list(jobs.values())))
    return dg.Definitions.merge(
        *(build_monitor_graph(monitor, jobs.get(monitor.name)) for monitor in monitors),
        dg.Definitions(sensors=sensors, resources={"monitoring": MONITORING}, executor=dg.in_process_executor),
    )
