"""The reference asset: the labelled rows a model version was validated on fix bins and usual figures."""

import dagster as dg

from monitoring_pipeline import __version__
from monitoring_pipeline.errors import UserError
from monitoring_pipeline.graph.keys import asset_key
from monitoring_pipeline.graph.resources import MonitoringResource
from monitoring_pipeline.monitors import Monitor
from monitoring_pipeline.stages import reference as stage


def reference_asset(monitor: Monitor) -> dg.AssetsDefinition:
    """Unpartitioned; a re-run on the same rows and bins changes nothing."""

    @dg.asset(
        key=asset_key(monitor, "reference"),
        group_name=monitor.name,
        kinds={"duckdb", "postgres"},
        code_version=__version__,
        description=f"Profile of the labelled rows that {monitor.name} is compared with; fixes bins and categories.",
    )
    def reference(context: dg.AssetExecutionContext, monitoring: MonitoringResource) -> dg.MaterializeResult:
        try:
            outcome = stage.profile_reference(monitoring.stage_context(monitor, context.run.run_id))
        except UserError as error:
            raise dg.Failure(description=str(error), allow_retries=False) from error
        for said in outcome.cut:
            context.log.warning(said)
        facts: dict[str, dg.MetadataValue | str | int | bool] = {
            "rows": outcome.n_rows,
            "model_versions": ", ".join(outcome.model_versions),
            "columns": outcome.n_columns,
            "changed": outcome.changed,
        }
        if outcome.scored_by:
            facts["scored_by"] = outcome.scored_by
        if outcome.cut:
            facts["left_out"] = dg.MetadataValue.md("\n".join(f"- {said}" for said in outcome.cut))
        return dg.MaterializeResult(metadata=facts)

    return reference
