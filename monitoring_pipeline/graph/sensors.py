"""Sensors: what is stale becomes range runs; label files that have arrived become a batch.

Both are level-triggered: they look at what is, in Postgres, not at what happened, so a crash in between loses nothing.
Ranges already running are left alone. A window that has failed ``MAX_ATTEMPTS`` times on the same data is not tried
again; ``status`` lists it, and new data or labels for it start the count anew.
"""

from collections.abc import Iterator, Sequence

import dagster as dg

from monitoring_pipeline.graph.keys import AFTER_LABELS, WINDOWED, asset_key, range_tags
from monitoring_pipeline.graph.orphans import UNFINISHED, end_orphans
from monitoring_pipeline.graph.resources import MonitoringResource
from monitoring_pipeline.monitors import Monitor, Window
from monitoring_pipeline.stages import staleness
from monitoring_pipeline.stages.catalogue import assets_from
from monitoring_pipeline.windows import runs_of

MAX_ATTEMPTS = 3
MONITOR_TAG = "monitoring/monitor"
STAGE_TAG = "monitoring/from_stage"


def stale_windows_sensor(monitor: Monitor) -> dg.SensorDefinition:
    """Stale windows (late rows, late labels) as one range run per island of consecutive windows."""

    @dg.sensor(
        name=f"{monitor.name}_stale_windows",
        target=_selection(monitor, WINDOWED),
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Re-materializes exactly the windows that late rows or late labels have made stale.",
    )
    def stale_windows(
        context: dg.SensorEvaluationContext, monitoring: MonitoringResource
    ) -> Iterator[dg.RunRequest | dg.SkipReason]:
        if _unfinished(context, monitor):
            yield dg.SkipReason(f"a run of {monitor.name} is under way; what is stale after it comes next")
            return
        stale = staleness.stale(monitoring.stage_context(monitor, run_id="sensor"), MAX_ATTEMPTS)
        if not any(stale.values()):
            yield dg.SkipReason("nothing is stale")
        for stage, windows in stale.items():
            yield from _requests(monitor, stage, windows)

    return stale_windows


def new_labels_sensor(monitor: Monitor) -> dg.SensorDefinition:
    """Label files nobody has read yet: asks for the newest window's ground truth, whose run takes in the batch."""

    @dg.sensor(
        name=f"{monitor.name}_new_labels",
        target=_selection(monitor, AFTER_LABELS),
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Takes in ground truth as it arrives; the windows it touches become stale.",
    )
    def new_labels(
        context: dg.SensorEvaluationContext, monitoring: MonitoringResource
    ) -> Iterator[dg.RunRequest | dg.SkipReason]:
        if _unfinished(context, monitor):
            yield dg.SkipReason(f"a run of {monitor.name} is under way; it takes the labels in")
            return
        found = staleness.new_label_files(monitoring.stage_context(monitor, run_id="sensor"), MAX_ATTEMPTS)
        if not found.count or found.newest_window is None:
            yield dg.SkipReason("no label file is new" if not found.count else "no window is ingested yet")
            return
        yield from _requests(monitor, "ground_truth", [found.newest_window])

    return new_labels


def _requests(monitor: Monitor, stage: str, windows: Sequence[Window]) -> Iterator[dg.RunRequest]:
    """One request an island, for the stage and all after it.

    Tags, not run keys: a run key would keep a failed range from ever being asked for again.
    """
    for first, last in runs_of(windows):
        yield dg.RunRequest(
            asset_selection=[asset_key(monitor, name) for name in assets_from(stage)],
            tags={**range_tags(monitor, first, last), MONITOR_TAG: monitor.name, STAGE_TAG: stage},
        )


def _unfinished(context: dg.SensorEvaluationContext, monitor: Monitor) -> bool:
    end_orphans(context.instance)
    filters = dg.RunsFilter(tags={MONITOR_TAG: monitor.name}, statuses=UNFINISHED)
    return bool(context.instance.get_run_ids(filters, limit=1))


def _selection(monitor: Monitor, names: Sequence[str]) -> dg.AssetSelection:
    return dg.AssetSelection.assets(*(asset_key(monitor, name) for name in names))
