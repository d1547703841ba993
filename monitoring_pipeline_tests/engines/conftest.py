import duckdb
import pytest

from monitoring_pipeline.engines.duckdb import DuckDBEngine


@pytest.fixture
def connection():
    with duckdb.connect(config={"threads": 2, "memory_limit": "600MB"}) as connection:
        yield connection


@pytest.fixture
def engine(connection):
    return DuckDBEngine(connection)
