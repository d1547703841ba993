"""Names of things in Dagster: the monitor is the key prefix and the group, never a partition dimension."""

from __future__ import annotations

from datetime import UTC, datetime, time

import dagster as dg

from monitoring_pipeline.monitors import Monitor, Window
from monitoring_pipeline.stages.catalogue import STAGES, assets_from

WINDOWED = tuple(stage.asset for stage in STAGES)
"""The assets of a window, in the order of their stages."""

AFTER_LABELS = assets_from("ground_truth")
"""What a newer label batch makes stale."""

EVIDENTLY = "evidently_report"
REPORTED_AGAIN = (STAGES[0].name, "ground_truth")
"""Stages that change what a report shows."""
PARITY = "parity"

RETRAINING = ("training_set", "candidate", "evaluation", "comparison", "promotion")
"""The assets of a retraining, in order; of monitors that declare how a challenger is trained."""


def asset_key(monitor: Monitor, name: str) -> dg.AssetKey:
    """Key of one of the monitor's assets, such as ``flights/drift``."""
    return dg.AssetKey([monitor.name, name])


def assets_of(monitor: Monitor, stage: str = STAGES[0].name) -> tuple[str, ...]:
    """The assets of its windows from this stage on. Where declared: parity with those that read the log again, and
    Evidently's report with them and with those that read labels again.
    """
    compared = (PARITY,) if monitor.parity is not None and stage == STAGES[0].name else ()
    drawn = (EVIDENTLY,) if monitor.evidently is not None and stage in REPORTED_AGAIN else ()
    return (*assets_from(stage), *compared, *drawn)


def partitions_of(monitor: Monitor) -> dg.TimeWindowPartitionsDefinition:
    """Daily or hourly, in UTC, from the monitor's first day; up to its end if it has one."""
    start = datetime.combine(monitor.start, time(), UTC)
    end = datetime.combine(monitor.end, time(), UTC) if monitor.end else None
    definition = dg.DailyPartitionsDefinition if monitor.window == "day" else dg.HourlyPartitionsDefinition
    return definition(start_date=start, end_date=end, timezone="UTC")


def range_tags(monitor: Monitor, first: Window, last: Window) -> dict[str, str]:
    """The tags by which Dagster runs a range of partitions in one run."""
    return {
        "dagster/asset_partition_range_start": first.key(monitor.window),
        "dagster/asset_partition_range_end": last.key(monitor.window),
    }
