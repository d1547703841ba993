"""Spark's counts are those of the embedded engine: on a real master and two workers on loopback."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from monitoring_pipeline.engines.counter import Counted
from monitoring_pipeline.engines.duckdb import DuckDBEngine
from monitoring_pipeline.engines.spark import SparkEngine, tasks
from monitoring_pipeline.engines.spark.tasks import tasks_of
from monitoring_pipeline.errors import UserError, WindowError
from monitoring_pipeline.graph.resources import warehouse_of
from monitoring_pipeline.lake.scan import Scan, labelled
from monitoring_pipeline.monitors import Monitor
from monitoring_pipeline.settings import Settings
from monitoring_pipeline.warehouse import ledger, profile_store
from monitoring_pipeline_tests import toy
from monitoring_pipeline_tests.engines.cluster import cluster, spark_home
from monitoring_pipeline_tests.front_door import FrontDoor, assert_same, fresh_door

pytestmark = [
    pytest.mark.slow,
    pytest.mark.spark,
    pytest.mark.skipif(spark_home() is None, reason="pyspark is not installed"),
    pytest.mark.skipif(shutil.which("java") is None, reason="Spark needs Java 17"),
]
PARTS = frozenset({"columns", "outcomes", "target"})
DAYS = 4


@pytest.fixture(scope="module")
def master(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with cluster(tmp_path_factory.mktemp("spark")) as url:
        yield url
        _stop_session()


def _stop_session() -> None:
    from pyspark.sql import SparkSession

    session = SparkSession.getActiveSession()
    if session is not None:
        session.stop()


def scan_of(door: FrontDoor, monitor: Monitor) -> tuple[Scan, dict]:
    """Everything that was taken in, with its labels, and the layouts by model version."""
    windows = [toy.day(i) for i in range(DAYS)]
    with warehouse_of(door.settings).transaction() as conn:
        taken = list(ledger.ingested(conn, monitor.name, windows).values())
        files = ledger.label_files(conn, monitor.name, windows)
        layouts = {version: r.layout for version, r in profile_store.references(conn, monitor.name).items()}
    known = next(iter(layouts.values()))
    return labelled(monitor, taken, files), {v: layouts.get(v, known) for one in taken for v in one.versions}


def assert_equal(ours: list[Counted], theirs: list[Counted]) -> None:
    """Counts exactly, sums and moments to 1e-12."""
    assert [(c.window, c.version, c.segment, c.n_rows) for c in ours] == [
        (c.window, c.version, c.segment, c.n_rows) for c in theirs
    ]
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.parts.keys() == other.parts.keys()
        for name in mine.parts:
            for a, b in zip(_numbers(mine.parts[name]), _numbers(other.parts[name]), strict=True):
                if a.dtype.kind == "i":
                    np.testing.assert_array_equal(a, b)
                else:
                    np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


def _numbers(part: object) -> Iterator[np.ndarray]:
    """Every number that a part holds."""
    if isinstance(part, tuple):
        for each in part:
            yield from _numbers(each)
    elif isinstance(part, int | float | np.ndarray):
        yield np.asarray(part)
    elif hasattr(part, "__dataclass_fields__"):
        for name in part.__dataclass_fields__:
            if name != "layout":
                yield from _numbers(getattr(part, name))


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_counts_are_those_of_the_embedded_engine(
    door: FrontDoor, master: str, task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    it, monitor = toy.ready(door.base, DAYS, task)
    of_v2 = it.rows(1).assign(version="v2")
    it.write_log(of_v2.assign(id=of_v2["id"] + "-v2"), "more")
    assert door.run(monitor, 0, DAYS - 1) is None
    scan, layouts = scan_of(door, monitor)
    monkeypatch.setattr(tasks, "ROWS_A_TASK", 200)  # several tasks a scan, and a window's files apart
    assert len(tasks_of(scan)) >= DAYS
    spark = SparkEngine(replace_settings(door.settings, master))
    arguments = (scan, layouts, monitor.segment_keys, PARTS)
    assert_equal(spark.profile(*arguments), DuckDBEngine(door.settings).profile(*arguments))


def replace_settings(settings: Settings, master: str) -> Settings:
    return settings.model_copy(update={"engine": "spark", "spark_master": master})


def test_a_run_on_spark_says_what_a_run_in_this_process_says(
    door: FrontDoor, master: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, monitor = toy.ready(door.base, 2)
    assert door.run(monitor, 0, 1) is None
    with fresh_door(door) as other:
        monkeypatch.setenv("MONITORING_ENGINE", "spark")
        monkeypatch.setenv("MONITORING_SPARK_MASTER", master)
        assert other.run(monitor, 0, 1) is None
        assert_same(other.views(), door.views())


def test_a_file_that_cannot_be_read_is_named(door: FrontDoor, master: str) -> None:
    _, monitor = toy.ready(door.base, DAYS)
    assert door.run(monitor, 0, DAYS - 1) is None
    scan, layouts = scan_of(door, monitor)
    broken = replace(scan, windows=(replace(scan.windows[0], files=(str(door.base / "nowhere.parquet"),)),))
    with pytest.raises((WindowError, UserError), match=r"nowhere\.parquet"):
        SparkEngine(replace_settings(door.settings, master)).profile(broken, layouts, (), PARTS)


def test_a_cluster_that_is_away_is_said(tmp_path: Path) -> None:
    """In a process of its own: a session is one for each process."""
    code = "from monitoring_pipeline.engines.spark import engine; engine.session_of(engine.Settings())"
    environment = {**os.environ, "MONITORING_SPARK_MASTER": "spark://127.0.0.1:9", "MONITORING_HOME": str(tmp_path)}
    process = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=200, check=False
    )
    assert "cannot be reached; check MONITORING_SPARK_MASTER" in process.stderr
