"""What has to be done again, and why: asked of Postgres, never remembered."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from monitoring_pipeline.lake.sources.files import list_files, list_labels, list_predictions
from monitoring_pipeline.monitors import Window
from monitoring_pipeline.stages.catalogue import STAGES
from monitoring_pipeline.stages.context import StageContext
from monitoring_pipeline.stages.ingestion import index
from monitoring_pipeline.warehouse import ledger

MOST_NEW_FILES = 500  # that are looked at between two runs: a sensor's tick has a minute
OWNERS_CHOICE = frozenset({"config", "policy"})
"""A changed declaration makes every window of the past differ; whether to go back is the owner's choice."""


@dataclass(frozen=True)
class NewLabels:
    """Label files that nobody has looked at, and the newest window, whose run would take them in."""

    count: int
    newest_window: Window | None


def stale(stages: StageContext, max_attempts: int) -> dict[str, list[Window]]:
    """Windows to materialize again, in order, by their first stale stage: it and those that follow run again.

    Files that have come since are looked at first, unless they are so many that a run had better do it.
    """
    _look_at_new_files(stages)
    found = stages.warehouse.run(lambda conn: ledger.stale_windows(conn, stages.monitor.name, max_attempts))
    first: dict[Window, str] = dict.fromkeys(
        stages.warehouse.run(lambda conn: _gaps(conn, stages.monitor.name)), STAGES[0].name
    )
    order = {stage.name: i for i, stage in enumerate(STAGES)}
    for one in found:
        if one.reason not in OWNERS_CHOICE and order[one.stage] < order.get(first.get(one.window, ""), len(order)):
            first[one.window] = one.stage
    return {stage.name: sorted(w for w, name in first.items() if name == stage.name) for stage in STAGES}


def unreadable_files(stages: StageContext) -> dict[str, str]:
    """Files of predictions and labels that lie there and cannot be read, by path, with the reason."""
    monitor = stages.monitor
    found = stages.warehouse.run(lambda conn: ledger.unreadable_files(conn, monitor.name))
    if not found:
        return {}
    there = list_files(monitor.predictions, monitor.base_dir)
    if monitor.ground_truth is not None:
        there |= list_files(monitor.ground_truth, monitor.base_dir)
    return {path: error for path, error in found.items() if path in there}


def _look_at_new_files(stages: StageContext) -> None:
    """Notes which windows new and changed files touch: only of a monitor that has run, and of tables never."""
    monitor = stages.monitor
    known = stages.warehouse.run(lambda conn: ledger.known_files(conn, monitor.name, "predictions"))
    if not known or monitor.predictions.url is not None:
        return
    listed = list_predictions(monitor)
    changed = sum(known.get(path) != version for path, version in listed.items())
    if 0 < changed <= MOST_NEW_FILES:
        index(stages)


def _gaps(conn: Connection, monitor: str) -> list[Window]:
    """Windows with rows between ingested ones that nobody has tried: the daemon was down when they were the newest."""
    done = ledger.ingested(conn, monitor)
    waiting = [w for w in ledger.windows_with_sources(conn, monitor) if w.start not in done]
    waiting = [w for w in waiting if done and min(done) < w.start < max(done)]
    tried = ledger.stage_states(conn, monitor, waiting)
    return [w for w in waiting if (w.start, "ingestion") not in tried]


def new_label_files(stages: StageContext, max_attempts: int) -> NewLabels:
    """Lists the ground-truth source and compares with the ledger; opens no file.

    Files that were seen and are in no batch yet (the run was killed, or failed less than ``max_attempts`` times) count
    too.
    """
    monitor = stages.monitor
    if monitor.ground_truth is None or monitor.ground_truth.url is not None:
        return NewLabels(0, None)
    listed = list_labels(monitor)

    def read(conn: Connection) -> tuple:
        known = ledger.known_files(conn, monitor.name, "ground_truth")
        return known, ledger.unread_label_files(conn, monitor.name), ledger.ingested(conn, monitor.name)

    known, unread, ingested = stages.warehouse.run(read)
    newest = max((one.window for one in ingested.values()), default=None)
    count = sum(known.get(path) != version for path, version in listed.items())
    if count == 0 and unread and newest is not None:
        states = stages.warehouse.run(lambda conn: ledger.stage_states(conn, monitor.name, [newest]))
        state = states.get((newest.start, "ground_truth"))
        count = len(unread) if state is None or state.attempts < max_attempts else 0
    return NewLabels(count, newest)
