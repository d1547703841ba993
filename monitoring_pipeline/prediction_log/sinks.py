"""Sinks: where shipped rows go. A sink may be slow, broken or gone; only the shipper's thread calls it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from monitoring_pipeline.prediction_log.decoding import Rows
from monitoring_pipeline.prediction_log.parquet import write_table
from monitoring_pipeline.prediction_log.rows import RowBatch, RowSchema

if TYPE_CHECKING:
    import pyarrow as pa


Taken = TypeVar("Taken", bound=Rows, contravariant=True)


class Sink(Protocol[Taken]):
    """``write`` puts all rows of one segment in place, or raises; twice with the same ``name`` is as good as once.

    A sink that is away raises for any segment; one that raises for some and takes others *refuses* those, and after
    some tries they are set aside (``prediction_log.attempts``).
    """

    def prepare(self) -> None:
        """Slow imports, at the start of the shipper's thread."""
        ...

    def write(self, name: str, rows: Taken) -> None:
        """Writes one segment's rows under its name; writing them again under it changes nothing. Raises on failure."""


class ParquetSink:
    """One Parquet file a segment, named by it: in a directory (temporary name, fsync, rename) or under an fsspec URL.

    Columns: ``prediction_id`` text, ``event_time`` timestamp in UTC, ``model_version`` text, then the layout's
    features, prediction and scores under their own names (double, or text for categories and booleans), and
    ``input_errors``: JSON of what was wrong with the input, null for a good row. Missing is null; NaN and ±inf stay.
    """

    def __init__(self, target: str | os.PathLike[str]) -> None:
        self.target = os.fspath(target)

    def prepare(self) -> None:
        """Imports what writing needs. Raises ImportError when pyarrow is not installed."""
        import pyarrow.parquet  # noqa: F401

    def write(self, name: str, rows: RowBatch) -> None:
        """Raises OSError, or the file system's own error."""
        write_table(arrow_table(rows), self.target, name)


def arrow_table(rows: RowBatch) -> pa.Table:
    """The rows as the Arrow table that becomes Parquet."""
    import pyarrow as pa

    schema = rows.schema
    columns: dict[str, Any] = {
        "prediction_id": pa.array(rows.ids, pa.string()),
        "event_time": pa.array(rows.rows["time"], pa.timestamp("us", tz="UTC")),
        "model_version": pa.array([schema.model_version] * len(rows.ids), pa.string()),
    }
    for c in schema.columns:
        if c.kind == "numerical":
            values, missing = rows.numbers(c.name, c.role)
            columns[c.name] = pa.array(values, pa.float64(), mask=missing)
        else:
            columns[c.name] = pa.array(rows.texts(c.name, c.role), pa.string())
    columns["input_errors"] = pa.array(rows.errors(), pa.string())
    return pa.table(columns)


# A server whose machine died, and a table that somebody holds locked, are failures within a minute: to wait for them in
# silence would look as if nothing were wrong. What the URL says goes before.
POSTGRES: dict[str, str | int] = {
    "connect_timeout": 5,
    "options": "-c lock_timeout=30s",
    "keepalives_idle": 20, "keepalives_interval": 10, "keepalives_count": 3, "tcp_user_timeout": 60_000,
}  # fmt: skip


class SqlSink:
    """Rows of a SQL table (``table`` or ``schema.table``), made if it is not there. A known ``prediction_id`` is left
    alone.

    Postgres and SQLite. Columns as ``ParquetSink``'s; ``event_time`` is a timestamp with time zone. SQLite has no
    NaN: it keeps null.
    """

    def __init__(self, url: str, table: str, batch: int = 1000) -> None:
        self._url, self._table_name, self._batch = url, table, batch
        self._engine: Any = None
        self._tables: dict[RowSchema, Any] = {}

    def prepare(self) -> None:
        """Imports what writing needs. Raises ImportError when SQLAlchemy is not installed."""
        import sqlalchemy  # noqa: F401

    def write(self, name: str, rows: RowBatch) -> None:
        """One transaction a segment. Raises SQLAlchemy's errors."""
        from datetime import UTC, datetime, timedelta

        import sqlalchemy as sa
        from sqlalchemy.dialects import postgresql, sqlite

        if self._engine is None:
            url = sa.make_url(self._url)
            given = POSTGRES if self._url.startswith("postgres") else {}
            arguments = {name: value for name, value in given.items() if name not in url.query}
            self._engine = sa.create_engine(url, pool_size=1, pool_pre_ping=True, connect_args=arguments)
        table = self._table(rows.schema)
        insert = (sqlite if self._engine.dialect.name == "sqlite" else postgresql).insert
        statement = insert(table).on_conflict_do_nothing(index_elements=["prediction_id"])
        epoch = datetime(1970, 1, 1, tzinfo=UTC)
        records = rows.records()
        for record in records:
            record["event_time"] = epoch + timedelta(microseconds=record["event_time"])
        try:
            with self._engine.begin() as connection:
                for start in range(0, len(records), self._batch):
                    connection.execute(statement, records[start : start + self._batch])
        except Exception:
            self._tables.clear()  # it may have been dropped: the next try makes it anew
            raise

    def _table(self, schema: RowSchema) -> Any:
        import sqlalchemy as sa

        if schema not in self._tables:
            space, _, bare = self._table_name.rpartition(".")
            columns: list[Any] = [
                sa.Column("prediction_id", sa.Text, primary_key=True),
                sa.Column("event_time", sa.DateTime(timezone=True), nullable=False),
                sa.Column("model_version", sa.Text),
            ]
            for c in schema.columns:  # quoted always: not every reserved word is known to SQLAlchemy as one
                kind = sa.Double if c.kind == "numerical" else sa.Text
                columns.append(sa.Column(sa.quoted_name(c.name, True), kind))
            columns.append(sa.Column("input_errors", sa.Text))
            where = sa.quoted_name(space, True) if space else None
            table = sa.Table(sa.quoted_name(bare, True), sa.MetaData(), *columns, schema=where)
            table.create(self._engine, checkfirst=True)
            self._tables[schema] = table
        return self._tables[schema]
