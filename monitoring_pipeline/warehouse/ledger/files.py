"""Source files that were seen, and which windows they hold rows of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from monitoring_pipeline.records import FileVersion, IndexedFile, SourceRole
from monitoring_pipeline.warehouse.ledger.monitors import lock_monitor
from monitoring_pipeline.windows import LENGTH, Window, starts_of

KNOWN_FILES = text(
    "select path, size, modified_at, read_as from monitoring.source_file where monitor = :monitor and role = :role"
)
NEVER_READ_FILES = text("""
select f.path, f.error from monitoring.source_file f
where f.monitor = :monitor and f.role = 'predictions' and f.error is not null
  and not exists (select from monitoring.source_file_window w
                  where w.monitor = f.monitor and w.role = f.role and w.path = f.path)
order by f.path
""")
MARK_UNREADABLE = text("""
update monitoring.source_file set error = :error where monitor = :monitor and role = :role and path = :path
""")
UNREADABLE_FILES = text("""
select path, error from monitoring.source_file where monitor = :monitor and error is not null order by path
""")
NEXT_SOURCE_REVISION = text("""
update monitoring.monitor set source_revision = source_revision + 1 where monitor = :monitor returning source_revision
""")
RECORD_FILES = text("""
insert into monitoring.source_file (monitor, role, path, size, modified_at, read_as, n_rows, n_unplaced,
  unplaced_example, error, revision)
select :monitor, :role, f.*, :revision
from unnest(cast(:path as text[]), cast(:size as bigint[]), cast(:modified_at as timestamptz[]),
            cast(:read_as as text[]), cast(:n_rows as bigint[]), cast(:n_unplaced as bigint[]),
            cast(:unplaced_example as text[]), cast(:error as text[])) f
on conflict (monitor, role, path) do update set size = excluded.size, modified_at = excluded.modified_at,
  read_as = excluded.read_as, n_rows = excluded.n_rows, n_unplaced = excluded.n_unplaced,
  unplaced_example = excluded.unplaced_example, error = excluded.error, revision = excluded.revision, indexed_at = now()
""")
# A file that can no longer be read keeps its windows: they become stale, and taking them in again says why it fails.
TOUCH_WINDOWS_OF_UNREADABLE = text("""
update monitoring.source_file_window set revision = :revision
where monitor = :monitor and role = :role and path = any (cast(:path as text[]))
""")
EMPTY_WINDOWS_OF_READABLE = text("""
update monitoring.source_file_window set revision = :revision, n_rows = 0
where monitor = :monitor and role = :role and path = any (cast(:path as text[]))
""")
RECORD_FILE_WINDOWS = text("""
insert into monitoring.source_file_window (monitor, role, path, window_start, n_rows, revision)
select :monitor, :role, w.*, :revision
from unnest(cast(:path as text[]), cast(:window_start as timestamptz[]), cast(:n_rows as bigint[])) w
on conflict (monitor, role, window_start, path) do update set n_rows = excluded.n_rows, revision = excluded.revision
""")
FILES_OF_WINDOWS = text("""
select window_start, path from monitoring.source_file_window
where monitor = :monitor and role = :role and window_start = any (cast(:starts as timestamptz[])) and n_rows > 0
order by window_start, path
""")
SOURCES_OF_WINDOWS = text("""
select w.window_start, w.path, w.n_rows, f.size, f.modified_at, f.read_as
from monitoring.source_file_window w join monitoring.source_file f using (monitor, role, path)
where w.monitor = :monitor and w.role = 'predictions' and w.window_start = any (cast(:starts as timestamptz[]))
  and w.n_rows > 0
""")
NOTE_MISSED = text("""
update monitoring.source_file set missed_at = now()
where monitor = :monitor and role = 'predictions' and path = any (cast(:paths as text[])) and missed_at is null
returning path
""")
SOURCE_REVISIONS = text("""
select window_start, max(revision) as revision from monitoring.source_file_window
where monitor = :monitor and role = 'predictions' and window_start = any (cast(:starts as timestamptz[]))
group by window_start
""")
WINDOWS_WITH_SOURCES = text("""
select distinct w.window_start, m.window_size
from monitoring.source_file_window w join monitoring.monitor m using (monitor)
where w.monitor = :monitor and w.role = 'predictions' and w.n_rows > 0 order by w.window_start
""")


def known_files(conn: Connection, monitor: str, role: SourceRole) -> dict[str, FileVersion]:
    """Every file seen so far, unreadable ones too, by path."""
    rows = conn.execute(KNOWN_FILES, {"monitor": monitor, "role": role})
    return {path: FileVersion(*version) for path, *version in rows}


def unreadable_files(conn: Connection, monitor: str) -> dict[str, str]:
    """Why files of this monitor cannot be read, by path."""
    return {row.path: row.error for row in conn.execute(UNREADABLE_FILES, {"monitor": monitor})}


def never_read_files(conn: Connection, monitor: str) -> dict[str, str]:
    """Prediction files that nobody has been able to read, by path: which windows they hold rows of is not known."""
    return {row.path: row.error for row in conn.execute(NEVER_READ_FILES, {"monitor": monitor})}


def record_files(conn: Connection, monitor: str, role: SourceRole, files: Sequence[IndexedFile]) -> None:
    """New and changed files. Windows that they touch, or touched before, become stale.

    A version known already is passed over. Files that vanish are not reported here: what was taken in stays.
    """
    lock_monitor(conn, monitor)
    known = known_files(conn, monitor, role)
    changed = [file for file in files if known.get(file.path) != file.version]
    if not changed:
        return
    revision = conn.execute(NEXT_SOURCE_REVISION, {"monitor": monitor}).scalar_one()
    common = {"monitor": monitor, "role": role, "revision": revision}
    conn.execute(RECORD_FILES, common | _file_columns(changed))
    conn.execute(TOUCH_WINDOWS_OF_UNREADABLE, common | {"path": [f.path for f in changed if f.error is not None]})
    readable = [f for f in changed if f.error is None]
    conn.execute(EMPTY_WINDOWS_OF_READABLE, common | {"path": [f.path for f in readable]})
    placed = [(f.path, start, n) for f in readable for start, n in f.windows.items()]
    conn.execute(
        RECORD_FILE_WINDOWS,
        common
        | {"path": [p[0] for p in placed], "window_start": [p[1] for p in placed], "n_rows": [p[2] for p in placed]},
    )


def _file_columns(files: Sequence[IndexedFile]) -> dict[str, list[Any]]:
    return {
        "path": [f.path for f in files],
        "size": [f.version.size for f in files],
        "modified_at": [f.version.modified_at for f in files],
        "read_as": [f.version.read_as for f in files],
        "n_rows": [f.n_rows for f in files],
        "n_unplaced": [f.n_unplaced for f in files],
        "unplaced_example": [f.unplaced_example for f in files],
        "error": [f.error for f in files],
    }


def mark_unreadable(conn: Connection, monitor: str, role: SourceRole, errors: Mapping[str, str]) -> None:
    """Files, by path, that turned out unusable after they were recorded; a new version of them begins anew."""
    for path, error in errors.items():
        conn.execute(MARK_UNREADABLE, {"monitor": monitor, "role": role, "path": path, "error": error})


def files_of_windows(
    conn: Connection, monitor: str, role: SourceRole, windows: Iterable[Window]
) -> dict[datetime, list[str]]:
    """Paths of the files that hold rows of each window, by window start; a window without rows has an empty list."""
    wanted = starts_of(windows)
    found: dict[datetime, list[str]] = {start: [] for start in wanted}
    for start, path in conn.execute(FILES_OF_WINDOWS, {"monitor": monitor, "role": role, "starts": wanted}):
        found[start].append(path)
    return found


def sources_of_windows(
    conn: Connection, monitor: str, windows: Iterable[Window]
) -> dict[datetime, dict[str, tuple[int, FileVersion]]]:
    """Rows and version, as they were when last looked at, of the files that hold rows of each window, by path."""
    found: dict[datetime, dict[str, tuple[int, FileVersion]]] = {}
    for start, path, n, *version in conn.execute(
        SOURCES_OF_WINDOWS, {"monitor": monitor, "starts": starts_of(windows)}
    ):
        found.setdefault(start, {})[path] = n, FileVersion(*version)
    return found


def note_missed(conn: Connection, monitor: str, paths: Iterable[str]) -> list[str]:
    """Notes that these prediction files are no longer there. Returns those that were not missed before, in order."""
    return sorted(conn.execute(NOTE_MISSED, {"monitor": monitor, "paths": list(paths)}).scalars())


def source_revisions(conn: Connection, monitor: str, windows: Iterable[Window]) -> dict[datetime, int]:
    """Newest revision among the prediction files of each window (0: none).

    Read it before the files and give it to ``record_ingested``: what changes in between makes the window stale again.
    """
    wanted = starts_of(windows)
    rows = conn.execute(SOURCE_REVISIONS, {"monitor": monitor, "starts": wanted})
    return dict.fromkeys(wanted, 0) | {row.window_start: row.revision for row in rows}


def windows_with_sources(conn: Connection, monitor: str) -> list[Window]:
    """Windows that the prediction files hold rows of, in order."""
    rows = conn.execute(WINDOWS_WITH_SOURCES, {"monitor": monitor})
    return [Window(start, start + LENGTH[size]) for start, size in rows]
