"""What runs by itself: references that are missing, windows that have ended, and a new monitor's history.

Dagster's own automation conditions are not used: they evaluate every asset of every monitor each time, at a cost that
grows with the fleet, and know nothing of the rows in a source. Postgres and the clock say the same in a few statements.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

import dagster as dg

from monitoring_pipeline.graph.keys import asset_key, assets_of, range_tags
from monitoring_pipeline.graph.requests import MONITOR_TAG, MOST_REQUESTS, STAGE_TAG, answer, idle_of
from monitoring_pipeline.graph.resources import MonitoringResource
from monitoring_pipeline.monitors import Monitor
from monitoring_pipeline.stages import staleness
from monitoring_pipeline.stages.catalogue import STAGES
from monitoring_pipeline.stages.context import StageContext

REFERENCES_A_RUN = 25
"""References of so many monitors are profiled by one run: starting a run costs more than a reference."""


def is_automated(monitor: Monitor, today: datetime | None = None) -> bool:
    """Whether windows still come: a replay, or a retired model, has none left to wait for. The other sensors go on."""
    return not monitor.paused and (monitor.end is None or (today or datetime.now(UTC)).date() <= monitor.end)


def automation_sensor(monitors: Sequence[Monitor]) -> dg.SensorDefinition:
    """``automation``: one for the code location; on as soon as that is loaded.

    The cursor is JSON: for each monitor whose reference is missing or whose log is a table, the hour it was asked for.
    """

    @dg.sensor(
        name="automation",
        target=dg.AssetSelection.assets(
            *(asset_key(m, name) for m in monitors for name in ("reference", *assets_of(m)))
        ),
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=(
            "Profiles missing references, ingests each window ten minutes after its end, and backfills a new monitor's"
            " history, newest windows first."
        ),
    )
    def automation(
        context: dg.SensorEvaluationContext, monitoring: MonitoringResource
    ) -> Iterator[dg.RunRequest | dg.SkipReason]:
        now = datetime.now(UTC)
        asked: dict[str, str] = json.loads(context.cursor or "{}")
        idle = [s for s in idle_of(context, monitoring, monitors, while_retrained=True) if is_automated(s.monitor, now)]
        missing = set(staleness.without_reference(idle))
        first_asked = _due_hourly([s for s in idle if s.monitor.name in missing], asked, now)
        ready = [s for s in idle if s.monitor.name not in missing]
        tables = _due_hourly([s for s in ready if s.monitor.predictions.url is not None], asked, now)
        looked, windows = _windows(ready, {s.monitor.name for s in tables}, now)
        requests = [*_references([s.monitor for s in first_asked]), *windows][:MOST_REQUESTS]
        requested = {request.tags.get(MONITOR_TAG) for request in requests}
        known = {m.name for m in monitors}
        asked |= {s.monitor.name: _hour(now) for s in first_asked}
        asked |= {s.monitor.name: _hour(now) for s in tables if s.monitor.name in requested}
        context.update_cursor(json.dumps({name: hour for name, hour in asked.items() if name in known}))
        yield from answer(context, requests, "no window is due", looked)

    return automation


def _hour(now: datetime) -> str:
    """The hour that began ten minutes past."""
    return f"{now - staleness.GRACE:%Y-%m-%dT%H}"


def _due_hourly(fleet: Sequence[StageContext], asked: Mapping[str, str], now: datetime) -> list[StageContext]:
    return [stages for stages in fleet if asked.get(stages.monitor.name) != _hour(now)]


def _references(monitors: Sequence[Monitor]) -> Iterator[dg.RunRequest]:
    for at in range(0, len(monitors), REFERENCES_A_RUN):
        together = monitors[at : at + REFERENCES_A_RUN]
        yield dg.RunRequest(asset_selection=[asset_key(m, "reference") for m in together])


def _windows(
    fleet: Sequence[StageContext], again: set[str], now: datetime
) -> tuple[staleness.Looked, list[dg.RunRequest]]:
    looked = staleness.look_at_new_files(fleet, first_look=True)
    unseen = {s.monitor.name for s in fleet if _is_unseen(s.monitor, looked)}
    left = {looked.next_monitor, *looked.errors} if looked.next_monitor else {*looked.errors}
    asked = [s for s in fleet if s.monitor.name not in left]
    found = staleness.new_windows(asked, unseen, again, now)
    of = {s.monitor.name: s.monitor for s in fleet}
    return looked, [
        dg.RunRequest(
            asset_selection=[asset_key(of[name], asset) for asset in assets_of(of[name])],
            tags={**range_tags(of[name], first, last), MONITOR_TAG: name, STAGE_TAG: STAGES[0].name},
        )
        for name, (first, last) in sorted(found.items(), key=lambda one: one[1][1].end, reverse=True)
    ]


def _is_unseen(monitor: Monitor, looked: staleness.Looked) -> bool:
    n_new = looked.by_monitor.get(monitor.name, 0)
    return monitor.predictions.url is not None or n_new > staleness.MOST_NEW_FILES
