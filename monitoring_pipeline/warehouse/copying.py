"""COPY: the fast way in. Rows as text, in the format Postgres reads."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import psycopg2
from numpy.typing import NDArray
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from monitoring_pipeline.errors import storable

_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def copy_rows(
    conn: Connection, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], shared: Sequence[Any] = ()
) -> None:
    """Append rows. ``shared``: what all of them have in the last columns, written out once.

    ``table`` and ``columns`` are names of ours, never a user's. Raises SQLAlchemy's errors, as ``execute``.
    """
    end = "".join([f"\t{_field(v)}" for v in shared]) + "\n"
    lines = "".join(["\t".join(_fields(row)) + end for row in rows])
    if lines:
        statement = f"copy {table} ({', '.join(columns)}) from stdin"
        cursor = conn.connection.cursor()
        try:
            cursor.copy_expert(statement, io.StringIO(lines))
        except psycopg2.Error as error:
            raise _translated(conn, statement, error) from error
        finally:
            cursor.close()


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


def _bytes_literal(value: bytes) -> str:
    return "\\\\x" + value.hex()


_OF_TYPE: dict[type, Callable[[Any], str]] = {float: repr, np.ndarray: array_literal, bytes: _bytes_literal}


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
