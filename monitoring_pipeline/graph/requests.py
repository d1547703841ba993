"""What the sensors share: which monitors are idle, and how a run is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import dagster as dg

from monitoring_pipeline.graph.keys import asset_key, assets_of, range_tags
from monitoring_pipeline.graph.orphans import unfinished_runs
from monitoring_pipeline.graph.resources import MonitoringResource
from monitoring_pipeline.monitors import Monitor, Window
from monitoring_pipeline.stages.context import StageContext
from monitoring_pipeline.stages.resting import LOOK_BACK, FailedRun, resting
from monitoring_pipeline.stages.staleness import Looked
from monitoring_pipeline.windows import runs_of

MONITOR_TAG = "monitoring/monitor"
STAGE_TAG = "monitoring/from_stage"
RETRAIN_TAG = "monitoring/retrain"
"""Marks the runs that retrain: windows go on meanwhile."""
MOST_LOOKED_AT = 500  # failed runs of the last hours
MOST_REQUESTS = 50
"""Most runs that one tick asks for; what is left is still there at the next."""


def idle_of(
    context: dg.SensorEvaluationContext,
    monitoring: MonitoringResource,
    monitors: Sequence[Monitor],
    while_retrained: bool = False,
) -> list[StageContext]:
    """The monitors that are not paused, have no unfinished run and do not rest; ends orphaned runs first.

    ``while_retrained``: a run that retrains does not count; training takes long, and windows need not wait for it.
    """
    busy: set[str] = set()
    for run in unfinished_runs(context.instance):
        if while_retrained and RETRAIN_TAG in run.tags:
            continue
        busy |= {key.path[0] for key in run.asset_selection or ()} | {run.tags.get(MONITOR_TAG, "")}
    idle = [
        monitoring.stage_context(monitor, run_id="sensor")
        for monitor in monitors
        if not monitor.paused and monitor.name not in busy
    ]
    resting = _resting(context, idle)
    return [stages for stages in idle if stages.monitor.name not in resting]


def _resting(context: dg.SensorEvaluationContext, idle: Sequence[StageContext]) -> dict[str, datetime]:
    """Those of the monitors whose runs keep ending before they note anything, and until when; logs them."""
    now = datetime.now(UTC)
    wanted = dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE], updated_after=now - LOOK_BACK)
    failed: dict[str, list[FailedRun]] = {stages.monitor.name: [] for stages in idle}
    for record in context.instance.get_run_records(wanted, limit=MOST_LOOKED_AT) if idle else ():
        ended = record.update_timestamp if record.end_time is None else datetime.fromtimestamp(record.end_time, UTC)
        if RETRAIN_TAG in record.dagster_run.tags:
            continue  # retraining notes its attempts elsewhere
        run = FailedRun(record.create_timestamp, ended)
        failed.get(record.dagster_run.tags.get(MONITOR_TAG, ""), []).append(run)
    found = resting(idle[0].warehouse, failed, now) if idle else {}
    for name, until in found.items():
        context.log.warning(
            "%s: its last runs ended before any stage completed or failed; see their logs in Dagster. No run is asked"
            " for before %s", name, f"{until:%H:%M} UTC"
        )  # fmt: skip
    return found


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
