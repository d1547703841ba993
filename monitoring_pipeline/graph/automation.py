"""When a window's assets run by themselves.

Ingestion runs once an hour: a service's log and late rows are looked at then. What follows is eager for the newest
window: as soon as its parents are there, it is computed; Dagster groups all of them into one run. Older windows are the
business of the sensors, which ask Postgres what is stale.
"""

from __future__ import annotations

from datetime import UTC, datetime

import dagster as dg

from monitoring_pipeline.monitors import Monitor
from monitoring_pipeline.stages.catalogue import STAGES

HOURLY = "10 * * * *"
INGESTION = dg.AutomationCondition.on_cron(HOURLY).with_label("hourly, ten past, once the window has ended")
NEWEST_WINDOW = dg.AutomationCondition.eager().with_label("eager for the newest window")
# Not `on_missing`: that waits for an asset to become missing, and a new monitor's reference always was.
REFERENCE = (
    (dg.AutomationCondition.initial_evaluation() | dg.AutomationCondition.cron_tick_passed(HOURLY))
    & dg.AutomationCondition.missing()
    & ~dg.AutomationCondition.in_progress()
).with_label("at once when there is none, and hourly as long as it fails")

CONDITIONS = {"hourly": INGESTION, "eager": NEWEST_WINDOW}
AUTOMATION: dict[str, dg.AutomationCondition | None] = {stage.asset: CONDITIONS[stage.automation] for stage in STAGES}


def is_automated(monitor: Monitor, today: datetime | None = None) -> bool:
    """Whether windows still come: a replay, or a retired model, has none left to wait for. The sensors go on."""
    return monitor.end is None or (today or datetime.now(UTC)).date() <= monitor.end


def automation_sensor(monitor: Monitor) -> dg.AutomationConditionSensorDefinition:
    """``<monitor>_automation``: evaluates the conditions above; on as soon as the code location is loaded."""
    return dg.AutomationConditionSensorDefinition(
        f"{monitor.name}_automation",
        target=dg.AssetSelection.groups(monitor.name),
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=60,
        run_tags={"monitoring/monitor": monitor.name},
    )
