"""COPY: the fast way in. Rows as text, in the format Postgres reads."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import psycopg2
from numpy.typing import NDArray
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from monitoring_pipeline.errors import storable

# Postgres takes a COPY in batches of 64 KiB and adds twice as many pages to the table for each as for the one before;
# those left over at the end stay empty. A COPY of one batch adds the pages that it fills.
BATCH = 60_000

_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def copy_rows(
    conn: Connection, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], shared: Sequence[Any] = ()
) -> None:
    """Append rows. ``shared``: what all of them have in the last columns, written out once.

    ``table`` and ``columns`` are names of ours, never a user's. Raises SQLAlchemy's errors, as ``execute``.
    """
    end = "".join([f"\t{_field(v)}" for v in shared]) + "\n"
    statement = f"copy {table} ({', '.join(columns)}) from stdin"
    cursor = None
    try:
        for lines in _batches("\t".join(_fields(row)) + end for row in rows):
            cursor = cursor or conn.connection.cursor()
            cursor.copy_expert(statement, io.StringIO(lines))
    except psycopg2.Error as error:
        raise _translated(conn, statement, error) from error
    finally:
        if cursor is not None:
            cursor.close()


def _batches(lines: Iterable[str]) -> Iterator[str]:
    """As few texts as no more than ``BATCH`` characters each allow; a longer line is one by itself."""
    batch: list[str] = []
    size = 0
    for line in lines:
        if batch and size + len(line) > BATCH:
            yield "".join(batch)
            batch, size = [], 0
        batch.append(line)
        size += len(line)
    if batch:
        yield "".join(batch)


def _translated(conn: Connection, statement: str, error: psycopg2.Error) -> DBAPIError:
    """What SQLAlchemy would have raised: it does not see a COPY, nor that the connection was lost in it."""
    lost = conn.dialect.is_disconnect(error, None, None)
    if lost:
        conn.invalidate(error)
    found = DBAPIError.instance(
        statement, None, error, psycopg2.Error, connection_invalidated=lost, dialect=conn.dialect
    )
    assert isinstance(found, DBAPIError)
    return found


def _fields(row: Sequence[Any]) -> list[str]:
    """Numbers hardly ever come again; the rest does, and is looked up."""
    return [_OF_TYPE.get(type(v), _field)(v) for v in row]


@lru_cache(maxsize=1 << 16, typed=True)
def _field(value: Any) -> str:
    """One value as COPY reads it. Names and counts come again and again; ``typed`` keeps 1, 1.0 and True
    apart.
    """
    if value is None:
        return "\\N"
    return storable(value).translate(_ESCAPES) if isinstance(value, str) else str(value)


def array_literal(values: NDArray[np.integer] | NDArray[np.float64]) -> str:
    """A numeric array as Postgres writes it; floats with the fewest digits that read back exactly."""
    return "{" + ",".join(map(repr, values.tolist())) + "}"


class Literal(str):
    """An array as Postgres writes it, with nothing to escape."""

    __slots__ = ()


def like_first(values: Sequence[str]) -> Literal:
    """An array of these elements as Postgres writes them; null where one is the same as the first."""
    return Literal("{" + ",".join([*values[:1], *("NULL" if v == values[0] else v for v in values[1:])]) + "}")


def unless(values: NDArray[np.float64], usual: NDArray[np.float64] | float) -> Literal:
    """A numeric array as Postgres writes it; null where an element is, bit by bit, the usual one."""
    same = values.view(np.int64) == np.broadcast_to(usual, values.shape).astype(np.float64).view(np.int64)
    shown = zip(same.tolist(), map(repr, values.tolist()), strict=True)
    return Literal("{" + ",".join(["NULL" if skip else v for skip, v in shown]) + "}")


def _bytes_literal(value: bytes) -> str:
    return "\\\\x" + value.hex()


_OF_TYPE: dict[type, Callable[[Any], str]] = {
    float: repr, np.ndarray: array_literal, bytes: _bytes_literal, Literal: str
}  # fmt: skip


def text_array_literal(values: Iterable[str | None]) -> str:
    """Texts as a Postgres array."""
    quoted = ('"' + v.replace("\\", "\\\\").replace('"', '\\"') + '"' if v is not None else "NULL" for v in values)
    return "{" + ",".join(quoted) + "}"


def parse_counts(literal: str) -> NDArray[np.int64]:
    """Inverse of ``array_literal`` for counts."""
    return np.fromstring(literal[1:-1], np.int64, sep=",")  # ten times quicker than splitting


def parse_sums(literal: str) -> NDArray[np.float64]:
    """Inverse of ``array_literal`` for sums; ``Infinity`` is one of them."""
    return np.fromstring(literal[1:-1], np.float64, sep=",")
