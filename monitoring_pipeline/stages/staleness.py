"""What has to be done again, and why: asked of Postgres, never remembered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from monitoring_pipeline.lake.sources.files import list_files
from monitoring_pipeline.monitors import Window
from monitoring_pipeline.stages.context import StageContext
from monitoring_pipeline.warehouse import ledger

Cause = Literal["rows", "labels"]

# A changed declaration is not here: it makes every window of the past differ, and whether to go back is the owner's choice.
CAUSE_OF: dict[str, Cause] = {
    "source": "rows",
    "data": "rows",
    "reference": "rows",
    "baseline": "rows",
    "failed": "rows",
    "labels": "labels",
}


@dataclass(frozen=True)
class NewLabels:
    """Label files that nobody has looked at, and the newest window, whose run would take them in."""

    count: int
    newest_window: Window | None


def stale(stages: StageContext, max_attempts: int) -> dict[Cause, list[Window]]:
    """Windows to materialize again, by cause, in order; a window stale for both is under ``rows``, which redoes all."""
    found = stages.warehouse.run(lambda conn: ledger.stale_windows(conn, stages.monitor.name, max_attempts))
    causes: dict[Window, Cause] = {}
    for one in found:
        cause = CAUSE_OF.get(one.reason)
        if cause is not None and causes.get(one.window) != "rows":
            causes[one.window] = cause
    return {
        "rows": sorted(w for w, cause in causes.items() if cause == "rows"),
        "labels": sorted(w for w, cause in causes.items() if cause == "labels"),
    }


def new_label_files(stages: StageContext) -> NewLabels:
    """Lists the ground-truth source and compares with the ledger; opens no file."""
    monitor = stages.monitor
    if monitor.ground_truth is None or monitor.ground_truth.url is not None:
        return NewLabels(0, None)
    listed = list_files(monitor.ground_truth, monitor.base_dir)
    known = stages.warehouse.run(lambda conn: ledger.known_files(conn, monitor.name, "ground_truth"))
    windows = [one.window for one in stages.warehouse.run(lambda conn: ledger.ingested(conn, monitor.name)).values()]
    count = sum(known.get(path) != version for path, version in listed.items())
    return NewLabels(count, max(windows, default=None))
