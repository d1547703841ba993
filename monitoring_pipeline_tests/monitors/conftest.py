"""What the tests of this room share: summaries of Parquet files, read by DuckDB."""

from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from monitoring_pipeline.monitors.summary import ColumnSummary, SourceSummary


@pytest.fixture
def summary_of() -> Callable[[Path], SourceSummary]:
    """What a Parquet file holds; the lake's own inspection is tested in its room."""
    return _summary


def _summary(path: Path) -> SourceSummary:
    source = f"read_parquet('{path}')"
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        kinds = connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()
        count = connection.execute(f"SELECT count(*) FROM {source}").fetchone()
        columns = [_column(connection, source, name, kind) for name, kind, *_ in kinds]
    assert count is not None
    return SourceSummary(n_rows=count[0], columns=tuple(columns), path=str(path))


def _column(connection: duckdb.DuckDBPyConnection, source: str, name: str, kind: str) -> ColumnSummary:
    quoted = '"' + name.replace('"', '""') + '"'
    figures = f"count(DISTINCT {quoted}), count(*) - count({quoted}), min({quoted}), max({quoted})"
    found = connection.execute(f"SELECT {figures} FROM {source}").fetchone()
    assert found is not None
    samples = connection.execute(
        f"SELECT CAST({quoted} AS VARCHAR) FROM {source} WHERE {quoted} IS NOT NULL"
        " GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 20"
    ).fetchall()
    return ColumnSummary(name, kind, *found, samples=tuple(value for (value,) in samples))
