"""When a window's assets run by themselves.

Ingestion runs once an hour: a service's log and late rows are looked at then. What follows is eager for the newest window:
as soon as its parents are there, it is computed; Dagster groups all of them into one run. Older windows are the business of
the sensors, which ask Postgres what is stale.
"""

from __future__ import annotations

import dagster as dg

INGESTION = dg.AutomationCondition.on_cron("10 * * * *").with_label("hourly, ten past, once the window has ended")
NEWEST_WINDOW = dg.AutomationCondition.eager().with_label("eager for the newest window")
REFERENCE = dg.AutomationCondition.on_missing().with_label("once, when there is none")

AUTOMATION: dict[str, dg.AutomationCondition | None] = {
    "predictions": INGESTION,
    "profile": NEWEST_WINDOW,
    "ground_truth": NEWEST_WINDOW,
    "quality": NEWEST_WINDOW,
    "drift": NEWEST_WINDOW,
    "performance": NEWEST_WINDOW,
}
