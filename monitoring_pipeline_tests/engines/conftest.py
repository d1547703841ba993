import duckdb
import pytest

from benchmarks.profiles import Profiles
from monitoring_pipeline_tests.front_door import door

__all__ = ["connection", "door", "engine"]


@pytest.fixture
def connection():
    with duckdb.connect(config={"threads": 2, "memory_limit": "600MB"}) as connection:
        yield connection


@pytest.fixture
def engine(connection):
    return Profiles(connection)
