"""Train-serve parity of the windows of a monitor that declares how its features are computed again."""

import warnings

import dagster as dg

from monitoring_pipeline.errors import UserError
from monitoring_pipeline.graph.keys import PARITY, asset_key, partitions_of
from monitoring_pipeline.graph.resources import MonitoringResource
from monitoring_pipeline.monitors import Monitor, Window
from monitoring_pipeline.stages import parity as stage


def parity_asset(monitor: Monitor) -> dg.AssetsDefinition:
    """Any range of windows in one run; windows that cannot be compared fail alone and are named."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)  # backfill_policy is marked beta since it came

        @dg.asset(
            key=asset_key(monitor, PARITY),
            deps=[asset_key(monitor, "predictions"), asset_key(monitor, "incidents")],
            partitions_def=partitions_of(monitor),
            backfill_policy=dg.BackfillPolicy.single_run(),
            group_name=monitor.name,
            kinds={"postgres"},
            description="Sampled predictions whose features were computed again and compared with those served"
            " (`monitoring.parity_current`).",
        )
        def parity(context: dg.AssetExecutionContext, monitoring: MonitoringResource) -> dg.MaterializeResult:
            windows = [Window.from_key(key, monitor.window) for key in context.partition_keys]
            try:
                found = stage.measure(monitoring.stage_context(monitor, context.run.run_id), windows)
            except UserError as error:
                raise dg.Failure(description=str(error), allow_retries=False) from error
            bad = [f"{window.key(monitor.window)}: {error}" for window, error in found.items() if error is not None]
            if bad:
                said = "\n".join(bad[:10])
                raise dg.Failure(description=f"{len(bad)} window(s) could not be compared; the others were.\n{said}",
                                 allow_retries=False)  # fmt: skip
            return dg.MaterializeResult(metadata={"windows": len(found)})

    return parity
