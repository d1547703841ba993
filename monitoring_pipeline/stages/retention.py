"""Retention: what a monitor's declaration says is too old is deleted, from Postgres and from the lake.

A window that lost something it is computed from, or into, is left alone from then on: it is never stale, and a run over
it skips it. New rows for it, or a longer retention, make it an ordinary window again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from monitoring_pipeline.lake import store
from monitoring_pipeline.lake.pruning import Files, remove_windows
from monitoring_pipeline.monitors import Monitor, Window
from monitoring_pipeline.retraining import artifact_retention
from monitoring_pipeline.retraining.context import RetrainContext
from monitoring_pipeline.settings import Settings
from monitoring_pipeline.stages.context import StageContext
from monitoring_pipeline.stages.ingestion import index
from monitoring_pipeline.warehouse import partitions
from monitoring_pipeline.warehouse import retention as rows
from monitoring_pipeline.warehouse.database import Warehouse

SETTLED_AFTER = timedelta(days=1)  # a run that took windows in may still be computing them
MONTHS_AHEAD = 2
RUN = "retention"  # what revisions of model versions are marked with
KIND_OF_TABLE = {
    "profile": "profiles", "measurement": "measurements", "verdict": "verdicts", "column_verdict": "verdicts",
}  # fmt: skip


@dataclass(frozen=True)
class Pruned:
    """What was deleted of one monitor, or would be: rows by kind, lake files and artifacts with their bytes."""

    monitor: str
    profiles: int
    measurements: int
    verdicts: int
    revisions: int
    lake_files: int
    lake_bytes: int
    artifacts: int
    artifact_bytes: int


def prune(warehouse: Warehouse, settings: Settings, monitor: Monitor, now: datetime, dry_run: bool = False) -> Pruned:
    """Deletes what of this monitor is too old at ``now``; with ``dry_run`` only counts it.

    Rows and the references to files go in one transaction, the files after it: a crash in between leaves files that
    nothing refers to, and the next time deletes them.
    """
    name, cutoffs = monitor.name, cutoffs_of(monitor, now)
    if dry_run:
        counted = warehouse.run(lambda conn: rows.count_rows(conn, name, cutoffs))
    else:
        counted = warehouse.run(lambda conn: rows.delete_rows(conn, name, cutoffs, now))
    files = _prune_lake(warehouse, settings, name, cutoffs, dry_run) if cutoffs.lake_files else Files()
    models = artifact_retention.prune(RetrainContext(monitor, warehouse, settings, RUN), now, dry_run)
    return Pruned(
        name, **counted, lake_files=files.count, lake_bytes=files.size, artifacts=models.count,
        artifact_bytes=models.size,
    )  # fmt: skip


def prune_all(
    warehouse: Warehouse, settings: Settings, monitors: Iterable[Monitor], now: datetime, dry_run: bool = False
) -> list[Pruned]:
    """``prune`` for each of these monitors."""
    return [prune(warehouse, settings, monitor, now, dry_run) for monitor in monitors]


def keep_months(warehouse: Warehouse, monitors: Sequence[Monitor], now: datetime) -> list[str]:
    """Creates the monthly partitions that are due soon; drops empty ones that all monitors have left behind.

    ``monitors`` are all there are. Returns the names of the partitions that were dropped.
    """
    soon = [Window(start, start + timedelta(hours=1)) for start in _months_from(now)]
    for table in partitions.PARTITIONED:
        warehouse.run(partial(partitions.ensure_months, table=table, windows=soon))
    cutoffs = [cutoffs_of(monitor, now) for monitor in monitors]
    before = {
        table: None if not ends or None in ends else min(end for end in ends if end is not None)
        for table, kind in KIND_OF_TABLE.items()
        for ends in [[getattr(one, kind) for one in cutoffs]]
    }
    return warehouse.run(lambda conn: rows.drop_empty_months(conn, before))


def cutoffs_of(monitor: Monitor, now: datetime) -> rows.Cutoffs:
    """What is too old at ``now``. A verdict is when its measurement is."""
    kept = monitor.retention

    def before(*durations: timedelta | None) -> datetime | None:
        shortest = min((d for d in durations if d is not None), default=None)
        return None if shortest is None else now - shortest

    return rows.Cutoffs(
        profiles=before(kept.profiles),
        measurements=before(kept.measurements),
        verdicts=before(kept.verdicts, kept.measurements),
        revisions=before(kept.revisions),
        lake_files=before(kept.lake_files),
        settled=now - SETTLED_AFTER,
    )


def still_computed(stages: StageContext, windows: Sequence[Window], now: datetime) -> list[Window]:
    """These windows without those that retention has been at, that are still too old, and that have no new rows."""
    shortest = stages.monitor.retention.shortest
    old = [] if shortest is None else [window for window in windows if window.end <= now - shortest]
    if not old:
        return list(windows)
    name, starts = stages.monitor.name, [window.start for window in old]
    if not stages.warehouse.run(lambda conn: rows.unchanged_since_pruned(conn, name, starts)):
        return list(windows)
    index(stages)  # new rows may have come that nobody has looked at
    skipped = stages.warehouse.run(lambda conn: rows.unchanged_since_pruned(conn, name, starts))
    return [window for window in windows if window.start not in skipped]


def _prune_lake(warehouse: Warehouse, settings: Settings, name: str, cutoffs: rows.Cutoffs, dry_run: bool) -> Files:
    own = store.join(settings.lake, name, "")
    old = warehouse.run(lambda conn: rows.windows_in_lake(conn, name, cutoffs, own))
    if not dry_run:
        warehouse.run(lambda conn: rows.forget_lake_files(conn, name, old))
    left = warehouse.run(lambda conn: rows.windows_without_lake_files(conn, name, cutoffs))
    return remove_windows(settings.lake, name, {*old, *left}, cutoffs.settled, dry_run)


def _months_from(now: datetime) -> list[datetime]:
    """Starts of this month and of the next ones."""
    first = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    months = [first]
    for _ in range(MONTHS_AHEAD):
        months.append((months[-1] + timedelta(days=32)).replace(day=1))
    return months
