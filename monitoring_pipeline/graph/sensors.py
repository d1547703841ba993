"""Sensors: what is stale becomes range runs; label files that have come become a batch; rows that stay away are told.

One of each for the whole code location. They are level-triggered: they look at what is, in Postgres, not at what
happened, so a crash in between loses nothing. A monitor with an unfinished run is left alone. A window that has failed
``MAX_ATTEMPTS`` times on the same data is not tried again; ``status`` lists it, and new data or labels for it start the
count anew. A cursor names the monitor whose source is looked at first, when a tick did not come to all; that of the
stale windows keeps, too, the state of each ledger in which nothing was stale.
"""

import json
from collections.abc import Iterator, Sequence

import dagster as dg

from monitoring_pipeline.graph.automation import is_automated
from monitoring_pipeline.graph.keys import AFTER_LABELS, asset_key, assets_of
from monitoring_pipeline.graph.requests import answer, idle_of, of_islands
from monitoring_pipeline.graph.resources import MonitoringResource
from monitoring_pipeline.monitors import Monitor
from monitoring_pipeline.stages import freshness_watch, staleness


def stale_windows_sensor(monitors: Sequence[Monitor]) -> dg.SensorDefinition:
    """Stale windows (late rows, late labels) of all monitors as one range run per island of consecutive windows."""

    @dg.sensor(
        name="stale_windows",
        target=dg.AssetSelection.assets(*(asset_key(m, name) for m in monitors for name in assets_of(m))),
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Re-materializes exactly the windows that late rows or late labels made stale.",
    )
    def stale_windows(
        context: dg.SensorEvaluationContext, monitoring: MonitoringResource
    ) -> Iterator[dg.RunRequest | dg.SkipReason]:
        idle = idle_of(context, monitoring, monitors, while_retrained=True)
        before = json.loads(context.cursor or "{}")
        looked = staleness.look_at_new_files(idle, before.get("look_first"))
        stale, fresh = staleness.stale(idle, before.get("fresh", {}))
        context.update_cursor(json.dumps({"look_first": looked.next_monitor, "fresh": fresh}))
        requests = [
            request
            for stages in idle
            for stage, windows in stale.get(stages.monitor.name, {}).items()
            for request in of_islands(stages.monitor, stage, windows)
        ]
        yield from answer(context, requests, "nothing is stale", looked)

    return stale_windows


def new_labels_sensor(monitors: Sequence[Monitor]) -> dg.SensorDefinition:
    """Label files nobody has read yet: asks for the newest window's ground truth, whose run takes in the batch."""

    @dg.sensor(
        name="new_labels",
        target=_selection(monitors, AFTER_LABELS),
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Ingests new ground truth; the affected windows become stale.",
    )
    def new_labels(
        context: dg.SensorEvaluationContext, monitoring: MonitoringResource
    ) -> Iterator[dg.RunRequest | dg.SkipReason]:
        idle = idle_of(context, monitoring, monitors, while_retrained=True)
        found, looked = staleness.new_labels(idle, context.cursor or None)
        context.update_cursor(looked.next_monitor or "")
        requests = [
            request
            for stages in idle
            if stages.monitor.name in found
            for request in of_islands(stages.monitor, "ground_truth", [found[stages.monitor.name]])
        ]
        yield from answer(context, requests, "no new label files", looked)

    return new_labels


def freshness_sensor(monitors: Sequence[Monitor]) -> dg.SensorDefinition:
    """Rows that stay away: no run looks while nothing arrives. Starts no run; it writes verdicts and incidents."""

    @dg.sensor(
        name="freshness",
        minimum_interval_seconds=300,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Judges whether the rows of a window stay away longer than usual, and opens the incident.",
    )
    def freshness(context: dg.SensorEvaluationContext, monitoring: MonitoringResource) -> dg.SkipReason:
        idle = [stages for stages in idle_of(context, monitoring, monitors) if is_automated(stages.monitor)]
        looked = freshness_watch.watch(idle, json.loads(context.cursor or "{}"))
        context.update_cursor(json.dumps(looked))
        overdue = ", ".join(sorted(looked))
        return dg.SkipReason(f"overdue: {overdue}" if overdue else "no window is overdue")

    return freshness


def _selection(monitors: Sequence[Monitor], names: Sequence[str]) -> dg.AssetSelection:
    return dg.AssetSelection.assets(*(asset_key(monitor, name) for monitor in monitors for name in names))
