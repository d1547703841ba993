"""Bounded looks at a relation: deterministic samples, and the most frequent values that are not among some."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb
import pyarrow as pa

from monitoring_pipeline.errors import SourceError
from monitoring_pipeline.lake.duck import connected, file_list, identifier, protocol_of
from monitoring_pipeline.lake.relation import Relation
from monitoring_pipeline.settings import Settings


def sample(connection: duckdb.DuckDBPyConnection, relation: Relation, columns: Sequence[str], n: int) -> pa.Table:
    """``columns`` of at most ``n`` rows: those whose prediction ids hash lowest, so that the same rows come each
    time.
    """
    picked = ", ".join(identifier(c) for c in columns)
    sql = f"SELECT {picked} FROM ({relation.sql}) ORDER BY hash(__id), __id LIMIT {int(n)}"  # noqa: S608
    return connection.sql(sql).to_arrow_table()


def rows_of_ids(settings: Settings, files: Sequence[str], key: str, ids: Sequence[str]) -> pa.Table:
    """Rows of Parquet files whose column ``key``, as text, is one of ``ids``; all their columns.

    Raises SourceError when the files cannot be read or have no such column.
    """
    with connected(settings, {protocol_of(path) for path in files} - {""}) as connection:
        connection.register("__wanted", pa.table({"__id": pa.array(ids, pa.string())}))
        sql = (
            f"SELECT * FROM read_parquet({file_list(files)}, union_by_name=true, hive_partitioning=false)"  # noqa: S608
            f" WHERE CAST({identifier(key)} AS VARCHAR) IN (SELECT __id FROM __wanted)"
        )
        try:
            return connection.sql(sql).to_arrow_table()
        except duckdb.Error as error:
            raise SourceError(f"{files[0]}: cannot be read by {key!r}: {str(error).splitlines()[0]}") from error


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
