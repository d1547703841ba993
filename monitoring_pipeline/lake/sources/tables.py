"""The index of SQL tables: one pseudo file a window of predictions, one an increment of labels."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import duckdb
import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from monitoring_pipeline.errors import SourceError
from monitoring_pipeline.lake.duck import connected
from monitoring_pipeline.lake.names import source_alias
from monitoring_pipeline.lake.sources import sql
from monitoring_pipeline.lake.sources.files import how_labels_are_read, how_predictions_are_read
from monitoring_pipeline.lake.times import FUTURE_TOLERANCE, aware, timestamp, utc_sql
from monitoring_pipeline.monitors.declaration import GroundTruthSource, Monitor
from monitoring_pipeline.records import FileVersion, IndexedFile
from monitoring_pipeline.settings import Settings
from monitoring_pipeline.windows import Window, runs_of

_NEVER = datetime(1970, 1, 1, tzinfo=UTC)


def index_predictions(
    monitor: Monitor, known: Mapping[str, FileVersion], settings: Settings, now: datetime
) -> list[IndexedFile]:
    """Windows of the table whose rows are new or changed: their number, or the greatest ``updated_at``, differs.

    With ``updated_at`` only rows written since the last index, and the windows they fall in, are looked at; without it
    the event times of all rows from ``start`` on are, and a row changed in place is not seen. Under another declaration
    of the times all of it is read anew.
    """
    source = monitor.predictions
    table = sql.open_table(source, monitor.base_dir)
    read_as, own_path = how_predictions_are_read(monitor), sql.pseudo_path(source, None)[:-3]
    indexed = {path: version for path, version in known.items() if path.startswith(own_path)}
    own = {path: version for path, version in indexed.items() if version.read_as == read_as}
    try:
        with connected(settings) as connection:
            scan = _TableIndex(connection, monitor, table, now)
            since = max((version.modified_at for version in own.values()), default=None)
            changed = table.changes(source, since)
            if changed is None:
                start = datetime(monitor.start.year, monitor.start.month, monitor.start.day, tzinfo=UTC)
                found = scan.files(table.within(monitor, start, now + FUTURE_TOLERANCE))
            else:
                touched = [Window.at(start, monitor.window) for f in scan.files(changed) for start in f.windows]
                found = [
                    file
                    for first, last in runs_of(touched)
                    for file in scan.files(table.within(monitor, first.start, last.end))
                    if first.start <= min(file.windows) < last.end
                ]
    finally:
        table.close()
    left = indexed.keys() - own.keys() - {file.path for file in found}  # windows that have no rows as read now
    emptied = [IndexedFile(path, FileVersion(0, _NEVER, read_as), 0, {}) for path in sorted(left)]
    return [*(file for file in found if own.get(file.path) != file.version), *emptied]


class _TableIndex:
    def __init__(
        self, connection: duckdb.DuckDBPyConnection, monitor: Monitor, table: sql.SqlTable, now: datetime
    ) -> None:
        self.connection, self.monitor, self.table, self.now = connection, monitor, table, now

    def files(self, condition: sa.ColumnElement[bool]) -> list[IndexedFile]:
        """One pseudo file a window of the rows that meet ``condition``; unreadable times are counted on the first."""
        schema, source = self.monitor.schema_, self.monitor.predictions
        read_as = how_predictions_are_read(self.monitor)
        reader, failure = self.table.times(self.monitor, source, condition)
        names = list(dict.fromkeys(filter(None, (schema.event_time, source.updated_at))))
        kinds = sql.duck_types(self.connection, reader, names)
        time = utc_sql(source_alias(0), kinds[schema.event_time], schema.timezone)
        written = "CAST(NULL AS TIMESTAMP)"
        if source.updated_at:
            written = utc_sql(source_alias(len(names) - 1), kinds[source.updated_at], schema.timezone)
        self.connection.register("__times", reader)
        try:
            rows = self.connection.execute(
                f"SELECT date_trunc('{self.monitor.window}', __at), count(*), max(__written) FROM"  # noqa: S608
                f" (SELECT {time} AS __at, {written} AS __written FROM __times)"
                f" WHERE __at IS NULL OR __at <= TIMESTAMP '{timestamp(self.now + FUTURE_TOLERANCE)}'"
                " GROUP BY 1 ORDER BY 1"
            ).fetchall()
        except duckdb.Error as error:
            raise SourceError(f"{self.table.name}: cannot be read ({failure[0] if failure else error})") from error
        finally:
            self.connection.unregister("__times")
        unplaced = sum(n for start, n, _ in rows if start is None)
        found = []
        for start, n, latest in rows:
            if start is not None:
                version = FileVersion(n, aware(latest) if latest else _NEVER, read_as)
                path = sql.pseudo_path(source, aware(start))
                found.append(IndexedFile(path, version, n + unplaced, {aware(start): n}, unplaced))
                unplaced = 0
        return found


def index_labels(monitor: Monitor, source: GroundTruthSource, known: Mapping[str, FileVersion]) -> list[IndexedFile]:
    """The labels written since the last increment, by ``updated_at``, else by ``label_time``; else the whole table.

    What was taken in under another declaration of the columns counts for nothing: all of it is read anew.
    """
    table = sql.open_table(source, monitor.base_dir)
    by = source.updated_at or source.label_time
    whole = sql.pseudo_path(source, None)
    read_as = how_labels_are_read(monitor)
    known = {path: version for path, version in known.items() if version.read_as == read_as}
    try:
        n, latest = table.extent(by)
        if by is None:
            version = FileVersion(n, _NEVER, read_as)
            return [] if n == 0 or known.get(whole) == version else [IndexedFile(whole, version, n, {})]
        if latest is None:
            return []
        stem = whole[: -len(sql.WHOLE)]
        since = max((path.rpartition("..")[2] for path in known if path.startswith(stem)), default="")
        path = f"{stem}{since}..{latest}"
        increment = table.rows_in_increment(by, since, latest)
        if latest == since or not increment:
            return []
        return [IndexedFile(path, FileVersion(increment, _NEVER, read_as), increment, {})]
    except SQLAlchemyError as error:
        raise SourceError(f"{table.name}: cannot be read ({sql.first_line(error)})") from error
    finally:
        table.close()
