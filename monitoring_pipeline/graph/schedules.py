"""The job of a monitor: what a run of a range materializes, by hand, by schedule or by ``run``."""

from __future__ import annotations

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from monitoring_pipeline.graph.keys import EVIDENTLY, RETRAINING, asset_key
from monitoring_pipeline.graph.requests import MONITOR_TAG, RETRAIN_TAG
from monitoring_pipeline.monitors import Monitor


def range_selection(monitor: Monitor) -> dg.AssetSelection:
    """Everything of the monitor but retraining, and Evidently's report where the monitor does not declare how often."""
    apart = [*(RETRAINING if is_retrained(monitor) else ()), *(() if monitor.evidently else (EVIDENTLY,))]
    others = dg.AssetSelection.assets(*(asset_key(monitor, name) for name in apart))
    return dg.AssetSelection.groups(monitor.name) - others


def is_retrained(monitor: Monitor) -> bool:
    """Whether the monitor says how a challenger is trained, and has outcomes to learn from."""
    declared = monitor.retrain.trainer or monitor.retrain.estimator
    return bool(declared) and monitor.ground_truth is not None


def windows_job(monitor: Monitor) -> UnresolvedAssetJobDefinition:
    """``<monitor>_windows``: reference, windows and checks. Takes a partition or, by tags, a range of them."""
    return dg.define_asset_job(
        f"{monitor.name}_windows_job",
        selection=range_selection(monitor),
        description=f"All stages of {monitor.name} for a range of windows.",
        executor_def=dg.in_process_executor,
        tags={"monitoring/monitor": monitor.name},
    )


def retrain_job(monitor: Monitor) -> UnresolvedAssetJobDefinition:
    """``retrain_<monitor>``: carries on the open attempt, or the oldest decision to retrain that waits."""
    return dg.define_asset_job(
        retrain_job_name(monitor),
        selection=dg.AssetSelection.assets(*(asset_key(monitor, name) for name in RETRAINING)),
        description=f"Trains a challenger of {monitor.name}, compares it with the champion, promotes it if it may.",
        executor_def=dg.in_process_executor,
        tags={MONITOR_TAG: monitor.name, RETRAIN_TAG: "true"},
    )


def retrain_job_name(monitor: Monitor) -> str:
    """``retrain_<monitor>``."""
    return f"retrain_{monitor.name}"
