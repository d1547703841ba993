"""A small binary monitor over real files, and the short way from files to ingested windows."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from monitoring_pipeline.lake import duck
from monitoring_pipeline.lake.ingestion import ingest_windows
from monitoring_pipeline.lake.relation import Relation
from monitoring_pipeline.lake.sources.index import index_predictions
from monitoring_pipeline.lake.views import predictions_relation
from monitoring_pipeline.monitors.declaration import Monitor
from monitoring_pipeline.records import IngestedWindow, WindowFailure
from monitoring_pipeline.settings import Settings
from monitoring_pipeline.windows import Window

NOW = datetime(2024, 6, 1, tzinfo=UTC)
DAY = Window.from_key("2024-03-01", "day")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", lake_url=None, duckdb_memory_limit="300MB", duckdb_threads=2)


@pytest.fixture
def declare(tmp_path: Path) -> Callable[..., Monitor]:
    """A monitor of predictions in ``<tmp_path>/log/*.parquet``; keywords replace parts of the declaration."""

    def build(schema: dict[str, Any] | None = None, **changes: Any) -> Monitor:
        columns = {
            "prediction_id": "id",
            "event_time": "at",
            "score": "score",
            "numerical": ["x"],
            "categorical": ["c"],
            "boolean": ["b"],
        }
        declaration: dict[str, Any] = {
            "name": "m",
            "task": "binary",
            "schema": columns | (schema or {}),
            "predictions": {"path": "log/*.parquet"},
            "ground_truth": {"path": "truth/*.parquet", "outcome": "y", "label_time": "known"},
            "reference": {"path": "reference/*.parquet", "outcome": "y"},
            "start": "2024-01-01",
            "base_dir": tmp_path,
        }
        return Monitor.model_validate(declaration | changes)

    return build


def rows(n: int, first: int = 0, day: str = "2024-03-01") -> dict[str, list[Any]]:
    """``n`` good rows of one day, ids ``r<first>`` and up, a minute apart."""
    start = datetime.fromisoformat(f"{day}T00:00:00")
    return {
        "id": [f"r{first + i}" for i in range(n)],
        "at": [start.replace(hour=i // 60 % 24, minute=i % 60) for i in range(n)],
        "score": [i / n for i in range(n)],
        "x": [float(i) for i in range(n)],
        "c": ["ab"[i % 2] for i in range(n)],
        "b": [i % 3 == 0 for i in range(n)],
    }


def write(path: Path, columns: dict[str, Any], **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path, **options)
    return path


def take_in(monitor: Monitor, settings: Settings, now: datetime = NOW) -> dict[str, IngestedWindow | WindowFailure]:
    """Index everything and take every window in; by the window's key."""
    paths: dict[Window, list[str]] = {}
    for file in index_predictions(monitor, {}, settings, now):
        for start in file.windows:
            paths.setdefault(Window.at(start, monitor.window), []).append(file.path)
    answers = ingest_windows(monitor, dict(sorted(paths.items())), settings.lake, settings, now)
    return {answer.window.key(monitor.window): answer for answer in answers}


def take_in_one(monitor: Monitor, settings: Settings, now: datetime = NOW) -> IngestedWindow:
    """The same where there is one window, which must succeed."""
    (answer,) = take_in(monitor, settings, now).values()
    assert isinstance(answer, IngestedWindow), answer
    return answer


def fetch(relation: Relation, settings: Settings, select: str = "*", tail: str = "") -> list[tuple[Any, ...]]:
    with duck.connected(settings, relation.protocols) as connection:
        return connection.execute(f"SELECT {select} FROM ({relation.sql}) {tail}").fetchall()


def kept(monitor: Monitor, settings: Settings, *windows: IngestedWindow, select: str = "*") -> list[tuple[Any, ...]]:
    return fetch(predictions_relation(monitor, windows), settings, select, "ORDER BY __id")


def quarantined(settings: Settings, monitor: Monitor) -> list[dict[str, Any]]:
    """Every row that was put aside."""
    found = duckdb.sql(
        f"SELECT * FROM read_parquet('{settings.lake}/{monitor.name}/quarantine/**/*.parquet', union_by_name=true)"
        " ORDER BY source_file, source_row"
    ).to_arrow_table()
    return found.to_pylist()
