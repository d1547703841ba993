"""Evidently's HTML report of one window: the magnifying glass, on demand, outside the range run."""

import dagster as dg

from monitoring_pipeline.errors import UserError
from monitoring_pipeline.graph.keys import EVIDENTLY, asset_key, partitions_of
from monitoring_pipeline.graph.resources import MonitoringResource
from monitoring_pipeline.monitors import Monitor, Window
from monitoring_pipeline.stages import evidently_report as stage


def evidently_asset(monitor: Monitor) -> dg.AssetsDefinition:
    """One window a run; reads a bounded sample of the window and of the reference."""

    @dg.asset(
        key=asset_key(monitor, EVIDENTLY),
        deps=[asset_key(monitor, "predictions"), asset_key(monitor, "reference")],
        partitions_def=partitions_of(monitor),
        group_name=monitor.name,
        kinds={"evidently", "html"},
        description="Evidently's drift and summary report of a window on a bounded sample. Materialize it manually.",
    )
    def report(context: dg.AssetExecutionContext, monitoring: MonitoringResource) -> dg.MaterializeResult:
        window = Window.from_key(context.partition_key, monitor.window)
        try:
            made = stage.render(monitoring.stage_context(monitor, context.run.run_id), window)
        except UserError as error:
            raise dg.Failure(description=str(error), allow_retries=False) from error
        return dg.MaterializeResult(
            metadata={
                "report": dg.MetadataValue.path(str(made.path)),
                "open": dg.MetadataValue.url(made.path.as_uri()),
                "rows_of_window": made.n_current,
                "rows_of_reference": made.n_reference,
                "sampled": made.sampled,
            }
        )

    return report
