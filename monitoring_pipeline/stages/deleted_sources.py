"""What becomes of a window whose source files were deleted after they were looked at, as retention of a log does.

What was taken in stays. Files that hold as many rows as were taken in (a renamed or compressed copy) are read instead.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from monitoring_pipeline.lake.duck import protocol_of
from monitoring_pipeline.lake.ingestion import data_version
from monitoring_pipeline.lake.sources.sql import is_sql
from monitoring_pipeline.monitors import Window
from monitoring_pipeline.records import FileVersion, IngestedWindow
from monitoring_pipeline.stages.context import StageContext
from monitoring_pipeline.warehouse import ledger

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Remains:
    """``kept``: windows that stay as they were taken in. ``files``: what is to be read of the others, by their start.

    ``lost``: why rows that came for a window since cannot be taken in beside those whose file is gone.
    """

    kept: frozenset[Window]
    files: Mapping[datetime, list[str]]
    lost: dict[Window, str]


def remains(
    stages: StageContext, windows: Sequence[Window], files: Mapping[datetime, list[str]],
    before: Mapping[datetime, IngestedWindow],
) -> Remains:  # fmt: skip
    """Looks for the local files of these windows; a file that was not missed before is logged, once."""
    gone = {path for window in windows for path in files[window.start] if _is_deleted(path)}
    if not gone:
        return Remains(frozenset(), files, {})
    name = stages.monitor.name
    hit = [window for window in windows if gone.intersection(files[window.start])]
    sources = stages.warehouse.run(lambda conn: ledger.sources_of_windows(conn, name, hit))
    if missed := stages.warehouse.run(lambda conn: ledger.note_missed(conn, name, gone)):
        log.info("%d files of %s were deleted; what was taken in stays: %s", len(missed), name, ", ".join(missed[:10]))
    kept: set[Window] = set()
    lost: dict[Window, str] = {}
    left = dict(files)
    for window in hit:
        of, was = sources[window.start], before.get(window.start)
        there = [path for path in files[window.start] if path not in gone]
        needed = was.n_rows if was else sum(n for path, (n, _) in of.items() if path in gone)
        if was is not None and was.data_version == data_version(stages.monitor, window, _versions(of)):
            kept.add(window)
        elif there and sum(of[path][0] for path in there) >= needed:
            left[window.start] = there
        elif was is not None and sum(n for n, _ in of.values()) <= was.n_rows + was.n_duplicates + was.n_quarantined:
            kept.add(window)
        else:
            lost[window] = _why(sorted(gone.intersection(of)), was)
    return Remains(frozenset(kept), left, lost)


def _why(gone: Sequence[str], was: IngestedWindow | None) -> str:
    since = "since it was taken in, and rows came that belong beside its rows" if was else "before it was taken in"
    return f"{', '.join(gone)} was deleted {since}; restore the file and run again"


def _versions(of: Mapping[str, tuple[int, FileVersion]]) -> dict[str, FileVersion]:
    return {path: version for path, (_, version) in of.items()}


def _is_deleted(path: str) -> bool:
    """Asked of local files only: that an object store does not answer does not mean that it holds nothing."""
    return not is_sql(path) and not protocol_of(path) and not Path(path).exists()
