"""The one statement: what has to be read, as SQL expressions, and the batches it yields as NumPy arrays."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from duckdb import DuckDBPyConnection
from numpy.typing import NDArray

from monitoring_pipeline.lake.relation import Relation

BATCH_ROWS = 49_152  # a column of a batch (384 kB) stays in the second-level cache while it is counted
NULL_INTEGER = int(np.iinfo(np.int64).min)
MAX_LISTED = 64  # so many texts are found in SQL, by comparing in turn; more are looked up in a hash table by Arrow


def identifier(name: str) -> str:
    """``name`` as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """``text`` as a SQL string literal. A NUL would end the statement's text, so it is written as ``chr(0)``."""
    quoted = "'" + text.replace("'", "''") + "'"
    return "(" + quoted.replace("\0", "' || chr(0) || '") + ")" if "\0" in text else quoted


class Numbers:
    """A numerical column of a batch, float64 (n_rows,). ``values`` of null rows are arbitrary."""

    def __init__(self, column: pa.Array) -> None:
        self._column = column
        self.n_null: int = column.null_count
        if self.n_null:
            end = column.offset + len(column)
            self.values: NDArray[np.float64] = np.frombuffer(column.buffers()[1], np.float64, end)[column.offset :]
        else:
            self.values = column.to_numpy(zero_copy_only=True)

    @cached_property
    def valid(self) -> NDArray[np.bool_] | None:
        """Which values are not null; None: all."""
        if not self.n_null:
            return None
        end = self._column.offset + len(self._column)
        bits = np.frombuffer(self._column.buffers()[0], np.uint8)
        return np.unpackbits(bits, count=end, bitorder="little")[self._column.offset :].view(bool)

    @cached_property
    def present(self) -> NDArray[np.float64]:
        """The values that are not null, in order."""
        return self.values if self.valid is None else self.values[self.valid]


@dataclass(frozen=True)
class Coding:
    """A text column as small numbers: 0 null, 1 … K the K texts it was asked for, in order, K + 1 any other text."""

    position: int
    n_texts: int
    lookup: pa.Array | None

    @property
    def other(self) -> int:
        """Code of a text that is none of the known ones."""
        return self.n_texts + 1


class Statement:
    """Collects expressions over a relation; equal ones are read once. A column the relation lacks reads as null."""

    def __init__(self, relation: Relation) -> None:
        self._relation = relation
        self._known = frozenset(relation.columns)
        self.column_of = relation.column_of
        self._expressions: dict[str, int] = {}

    def _add(self, expression: str) -> int:
        return self._expressions.setdefault(expression, len(self._expressions))

    def _column(self, name: str) -> str:
        return identifier(name) if name in self._known else "NULL"

    def numerical(self, column: str) -> int:
        """Position of a DOUBLE."""
        return self._add(f"CAST({self._column(column)} AS DOUBLE)")

    def window(self) -> int:
        """Position of the window's start in microseconds since 1970, UTC."""
        return self._add("epoch_us(CAST(__window AS TIMESTAMP))")

    def code(self, column: str, texts: tuple[str, ...]) -> Coding:
        """Which of ``texts`` the column's text is."""
        name = f"CAST({self._column(column)} AS VARCHAR)"
        if len(texts) > MAX_LISTED:
            return Coding(self._add(name), len(texts), pa.array([None, *texts], pa.string()))
        # DuckDB evaluates this once per dictionary entry where Parquet keeps the column as a dictionary, but
        # not with a CASE around it. Null is found (the list holds it), another text yields null.
        listed = ", ".join(["NULL::VARCHAR", *map(literal, texts)])
        return Coding(self._add(f"CAST(list_position([{listed}], {name}) - 1 AS SMALLINT)"), len(texts), None)

    @property
    def sql(self) -> str:
        """The SELECT of the expressions collected so far, as columns ``__c0``, ``__c1``, …"""
        listed = ", ".join(f"{expression} AS __c{i}" for expression, i in self._expressions.items()) or "0 AS __c0"
        return f"SELECT {listed} FROM ({self._relation.sql}) AS __relation"  # noqa: S608 - names and texts are quoted above

    def batches(self, connection: DuckDBPyConnection) -> Generator[Batch, None, None]:
        """The rows, in batches and in no particular order. Only a few batches are in memory at a time."""
        # Left unread, a result would hold the connection: closing the generator closes it.
        with connection.sql(self.sql).to_arrow_reader(BATCH_ROWS) as reader:
            for batch in reader:
                if batch.num_rows:
                    yield Batch(batch)


class Batch:
    """Some rows of a statement; columns by position."""

    def __init__(self, batch: pa.RecordBatch) -> None:
        self._batch = batch
        self.n_rows: int = batch.num_rows

    def numbers(self, position: int) -> Numbers:
        """A numerical column."""
        return Numbers(self._batch.column(position))

    def codes(self, coding: Coding) -> NDArray[np.integer]:
        """A coded column, integer (n_rows,), with the codes that ``Coding`` lists."""
        found = self._batch.column(coding.position)
        if coding.lookup is not None:
            found = pc.index_in(found, value_set=coding.lookup)
        if found.null_count:
            found = pc.fill_null(found, coding.other)
        return found.to_numpy(zero_copy_only=True)

    def integers(self, position: int) -> NDArray[np.int64]:
        """Null reads as ``NULL_INTEGER``."""
        column = self._batch.column(position)
        return pc.fill_null(column, NULL_INTEGER).to_numpy(zero_copy_only=False)

    def take(self, rows: NDArray[np.intp]) -> Batch:
        """The batch of these rows, by position and in this order."""
        return Batch(self._batch.take(pa.array(rows)))
