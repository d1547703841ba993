"""What the sensors share: which monitors are idle, and how a run is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import dagster as dg

from monitoring_pipeline.graph.keys import asset_key, assets_of, range_tags
from monitoring_pipeline.graph.orphans import unfinished_runs
from monitoring_pipeline.graph.resources import MonitoringResource
from monitoring_pipeline.monitors import Monitor, Window
from monitoring_pipeline.stages.context import StageContext
from monitoring_pipeline.stages.staleness import Looked
from monitoring_pipeline.windows import runs_of

MONITOR_TAG = "monitoring/monitor"
STAGE_TAG = "monitoring/from_stage"
RETRAIN_TAG = "monitoring/retrain"
"""Marks the runs that retrain: windows go on meanwhile."""
MOST_REQUESTS = 50
"""Most runs that one tick asks for; what is left is still there at the next."""


def idle_of(
    context: dg.SensorEvaluationContext,
    monitoring: MonitoringResource,
    monitors: Sequence[Monitor],
    while_retrained: bool = False,
) -> list[StageContext]:
    """The monitors that are not paused and have no unfinished run; ends orphaned runs first.

    ``while_retrained``: a run that retrains does not count; training takes long, and windows need not wait for it.
    """
    busy: set[str] = set()
    for run in unfinished_runs(context.instance):
        if while_retrained and RETRAIN_TAG in run.tags:
            continue
        busy |= {key.path[0] for key in run.asset_selection or ()} | {run.tags.get(MONITOR_TAG, "")}
    return [
        monitoring.stage_context(monitor, run_id="sensor")
        for monitor in monitors
        if not monitor.paused and monitor.name not in busy
    ]


def of_islands(monitor: Monitor, stage: str, windows: Sequence[Window]) -> Iterator[dg.RunRequest]:
    """One request for each island of consecutive windows, for the stage and all after it.

    Tags, not run keys: a run key would keep a failed range from ever being asked for again.
    """
    for first, last in runs_of(windows):
        yield dg.RunRequest(
            asset_selection=[asset_key(monitor, name) for name in assets_of(monitor, stage)],
            tags={**range_tags(monitor, first, last), MONITOR_TAG: monitor.name, STAGE_TAG: stage},
        )


def answer(
    context: dg.SensorEvaluationContext, requests: Sequence[dg.RunRequest], nothing: str, looked: Looked
) -> Sequence[dg.RunRequest | dg.SkipReason]:
    """The first ``MOST_REQUESTS`` requests, or why there are none; sources that could not be looked at are named."""
    for name, error in looked.errors.items():
        context.log.warning("%s: %s", name, error)
    if requests:
        return requests[:MOST_REQUESTS]
    return [dg.SkipReason("; ".join([nothing, *(f"{name}: {error}" for name, error in looked.errors.items())]))]
