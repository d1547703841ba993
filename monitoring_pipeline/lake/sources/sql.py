"""SQL tables through SQLAlchemy: indexed and read by windows of event time, in batches, never whole in memory.

A window of a table is one pseudo file ``sql:<table>@<window start>``. Names are quoted by SQLAlchemy, never formatted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, NoSuchTableError, SQLAlchemyError

from monitoring_pipeline.errors import SourceError
from monitoring_pipeline.lake.names import source_alias
from monitoring_pipeline.lake.sources.files import expand_environment
from monitoring_pipeline.monitors.declaration import Monitor, Source
from monitoring_pipeline.windows import Window

_PREFIX = "sql:"
_BATCH = 20_000
# Naive and textual times are compared in the database with room for any zone; the exact cut is made afterwards.
_MARGIN = timedelta(hours=26)
WHOLE = "all"
# SQLAlchemy 2.1 no longer counts Float among Numeric.
_NUMBERS = (sa.Integer, sa.Numeric, sa.Float)


def is_sql(path: str) -> bool:
    """Whether a source path names a SQL table (see ``pseudo_path``) and no file."""
    return path.startswith(_PREFIX)


def pseudo_path(source: Source, start: datetime | None) -> str:
    """``sql:<table>@<start>``; without a start the whole table."""
    return f"{_PREFIX}{source.table}@{start.isoformat() if start else WHOLE}"


@dataclass(frozen=True)
class SqlTable:
    """An open table. ``untyped``: the database does not hold columns to their types (SQLite), values come as text."""

    engine: sa.Engine
    table: sa.Table
    name: str

    @property
    def untyped(self) -> bool:
        """Whether the database keeps values of any type in a column, as SQLite does."""
        return self.engine.dialect.name == "sqlite"

    def close(self) -> None:
        """Closes the connections."""
        self.engine.dispose()

    def batches(
        self,
        path: str,
        monitor: Monitor,
        time_column: str | None,
        by: str | None,
        wanted: Sequence[str] | None,
        at_most: int | None = None,
    ) -> tuple[pa.RecordBatchReader, list[str]]:
        """The rows of the pseudo file ``path`` (and somewhat more around a window), with the columns of
        ``names(wanted)`` under ``source_alias``. The list gets what failed midway.

        ``by``: the column that increments of labels are cut by.
        """
        columns = [self.table.columns[name] for name in self.names(wanted)]
        statement = sa.select(*[self._bare(c) for c in columns])
        span = path.rpartition("@")[2]
        if ".." in span and by is not None:
            statement = statement.where(self._increment(by, *span.split("..", 1)))
        elif span != WHOLE and time_column is not None:
            window = Window.at(datetime.fromisoformat(span), monitor.window)
            statement = statement.where(
                self._within(self._column(time_column), window.start, window.end, monitor.schema_.timezone)
            )
        return self._reader(statement if at_most is None else statement.limit(at_most), columns)

    def names(self, wanted: Sequence[str] | None) -> list[str]:
        """Those of the table's columns that are ``wanted`` (None: all), in the table's order."""
        return [str(c.name) for c in self.table.columns if wanted is None or c.name in wanted]

    def extent(self, by: str | None) -> tuple[int, str | None]:
        """Rows of the table, and the greatest value of the column ``by`` as text."""
        latest = sa.func.max(self._raw(by)) if by else sa.null()
        with self.engine.connect() as connection:
            n, value = connection.execute(sa.select(sa.func.count(), latest).select_from(self.table)).one()
        return int(n), None if value is None else _text(value)

    def rows_in_increment(self, by: str, since: str, until: str) -> int:
        """Number of rows whose column ``by`` is in (since, until]."""
        with self.engine.connect() as connection:
            statement = sa.select(sa.func.count()).select_from(self.table).where(self._increment(by, since, until))
            return int(connection.execute(statement).scalar_one())

    def _increment(self, by: str, since: str, until: str) -> sa.ColumnElement[bool]:
        """(since, until], in the column's own order."""
        column = self._raw(by)
        upto = column <= self._value(by, until)
        return sa.and_(column > self._value(by, since), upto) if since else upto

    def _raw(self, name: str) -> sa.ColumnElement[Any]:
        column = self._column(name)
        return sa.type_coerce(column, sa.types.NullType()) if self.untyped else column

    def _value(self, name: str, text: str) -> Any:
        kind = self._column(name).type
        if isinstance(kind, _NUMBERS):
            return Decimal(text)
        if self.untyped or not isinstance(kind, sa.DateTime | sa.Date):
            return text
        return datetime.fromisoformat(text)

    def changes(self, source: Source, since: datetime | None) -> sa.ColumnElement[bool] | None:
        """Rows written at or after ``since``, where the table tells."""
        if source.updated_at is None or since is None:
            return None
        column = self._column(source.updated_at)
        return self._not_before(column, since)

    def _rows(self, statement: sa.Select[Any], schema: pa.Schema, failure: list[str]) -> Iterator[pa.RecordBatch]:
        try:
            with self.engine.connect().execution_options(stream_results=True, yield_per=_BATCH) as connection:
                for rows in connection.execute(statement).partitions():
                    columns = zip(*rows, strict=True)
                    arrays = [_array(values, f.type) for values, f in zip(columns, schema, strict=True)]
                    yield pa.RecordBatch.from_arrays(arrays, schema=schema)
        except SQLAlchemyError as error:
            failure.append(first_line(error))
            raise

    def _column(self, name: str) -> sa.Column[Any]:
        if name not in self.table.columns:
            some = ", ".join(c.name for c in list(self.table.columns)[:20])
            raise SourceError(f"{self.name}: has no column {name!r}; it has: {some}. Correct the declaration")
        return self.table.columns[name]

    def _bare(self, column: sa.Column[Any]) -> sa.ColumnElement[Any]:
        """SQLite keeps what it was given, whatever the column's type says: take it as it is."""
        return sa.type_coerce(column, sa.types.NullType()).label(column.name) if self.untyped else column

    def _within(self, column: sa.Column[Any], start: datetime, end: datetime, timezone: str) -> sa.ColumnElement[bool]:
        kind = column.type
        if isinstance(kind, _NUMBERS):
            low, high = start.timestamp(), end.timestamp()
            return sa.or_(*[sa.and_(column >= low * k, column < high * k) for k in (1, 10**3, 10**6, 10**9)])
        if isinstance(kind, sa.DateTime) and getattr(kind, "timezone", False) and not self.untyped:
            return sa.and_(column >= start, column < end)
        zone = ZoneInfo(timezone)
        low_time = (start - _MARGIN).astimezone(zone).replace(tzinfo=None)
        high_time = (end + _MARGIN).astimezone(zone).replace(tzinfo=None)
        if isinstance(kind, sa.DateTime | sa.Date) and not self.untyped:
            return sa.and_(column >= low_time, column < high_time)
        text = sa.type_coerce(column, sa.String())
        return sa.and_(text >= f"{low_time:%Y-%m-%d}", text < f"{high_time + timedelta(days=1):%Y-%m-%d}")

    def _not_before(self, column: sa.Column[Any], since: datetime) -> sa.ColumnElement[bool]:
        kind = column.type
        if isinstance(kind, _NUMBERS):
            return column >= since.timestamp()
        if isinstance(kind, sa.DateTime) and getattr(kind, "timezone", False) and not self.untyped:
            return column >= since
        if isinstance(kind, sa.DateTime | sa.Date) and not self.untyped:
            return column >= (since - _MARGIN).replace(tzinfo=None)
        return sa.type_coerce(column, sa.String()) >= f"{since - _MARGIN:%Y-%m-%d}"

    def times(
        self, monitor: Monitor, source: Source, condition: sa.ColumnElement[bool]
    ) -> tuple[pa.RecordBatchReader, list[str]]:
        """Event time and, where declared, the time of writing, of every row that meets ``condition``."""
        names = [monitor.schema_.event_time, *([source.updated_at] if source.updated_at else [])]
        columns = [self._column(name) for name in dict.fromkeys(names)]
        return self._reader(sa.select(*[self._bare(c) for c in columns]).where(condition), columns)

    def _reader(
        self, statement: sa.Select[Any], columns: Sequence[sa.Column[Any]]
    ) -> tuple[pa.RecordBatchReader, list[str]]:
        kinds = [pa.string() if self.untyped else _arrow_type(c.type) for c in columns]
        schema = pa.schema([(source_alias(i), kind) for i, kind in enumerate(kinds)])
        failure: list[str] = []
        return pa.RecordBatchReader.from_batches(schema, self._rows(statement, schema, failure)), failure

    def within(self, monitor: Monitor, start: datetime, end: datetime) -> sa.ColumnElement[bool]:
        """Condition: the event time is in [start, end)."""
        return self._within(self._column(monitor.schema_.event_time), start, end, monitor.schema_.timezone)


def open_table(source: Source, base_dir: Path) -> SqlTable:
    """Raises SourceError when the database cannot be reached or has no such table."""
    assert source.url is not None and source.table is not None
    try:
        url = sa.make_url(expand_environment(source.url, "url"))
    except (ArgumentError, ValueError) as error:  # a port that is no number
        raise SourceError(
            "url: is no SQLAlchemy URL; write for instance postgresql+psycopg2://user@host/name"
        ) from error
    if url.drivername == "postgresql":
        url = url.set(drivername="postgresql+psycopg2")
    if url.drivername.startswith("sqlite") and url.database and url.database != ":memory:":
        url = url.set(database=str(Path(base_dir).resolve() / url.database))
        if not Path(str(url.database)).is_file():
            raise SourceError(f"url: {url.database} does not exist; correct the path")
    where = url.render_as_string(hide_password=True)
    schema, _, name = source.table.rpartition(".")
    try:
        engine = sa.create_engine(url)
        table = sa.Table(
            _quoted(name, engine),
            sa.MetaData(),
            schema=_quoted(schema, engine) if schema else None,
            autoload_with=engine,
            listeners=[("column_reflect", _quote_column)],
        )
    except NoSuchTableError as error:
        raise SourceError(f"table: {source.table!r} is not in {where}; correct `table` or create it") from error
    except (SQLAlchemyError, ImportError) as error:
        raise SourceError(
            f"url: {where} cannot be reached ({first_line(error)}); check address and credentials"
        ) from error
    return SqlTable(engine, table, f"{where} {source.table}")


def _quoted(name: str, engine: sa.Engine) -> str:
    """Quoted always: SQLAlchemy does so for the words it knows to be reserved, and SQLite's RETURNING is none of them.

    Where a database folds names to upper case, they stay as it gives them.
    """
    return name if engine.dialect.requires_name_normalize else sa.quoted_name(name, True)


def _quote_column(inspector: sa.Inspector, table: sa.Table, column: Any) -> None:
    column["name"] = _quoted(column["name"], inspector.engine)


def duck_types(
    connection: duckdb.DuckDBPyConnection, reader: pa.RecordBatchReader, names: Sequence[str]
) -> dict[str, str]:
    """DuckDB's types of the reader's columns, which are called ``names`` in the table; reads nothing."""
    connection.register("__shape", reader.schema.empty_table())
    rows = connection.execute("DESCRIBE SELECT * FROM __shape").fetchall()
    connection.unregister("__shape")
    return {str(name): kind for name, (_, kind, *_) in zip(names, rows, strict=True)}


def _arrow_type(kind: sa.types.TypeEngine[Any]) -> pa.DataType:
    if isinstance(kind, sa.Boolean):
        return pa.bool_()
    if isinstance(kind, sa.Integer):
        return pa.int64()
    if isinstance(kind, sa.Numeric | sa.Float):
        return pa.float64()
    if isinstance(kind, sa.DateTime):
        return pa.timestamp("us", "UTC") if kind.timezone else pa.timestamp("us")
    return pa.date32() if isinstance(kind, sa.Date) else pa.string()


def _array(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    if pa.types.is_string(kind):
        return pa.array([None if v is None else _text(v) for v in values], kind)
    if pa.types.is_floating(kind):
        return pa.array([None if v is None else float(v) for v in values], kind, from_pandas=False)
    return pa.array(values, kind)


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    if isinstance(value, datetime | date):
        return value.isoformat()
    return repr(value) if isinstance(value, float) else str(value)


def first_line(error: Exception) -> str:
    """First line of what the database said."""
    return str(getattr(error, "orig", None) or error).strip().splitlines()[0]
