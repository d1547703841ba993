"""The assets of a window, one for each stage of the catalogue.

They are one ``multi_asset`` rather than an op each, for one reason: a window that fails must fail alone. Dagster skips
what follows a failed op, for every window of the range. Here a stage passes the windows that went well on to the next
stage, each good (asset, window) is recorded as materialized, and only then the run ends failed, naming the bad windows.
Any subset of them can still be selected.
"""

import warnings
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import dagster as dg

from monitoring_pipeline import __version__
from monitoring_pipeline.errors import UserError, WarehouseError
from monitoring_pipeline.graph import pictures
from monitoring_pipeline.graph.keys import WINDOWED, asset_key, partitions_of
from monitoring_pipeline.graph.resources import MonitoringResource
from monitoring_pipeline.monitors import Monitor, Window
from monitoring_pipeline.stages import retention
from monitoring_pipeline.stages.catalogue import BY_ASSET, STAGES
from monitoring_pipeline.stages.context import StageContext, WindowOutcome, all_failed, good_windows
from monitoring_pipeline.stages.working import work


def window_assets(monitor: Monitor) -> dg.AssetsDefinition:
    """The assets of ``monitor``'s windows; any range of them runs in one run."""
    partitions = partitions_of(monitor)
    specs = [
        dg.AssetSpec(
            asset_key(monitor, stage.asset),
            deps=[asset_key(monitor, parent) for parent in stage.parents],
            description=stage.description,
            partitions_def=partitions,
            group_name=monitor.name,
            kinds=set(stage.kinds),
            code_version=__version__,
            owners=[f"team:{monitor.owner.team}"] if monitor.owner.team else None,
        )
        for stage in STAGES
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)  # backfill_policy is marked beta since it came

        @dg.multi_asset(
            name=f"{monitor.name}_windows",
            specs=specs,
            can_subset=True,
            backfill_policy=dg.BackfillPolicy.single_run(),
            pool=f"windows_{monitor.name}",
        )
        def windows(context: dg.AssetExecutionContext, monitoring: MonitoringResource) -> Iterator[object]:
            stages = monitoring.stage_context(monitor, context.run.run_id)
            selected = [name for name in WINDOWED if asset_key(monitor, name) in context.selected_asset_keys]
            asked = [Window.from_key(key, monitor.window) for key in context.partition_keys]
            pending = retention.still_computed(stages, asked, datetime.now(UTC))
            if len(pending) < len(asked):
                context.log.info(f"{len(asked) - len(pending)} windows past their `retention` are skipped")
            failures: list[WindowOutcome] = []
            for name in selected:
                outcomes = _of_stage(name, stages, pending)
                yield from _record(context, monitor, name, outcomes, pictures.of_stage(stages, name, pending))
                failures += [outcome for outcome in outcomes if outcome.failed]
                pending = good_windows(outcomes)
            if failures:
                raise _failure(monitor, failures)

    return windows


def _of_stage(name: str, stages: StageContext, pending: Sequence[Window]) -> list[WindowOutcome]:
    """How the stage went; what stops it as a whole (a source that is away) is a failure of each window, counted as
    such.
    """
    try:
        return work(BY_ASSET[name], stages, pending)
    except WarehouseError as error:
        raise dg.Failure(description=str(error), allow_retries=False) from error
    except UserError as error:
        return all_failed(stages, BY_ASSET[name].name, pending, str(error))


def _record(
    context: dg.AssetExecutionContext,
    monitor: Monitor,
    name: str,
    outcomes: Sequence[WindowOutcome],
    shown: dict[str, dg.MetadataValue],
) -> Iterator[object]:
    """Materialization events of the windows that went well, each with its own facts; the last one has the pictures.

    A picture speaks of the whole range, and Dagster would keep a copy of it for every window.
    """
    key = asset_key(monitor, name)
    good = [outcome for outcome in outcomes if not outcome.failed]
    whole_range = len(good) == len(context.partition_keys)
    for outcome in good:
        partition = outcome.window.key(monitor.window)
        facts = {k: v for k, v in outcome.facts.items() if v is not None} | (shown if outcome is good[-1] else {})
        if whole_range:
            context.add_asset_metadata(facts, asset_key=key, partition_key=partition)
        else:
            yield dg.AssetMaterialization(key, partition=partition, metadata=facts)
    if whole_range:
        yield dg.MaterializeResult(asset_key=key)


def _failure(monitor: Monitor, failures: Sequence[WindowOutcome]) -> dg.Failure:
    """Names every bad window with its reason; the first ten in the headline."""
    lines = [f"{f.window.key(monitor.window)} ({f.stage}): {f.error}" for f in failures]
    more = f"\n… and {len(lines) - 10} more, see the metadata" if len(lines) > 10 else ""
    return dg.Failure(
        description=f"{len(lines)} window(s) of {monitor.name} failed; the others succeeded.\n"
        + "\n".join(lines[:10])
        + more,
        metadata={"failed_windows": dg.MetadataValue.md("\n".join(f"- {line}" for line in lines))},
        allow_retries=False,
    )
