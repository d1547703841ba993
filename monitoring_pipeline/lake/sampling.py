"""Bounded, deterministic samples of a relation."""

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
