"""Ingestion: the prediction log's rows of each window, checked, deduplicated and laid in the lake."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

from sqlalchemy import Connection

from monitoring_pipeline.errors import SourceError, WindowError
from monitoring_pipeline.lake import store
from monitoring_pipeline.lake.duck import protocol_of
from monitoring_pipeline.lake.ingestion import data_version, ingest_windows
from monitoring_pipeline.lake.sources.files import list_files, version_of
from monitoring_pipeline.lake.sources.index import index_predictions
from monitoring_pipeline.lake.sources.sql import is_sql
from monitoring_pipeline.monitors import Window
from monitoring_pipeline.records import IngestedWindow, WindowFailure
from monitoring_pipeline.stages.context import Facts, StageContext, WindowOutcome, good_windows
from monitoring_pipeline.stages.declaring import declare
from monitoring_pipeline.stages.deleted_sources import remains
from monitoring_pipeline.stages.each_window import Computed, Wrote, each_window
from monitoring_pipeline.warehouse import ledger

log = logging.getLogger(__name__)

DATE_IN_PATH = re.compile(r"(?<!\d)(20\d\d)[-_/]?(\d\d)[-_/]?(\d\d)(?!\d)")


def index(stages: StageContext) -> None:
    """Looks at new and changed files of the prediction log and notes which windows they touch."""
    name = stages.monitor.name

    def known(conn: Connection) -> dict:
        declare(conn, stages.monitor)
        return ledger.known_files(conn, name, "predictions")

    files = index_predictions(stages.monitor, stages.warehouse.run(known), stages.settings)
    if files:
        stages.warehouse.run(lambda conn: ledger.record_files(conn, name, "predictions", files))
    for file in files:
        if file.n_unplaced:
            log.warning(
                "%s of %s: %d of %d rows belong to no window and are skipped: their time cannot be read or is in the"
                " future (such as %r); correct `schema.event_time`, `schema.timezone` or the rows",
                file.path, name, file.n_unplaced, file.n_rows, file.unplaced_example,
            )  # fmt: skip


def last_window_with_rows(stages: StageContext) -> datetime | None:
    """Start of the last window at or after the monitor's start that the source, or the lake, holds rows for; None when
    there is none.
    """
    index(stages)
    name = stages.monitor.name

    def read(conn: Connection) -> tuple:
        return ledger.windows_with_sources(conn, name), ledger.ingested(conn, name)

    windows, taken = stages.warehouse.run(read)
    starts = {w.start for w in windows} | {start for start, one in taken.items() if one.n_rows}
    first = datetime.combine(stages.monitor.start, time(), UTC)
    return max((start for start in starts if start >= first), default=None)


@dataclass(frozen=True)
class Known:
    """What the ledger knows of the windows of a run before it takes them in, by window start."""

    revisions: Mapping[datetime, int]
    files: Mapping[datetime, list[str]]
    before: Mapping[datetime, IngestedWindow]


def ingest(stages: StageContext, windows: Sequence[Window]) -> list[WindowOutcome]:
    """Takes in these windows. One whose files and declaration are unchanged is left as it lies in the lake."""
    index(stages)
    known = _known(stages, windows)
    left = remains(stages, windows, known.files, known.before)
    files, before = left.files, known.before
    never_read = never_read_files(stages)
    doubtful = {w: why for w in windows if (why := why_doubtful(w, bool(files[w.start]), never_read))} | left.lost
    unchanged = left.kept | {w for w in windows if _is_unchanged(stages, w, files[w.start], before.get(w.start))}
    waiting = {w: files[w.start] for w in windows if w not in unchanged and w not in doubtful}
    arriving = Arriving(ingest_windows(stages.monitor, waiting, stages.settings.lake, stages.settings))
    now: dict[Window, IngestedWindow] = {}

    def compute(window: Window) -> Computed[IngestedWindow]:
        if window in doubtful:
            raise WindowError(doubtful[window])
        now[window] = one = before[window.start] if window in unchanged else arriving.take(window)
        return Computed(one, stages.provenance(one.data_version), {"sources": str(known.revisions[window.start])})

    def write(conn: Connection, some: Sequence[tuple[Window, Computed[IngestedWindow]]]) -> list[Wrote]:
        _record(stages, conn, [one.value for _, one in some], known)
        return [Wrote(one.value.data_version, _facts(one.value, window in unchanged)) for window, one in some]

    outcomes = each_window(stages, "ingestion", windows, compute, write, can_be_recomputed=False)
    _remove_replaced(stages, [(before[w.start], now[w]) for w in good_windows(outcomes) if w.start in before])
    return outcomes


def _remove_replaced(stages: StageContext, windows: Sequence[tuple[IngestedWindow, IngestedWindow]]) -> None:
    """What an earlier version of a window wrote goes once the ledger names the new one; sources read in place stay."""
    for before, now in windows:
        for path in before.files:
            if path not in now.files and path.startswith(store.join(stages.settings.lake, stages.monitor.name, "")):
                store.remove(path)


def _known(stages: StageContext, windows: Sequence[Window]) -> Known:
    name = stages.monitor.name

    def read(conn: Connection) -> Known:
        # The revisions first: a file that is indexed in between makes the window stale again, rather than being missed.
        revisions = ledger.source_revisions(conn, name, windows)
        files = ledger.files_of_windows(conn, name, "predictions", windows)
        return Known(revisions, files, ledger.ingested(conn, name, windows))

    return stages.warehouse.run(read)


class Arriving:
    """Windows as they are taken in, in their order, each recorded before the next is taken in."""

    def __init__(self, windows: Iterator[IngestedWindow | WindowFailure]) -> None:
        self._windows = windows
        self._taken: dict[Window, IngestedWindow | WindowFailure] = {}

    def take(self, window: Window) -> IngestedWindow:
        """Takes in windows up to this one. Raises WindowError when this one could not be taken in."""
        while window not in self._taken:
            came = next(self._windows)
            self._taken[came.window] = came
        found = self._taken.pop(window)
        if isinstance(found, WindowFailure):
            raise WindowError(found.message)
        return found


def never_read_files(stages: StageContext) -> dict[str, str]:
    """Files of the prediction log that lie there and that nobody could read so far, with the reason."""
    found = stages.warehouse.run(lambda conn: ledger.never_read_files(conn, stages.monitor.name))
    if not found:
        return {}
    there = list_files(stages.monitor.predictions, stages.monitor.base_dir)
    return {path: error for path, error in found.items() if path in there}


def why_doubtful(window: Window, has_rows: bool, never_read: Mapping[str, str]) -> str | None:
    """Why rows of this window may lie in files that nobody could read, or None: it would wrongly be taken in as empty.

    A file whose path bears a date speaks of that day's windows (of a day as a whole, of hours without any row); one
    that bears none speaks of every window without a row.
    """
    why = []
    for path, error in never_read.items():
        dates = DATE_IN_PATH.findall(path)
        own_day = (f"{window.start:%Y}", f"{window.start:%m}", f"{window.start:%d}") in dates
        whole_day = own_day and window.end - window.start == timedelta(days=1)
        if whole_day or (not has_rows and (own_day or not dates)):
            why.append(error)
    return f"some sources cannot be read and may contain rows of this window: {'; '.join(why)}" if why else None


def _is_unchanged(stages: StageContext, window: Window, paths: Sequence[str], before: IngestedWindow | None) -> bool:
    """Whether what lies in the lake is what these files would give again. A SQL table's rows are always asked for."""
    if before is None or any(is_sql(path) for path in paths) or any(_is_gone(path) for path in before.files):
        return False
    if _was_pruned(before):
        return False
    try:
        versions = {path: version_of(path) for path in paths}
    except SourceError:
        return False  # said when the file is read
    return before.data_version == data_version(stages.monitor, window, versions)


def _was_pruned(before: IngestedWindow | None) -> bool:
    """Whether retention deleted the window's lake files; it is to be computed again all the same."""
    return before is not None and before.n_rows > 0 and not before.files


def _is_gone(lake_file: str) -> bool:
    """Whether someone removed the file from the lake; asked of a local lake only, where asking costs nothing."""
    return not protocol_of(lake_file) and not store.exists(lake_file)


def _record(stages: StageContext, conn: Connection, taken: Sequence[IngestedWindow], known: Known) -> None:
    name = stages.monitor.name
    for one in taken:
        if _was_pruned(known.before.get(one.window.start)):
            ledger.read_labels_again(conn, name, one.window)
    revised = [(one, known.revisions[one.window.start]) for one in taken]
    ledger.record_windows(conn, name, revised, stages.run_id)


def _facts(taken: IngestedWindow, unchanged: bool) -> Facts:
    contract = taken.contract
    return {
        "rows": taken.n_rows,
        "duplicates": taken.n_duplicates,
        "quarantined": taken.n_quarantined,
        "quarantine_reasons": "; ".join(f"{n} × {reason}" for reason, n in taken.quarantine.items()) or None,
        "missing_columns": ", ".join(contract.missing) or None,
        "extra_columns": ", ".join(contract.extra) or None,
        "type_violations": sum(contract.invalid.values()),
        "unchanged": "yes" if unchanged else None,
        "data_version": taken.data_version,
    }
