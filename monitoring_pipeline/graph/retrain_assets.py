"""The assets of a retraining: training set, candidate, evaluation, comparison, promotion.

They are one ``multi_asset``: from the first step to the last one process owns the attempt, and what it holds (rows,
scores) need not be read again. Each asset is materialized when its step is written; an attempt that waits, or whose
champion stays, leaves the later ones as they are.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import dagster as dg

from monitoring_pipeline import __version__
from monitoring_pipeline.errors import UserError
from monitoring_pipeline.graph.keys import RETRAINING, asset_key
from monitoring_pipeline.graph.resources import MonitoringResource
from monitoring_pipeline.monitors import Monitor
from monitoring_pipeline.retraining.context import RetrainContext

if TYPE_CHECKING:
    from monitoring_pipeline.stages.retraining import Done

PARENTS = {
    "training_set": ("predictions", "ground_truth"),
    "candidate": ("training_set",),
    "evaluation": ("candidate",),
    "comparison": ("candidate", "evaluation"),
    "promotion": ("comparison",),
}
PATHS = ("artifact", "pointer")
DESCRIPTIONS = {
    "training_set": "Labelled rows that had arrived by the decision's cut; every fifth day is held out.",
    "candidate": "The challenger, trained in a process of its own, kept as a verified artifact"
    " (`monitoring.model_version_current`).",
    "evaluation": "The challenger on its held-out days, which become its reference"
    " (`monitoring.training_metric_current`).",
    "comparison": "Challenger against champion on rows neither was trained on (`monitoring.model_comparison_current`).",
    "promotion": "The challenger in service; `champion.json` says it to services (`monitoring.promotion_current`).",
}


def retrain_assets(monitor: Monitor) -> dg.AssetsDefinition:
    """The assets of ``monitor``'s retraining; one run carries on one attempt."""
    trained_by = "scikitlearn" if monitor.retrain.estimator else "python"
    kinds = {"training_set": {"duckdb"}, "candidate": {trained_by}}
    specs = [
        dg.AssetSpec(
            asset_key(monitor, name),
            deps=[asset_key(monitor, parent) for parent in PARENTS[name]],
            description=DESCRIPTIONS[name],
            group_name=monitor.name,
            kinds=kinds.get(name, {"postgres"}),
            code_version=__version__,
            owners=[f"team:{monitor.owner.team}"] if monitor.owner.team else None,
            skippable=True,
        )
        for name in RETRAINING
    ]

    @dg.multi_asset(name=f"{monitor.name}_retraining", specs=specs, can_subset=False, pool=f"retrain_{monitor.name}")
    def retraining(context: dg.AssetExecutionContext, monitoring: MonitoringResource) -> Iterator[object]:
        from monitoring_pipeline.stages.retraining import steps  # scikit-learn: not at every load of the code location

        stages = monitoring.stage_context(monitor, context.run.run_id)
        ctx = RetrainContext(monitor, stages.warehouse, stages.settings, context.run.run_id)
        done = None
        try:
            for done in steps(ctx):
                if done.attempt.state == "failed":
                    break
                yield dg.MaterializeResult(asset_key=asset_key(monitor, done.step), metadata=_metadata(done))
        except UserError as error:
            raise dg.Failure(description=str(error), allow_retries=False) from error
        _say(context, monitor, done)

    return retraining


def _metadata(done: "Done") -> dict[str, dg.MetadataValue | str | int | float]:
    from monitoring_pipeline.graph import retrain_pictures

    shown: dict[str, dg.MetadataValue | str | int | float] = {}
    for name, value in done.facts.items():
        if value is not None:
            shown[name] = dg.MetadataValue.path(str(value)) if name in PATHS else value
    return shown | retrain_pictures.of_step(done)


def _say(context: dg.AssetExecutionContext, monitor: Monitor, done: "Done | None") -> None:
    """How the run ended, where its assets do not show it. Raises the failure of the attempt."""
    if done is None:
        context.log.info(
            f"Nothing of {monitor.name} waits to be retrained, or another process is at it;"
            f" `monitoring-pipeline retrain {monitor.name}` asks for a retraining."
        )
    elif done.attempt.state == "failed":
        raise dg.Failure(
            description=f"attempt {done.attempt.attempt_id} failed in {done.attempt.failed_in}: {done.attempt.error}",
            allow_retries=False,
        )
    else:
        context.log.info(f"attempt {done.attempt.attempt_id}: {done.attempt.state}. {done.attempt.reason or ''}")
