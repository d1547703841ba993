"""The index of a source: which files are new or changed, and how many of their rows fall in which window."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import duckdb

from monitoring_pipeline.lake.cleaning import missing_column
from monitoring_pipeline.lake.duck import connected
from monitoring_pipeline.lake.sources import tables
from monitoring_pipeline.lake.sources.files import list_labels, list_predictions
from monitoring_pipeline.lake.sources.reading import Reader, reading
from monitoring_pipeline.lake.sources.scan import Scan, find_unreadable, restored_path, same_path, unreadable
from monitoring_pipeline.lake.times import FUTURE_TOLERANCE, aware, timestamp, utc_sql
from monitoring_pipeline.monitors.declaration import Monitor
from monitoring_pipeline.records import FileVersion, IndexedFile
from monitoring_pipeline.settings import Settings


def index_predictions(
    monitor: Monitor, known: Mapping[str, FileVersion], settings: Settings, now: datetime | None = None
) -> list[IndexedFile]:
    """New and changed files of the prediction log, each with its rows per window start.

    A file changes, too, when the declaration has another event time or zone for it. Rows without a readable event time,
    and rows more than five minutes in the future, belong to no window: ``n_unplaced``. A file that cannot be read is
    returned with ``error``; the others go on. Raises SourceError when the source as a whole cannot be listed.
    """
    moment = now or datetime.now(UTC)
    source, column = monitor.predictions, monitor.schema_.event_time
    if source.url is not None:
        return tables.index_predictions(monitor, known, settings, moment)
    listed = list_predictions(monitor)
    changed = {path: version for path, version in listed.items() if known.get(path) != version}
    if not changed:
        return []
    with (
        connected(settings) as connection,
        reading(connection, monitor, source, column, settings, [column]) as reader,
    ):
        return _Index(reader, monitor, changed, moment).files()


def index_labels(monitor: Monitor, known: Mapping[str, FileVersion], settings: Settings) -> list[IndexedFile]:
    """New and changed files of the ground truth, with their rows (labels have no window before they are joined)."""
    source = monitor.ground_truth
    if source is None:
        return []
    if source.url is not None:
        return tables.index_labels(monitor, source, known)
    listed = list_labels(monitor)
    changed = {path: version for path, version in listed.items() if known.get(path) != version}
    if not changed:
        return []
    column = source.prediction_id or monitor.schema_.prediction_id
    with connected(settings) as connection, reading(connection, monitor, source, None, settings, [column]) as reader:
        scans, broken = reader.scans(list(changed))
        found = [IndexedFile(path, changed[path], 0, {}, error=message) for path, message in broken.items()]
        for scan in scans:
            found += _label_files(connection, scan, changed)
    return sorted(found, key=lambda f: f.path)


def _label_files(
    connection: duckdb.DuckDBPyConnection, scan: Scan, versions: Mapping[str, FileVersion]
) -> list[IndexedFile]:
    """The files of a scan with their rows; parts of a footer that nobody else reads can be damaged, file by file."""
    try:
        return [IndexedFile(path, versions[path], n, {}) for path, n in _footers(connection, scan).items()]
    except duckdb.Error as error:
        if len(scan.files) == 1:
            path = scan.origin or scan.files[0]
            return [IndexedFile(path, versions[path], 0, {}, error=unreadable(path, error))]
    alone = [replace(scan, files=(path,)) for path in scan.files]
    return [file for one in alone for file in _label_files(connection, one, versions)]


def _footers(connection: duckdb.DuckDBPyConnection, scan: Scan) -> dict[str, int]:
    rows = connection.execute(
        "SELECT file_name, num_rows FROM parquet_file_metadata($paths)", {"paths": list(scan.files)}
    ).fetchall()
    ours = {same_path(path): scan.origin or path for path in scan.files}
    return {ours[same_path(name)]: n for name, n in rows}


@dataclass
class _Index:
    """Counts the rows of changed files by window; a failing statement is repeated file by file."""

    reader: Reader
    monitor: Monitor
    versions: Mapping[str, FileVersion]
    now: datetime

    def files(self) -> list[IndexedFile]:
        scans, broken = self.reader.scans(list(self.versions))
        found = [self._failed(path, message) for path, message in broken.items()]
        for scan in scans:
            column = self.monitor.schema_.event_time
            paths = [scan.origin] if scan.origin else list(scan.files)
            if column not in scan.columns:
                found += [
                    self._failed(path, missing_column(path, column, "schema.event_time", scan.columns))
                    for path in paths
                ]
                continue
            found += self._counted(scan, paths)
        return sorted(found, key=lambda f: f.path)

    def _failed(self, path: str, message: str) -> IndexedFile:
        return IndexedFile(path, self.versions[path], 0, {}, error=message)

    def _counted(self, scan: Scan, paths: Sequence[str]) -> list[IndexedFile]:
        """Pages can be damaged though the footer is whole: then each file is counted alone."""
        try:
            return self._count(scan, paths)
        except duckdb.Error as error:
            if len(paths) == 1:
                return [self._failed(paths[0], str(find_unreadable(self.reader.connection, scan.files, error)))]
        return [file for path in paths for file in self._counted(Scan((path,), scan.columns, scan.text), [path])]

    def _count(self, scan: Scan, paths: Sequence[str]) -> list[IndexedFile]:
        schema = self.monitor.schema_
        raw = scan.column(schema.event_time)
        time = "__utc" if scan.staged else utc_sql(raw, scan.columns[schema.event_time], schema.timezone)
        placed = f"__at <= TIMESTAMP '{timestamp(self.now + FUTURE_TOLERANCE)}'"
        rows = self.reader.connection.execute(
            f"SELECT __file, date_trunc('{self.monitor.window}', CASE WHEN {placed} THEN __at END), count(*),"  # noqa: S608
            f" any_value(CASE WHEN __at IS NULL OR NOT {placed} THEN coalesce(CAST(__raw AS VARCHAR), 'null') END)"
            f" FROM (SELECT __file, {time} AS __at, {raw} AS __raw FROM ({scan.from_sql([schema.event_time])}))"
            " GROUP BY ALL"
        ).fetchall()
        ours = restored_path(paths)
        windows: dict[str, dict[datetime, int]] = {path: {} for path in paths}
        unplaced: dict[str, tuple[int, str | None]] = dict.fromkeys(paths, (0, None))
        for name, start, n, example in rows:
            path = ours[same_path(name)]
            if start is None:
                unplaced[path] = (n, example)
            else:
                windows[path][aware(start)] = n
        return [self._file(path, windows[path], *unplaced[path]) for path in paths]

    def _file(self, path: str, windows: dict[datetime, int], n_unplaced: int, example: str | None) -> IndexedFile:
        n_rows = sum(windows.values()) + n_unplaced
        error = self._all_broken(path) if n_rows == 0 and self.reader.has_rejected else None
        ordered = dict(sorted(windows.items()))
        return IndexedFile(path, self.versions[path], n_rows, ordered, n_unplaced, example, error)

    def _all_broken(self, path: str) -> str | None:
        row = self.reader.connection.execute(
            "SELECT count(*), first(__line ORDER BY __line), first(__reason ORDER BY __line) FROM __rejected"
            " WHERE __file = $path",
            {"path": path},
        ).fetchone()
        if not row or not row[0]:
            return None
        return f"{path}:{row[1]}: no row can be read ({row[2]}); mend the file or correct `format` and `delimiter`"
