"""The index of a source: which files are new or changed, and how many of their rows fall in which window."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import duckdb

from monitoring_pipeline.errors import SourceError
from monitoring_pipeline.lake.cleaning import missing_column
from monitoring_pipeline.lake.duck import connected, file_list, identifier, protocol_of
from monitoring_pipeline.lake.sources.files import file_format, list_files
from monitoring_pipeline.lake.sources.scan import Scan, find_unreadable, parquet_scans, restored_path, same_path
from monitoring_pipeline.lake.times import FUTURE_TOLERANCE, aware, timestamp, utc_sql
from monitoring_pipeline.monitors.declaration import Monitor
from monitoring_pipeline.settings import Settings
from monitoring_pipeline.warehouse.records import FileVersion, IndexedFile


def index_predictions(
    monitor: Monitor, known: Mapping[str, FileVersion], settings: Settings, now: datetime | None = None
) -> list[IndexedFile]:
    """New and changed files of the prediction log, each with its rows per window start.

    Rows without a readable event time, and rows more than five minutes in the future, belong to no window: ``n_unplaced``.
    A file that cannot be read is returned with ``error``; the others go on.
    """
    listed = list_files(monitor.predictions, monitor.base_dir)
    changed = {path: version for path, version in listed.items() if known.get(path) != version}
    if not changed:
        return []
    with connected(settings, {protocol_of(path) for path in changed}) as connection:
        found: dict[str, IndexedFile] = {}
        parquet = []
        for path, version in changed.items():
            try:
                if file_format(path, monitor.predictions.format) == "parquet":
                    parquet.append(path)
            except SourceError as error:
                found[path] = IndexedFile(path, version, 0, {}, error=str(error))
        _index_parquet(connection, monitor, parquet, changed, now or datetime.now(UTC), found)
    return [found[path] for path in sorted(found)]


def index_labels(
    monitor: Monitor, known: Mapping[str, FileVersion], settings: Settings
) -> list[IndexedFile]:
    """New and changed files of the ground truth, with their rows (labels have no window before they are joined)."""
    if monitor.ground_truth is None:
        return []
    listed = list_files(monitor.ground_truth, monitor.base_dir)
    changed = {path: version for path, version in listed.items() if known.get(path) != version}
    if not changed:
        return []
    with connected(settings, {protocol_of(path) for path in changed}) as connection:
        scans, broken = parquet_scans(connection, list(changed))
        counts = {path: 0 for scan in scans for path in scan.files}
        ours = restored_path(list(counts))
        if counts:
            rows = connection.execute(
                f"SELECT file_name, num_rows FROM parquet_file_metadata({file_list(counts)})"  # noqa: S608
            ).fetchall()
            counts |= {ours[same_path(name)]: n for name, n in rows}
    good = [IndexedFile(path, changed[path], n, {}) for path, n in counts.items()]
    return good + [IndexedFile(path, changed[path], 0, {}, error=message) for path, message in broken.items()]


def _index_parquet(
    connection: duckdb.DuckDBPyConnection,
    monitor: Monitor,
    paths: Sequence[str],
    versions: Mapping[str, FileVersion],
    now: datetime,
    found: dict[str, IndexedFile],
) -> None:
    scans, broken = parquet_scans(connection, paths)
    for path, message in broken.items():
        found[path] = IndexedFile(path, versions[path], 0, {}, error=message)
    for scan in scans:
        column = monitor.schema_.event_time
        if column not in scan.columns:
            for path in scan.files:
                message = missing_column(path, column, "schema.event_time", scan.columns)
                found[path] = IndexedFile(path, versions[path], 0, {}, error=message)
            continue
        try:
            found.update(_count(connection, monitor, scan, versions, now))
        except duckdb.Error as error:
            _one_by_one(connection, monitor, scan, versions, now, found, error)


def _one_by_one(
    connection: duckdb.DuckDBPyConnection,
    monitor: Monitor,
    scan: Scan,
    versions: Mapping[str, FileVersion],
    now: datetime,
    found: dict[str, IndexedFile],
    first: Exception,
) -> None:
    """Some file's pages are damaged though its footer is whole: look at each alone."""
    for path in scan.files:
        single = Scan((path,), scan.columns)
        try:
            found.update(_count(connection, monitor, single, versions, now))
        except duckdb.Error as error:
            message = str(find_unreadable(connection, [path], error or first))
            found[path] = IndexedFile(path, versions[path], 0, {}, error=message)


def _count(
    connection: duckdb.DuckDBPyConnection, monitor: Monitor, scan: Scan, versions: Mapping[str, FileVersion], now: datetime
) -> dict[str, IndexedFile]:
    schema = monitor.schema_
    raw = identifier(schema.event_time)
    time = "__utc" if scan.staged else utc_sql(raw, scan.columns[schema.event_time], schema.timezone)
    limit = timestamp(now + FUTURE_TOLERANCE)
    rows = connection.execute(
        f"SELECT __file, date_trunc('{monitor.window}', CASE WHEN t <= TIMESTAMP '{limit}' THEN t END) AS w, count(*),"  # noqa: S608
        f" any_value(CASE WHEN t IS NULL OR t > TIMESTAMP '{limit}' THEN coalesce(CAST(raw AS VARCHAR), 'null') END)"
        f" FROM (SELECT __file, {time} AS t, {raw} AS raw FROM ({scan.from_sql([schema.event_time])})) GROUP BY ALL"
    ).fetchall()
    ours = restored_path(scan.files if not scan.staged else tuple(versions))
    windows: dict[str, dict[datetime, int]] = {path: {} for path in ours.values()}
    unplaced: dict[str, tuple[int, str]] = {}
    for name, start, n, example in rows:
        path = ours[same_path(name)]
        if start is None:
            unplaced[path] = (n, example)
        else:
            windows[path][aware(start)] = n
    return {
        path: IndexedFile(
            path,
            versions[path],
            sum(counts.values()) + unplaced.get(path, (0, ""))[0],
            dict(sorted(counts.items())),
            *unplaced.get(path, (0, None)),
        )
        for path, counts in windows.items()
    }
