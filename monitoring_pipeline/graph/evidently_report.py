"""Evidently's HTML report: the magnifying glass. Of one window when asked for, of each declared period by itself."""

import warnings
from collections.abc import Sequence

import dagster as dg

from monitoring_pipeline.errors import UserError
from monitoring_pipeline.graph.keys import EVIDENTLY, asset_key, partitions_of
from monitoring_pipeline.graph.resources import MonitoringResource
from monitoring_pipeline.monitors import Monitor, Window
from monitoring_pipeline.stages import evidently_report as stage
from monitoring_pipeline.stages.context import StageContext

ASKED = "Evidently's drift and summary report of a window on a bounded sample. Materialize it manually."
DECLARED = (
    "Evidently's report of each {every} on a bounded sample, written with the {every}'s last window"
    " (`monitoring.evidently_report_current`); materialized alone: of that window."
)


def evidently_asset(monitor: Monitor) -> dg.AssetsDefinition:
    """Reads a bounded sample of the rows and of the reference. After the windows where it is part of their runs."""
    key = asset_key(monitor, EVIDENTLY)
    declared = monitor.evidently
    after = ["predictions", "reference", *(["incidents"] if declared else [])]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)  # backfill_policy is marked beta since it came

        @dg.asset(
            key=key,
            deps=[asset_key(monitor, name) for name in after],
            partitions_def=partitions_of(monitor),
            backfill_policy=dg.BackfillPolicy.single_run() if declared else None,
            group_name=monitor.name,
            kinds={"evidently", "html"},
            description=DECLARED.format(every=declared.every) if declared else ASKED,
        )
        def report(context: dg.AssetExecutionContext, monitoring: MonitoringResource) -> dg.MaterializeResult:
            windows = [Window.from_key(k, monitor.window) for k in context.partition_keys]
            alone = declared is None or (context.run.asset_selection == {key} and len(windows) == 1)
            made = _made(monitoring.stage_context(monitor, context.run.run_id), windows, alone=alone)
            failed = [f"{window}: {why}" for window, why in made.items() if isinstance(why, str)]
            if failed:
                raise dg.Failure(description="\n".join(failed[:10]), allow_retries=False)
            drawn = [one for one in made.values() if isinstance(one, stage.Report)]
            return dg.MaterializeResult(metadata=_metadata(drawn))

    return report


def _made(stages: StageContext, windows: list[Window], *, alone: bool) -> dict[Window, stage.Report | str]:
    if not alone:
        return stage.render_due(stages, windows)
    try:
        return {windows[0]: stage.render(stages, windows[0])}
    except UserError as error:
        raise dg.Failure(description=str(error), allow_retries=False) from error


def _metadata(drawn: Sequence[stage.Report]) -> dict[str, dg.MetadataValue]:
    """How many were written; where the newest lies and what it shows."""
    facts: dict[str, dg.MetadataValue] = {"reports": dg.MetadataValue.int(len(drawn))}
    if drawn:
        made = drawn[-1]
        facts |= {
            "report": dg.MetadataValue.path(str(made.path)),
            "open": dg.MetadataValue.url(made.path.as_uri()),
            "rows_of_window": dg.MetadataValue.int(made.n_current),
            "rows_of_reference": dg.MetadataValue.int(made.n_reference),
            "rows_with_outcome": dg.MetadataValue.int(made.n_labelled),
            "sampled": dg.MetadataValue.bool(made.sampled),
        }
        if made.performance:
            facts["performance"] = dg.MetadataValue.path(str(made.performance))
    return facts
