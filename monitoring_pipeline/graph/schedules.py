"""The job of a monitor: what a run of a range materializes, by hand, by schedule or by ``run``."""

from __future__ import annotations

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from monitoring_pipeline.graph.keys import EVIDENTLY, asset_key
from monitoring_pipeline.monitors import Monitor


def range_selection(monitor: Monitor) -> dg.AssetSelection:
    """Everything of the monitor but Evidently's report, which is asked for by name."""
    return dg.AssetSelection.groups(monitor.name) - dg.AssetSelection.assets(asset_key(monitor, EVIDENTLY))


def windows_job(monitor: Monitor) -> UnresolvedAssetJobDefinition:
    """``<monitor>_windows``: reference, windows and checks. Takes a partition or, by tags, a range of them."""
    return dg.define_asset_job(
        f"{monitor.name}_windows_job",
        selection=range_selection(monitor),
        description=f"All stages of {monitor.name} for a range of windows.",
        executor_def=dg.in_process_executor,
        tags={"monitoring/monitor": monitor.name},
    )
