"""Bounded looks at a relation: deterministic samples, and the most frequent values that are not among some."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb
import pyarrow as pa

from monitoring_pipeline.lake.duck import identifier
from monitoring_pipeline.lake.relation import Relation


def sample(connection: duckdb.DuckDBPyConnection, relation: Relation, columns: Sequence[str], n: int) -> pa.Table:
    """``columns`` of at most ``n`` rows: those whose prediction ids hash lowest, so that the same rows come each
    time.
    """
    picked = ", ".join(identifier(c) for c in columns)
    sql = f"SELECT {picked} FROM ({relation.sql}) ORDER BY hash(__id), __id LIMIT {int(n)}"  # noqa: S608
    return connection.sql(sql).to_arrow_table()


def most_frequent_others(
    connection: duckdb.DuckDBPyConnection, relation: Relation, column: str, known: Sequence[str], n: int
) -> list[tuple[str, int]]:
    """The ``n`` most frequent values of one of the relation's columns that are not ``known``, as text, with counts."""
    sql = (
        f"SELECT CAST({identifier(column)} AS VARCHAR) AS __value, count(*) AS __n FROM ({relation.sql})"  # noqa: S608
        f" WHERE {identifier(column)} IS NOT NULL AND CAST({identifier(column)} AS VARCHAR) <> ALL (?)"
        " GROUP BY ALL ORDER BY __n DESC, __value LIMIT ?"
    )
    return [(str(value), int(count)) for value, count in connection.execute(sql, [list(known), n]).fetchall()]
