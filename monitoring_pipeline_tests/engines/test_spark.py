"""Spark's counts are those of the embedded engine: on a real master and two workers on loopback."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from monitoring_pipeline.engines.duckdb import DuckDBEngine
from monitoring_pipeline.engines.spark import SparkEngine, tasks
from monitoring_pipeline.engines.spark import engine as spark_engine
from monitoring_pipeline.errors import UserError, WindowError
from monitoring_pipeline.profiles.parts import PARTS as ALL_PARTS
from monitoring_pipeline.settings import Settings
from monitoring_pipeline_tests import toy
from monitoring_pipeline_tests.engines.cluster import cluster, spark_home
from monitoring_pipeline_tests.engines.scans import assert_equal, cut, one_large_file, reference_scan, scan_of
from monitoring_pipeline_tests.front_door import FrontDoor, assert_same, fresh_door

pytestmark = [
    pytest.mark.slow,
    pytest.mark.spark,
    pytest.mark.skipif(spark_home() is None, reason="pyspark is not installed"),
    pytest.mark.skipif(shutil.which("java") is None, reason="Spark needs Java 17"),
]
PARTS = frozenset(ALL_PARTS)
DAYS = 2


@pytest.fixture(scope="module")
def master(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    before = signal.getsignal(signal.SIGINT)  # Spark's own handler fails once its session has ended
    with cluster(tmp_path_factory.mktemp("spark")) as url:
        yield url
        _stop_session()
    signal.signal(signal.SIGINT, before)


def _stop_session() -> None:
    from pyspark.sql import SparkSession

    session = SparkSession.getActiveSession()
    if session is not None:
        session.stop()


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_counts_are_those_of_the_embedded_engine(
    door: FrontDoor, master: str, task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows, versions and segments of one large file, each over at least four tasks; once the reference, too."""
    monitor = one_large_file(door, task, DAYS)
    assert door.run(monitor, 0, DAYS - 1) is None
    monkeypatch.setattr(tasks, "ROWS_A_TASK", 200)
    monkeypatch.setattr(spark_engine, "FAN_IN", 3)  # so that the tree has several levels
    spark, embedded = SparkEngine(replace_settings(door.settings, master)), DuckDBEngine(door.settings)
    scan, layouts = scan_of(door, monitor, DAYS)
    for one in (scan, reference_scan(door, monitor)) if task == "binary" else (scan,):
        assert len(cut(door, one)) >= 4
        arguments = (one, layouts, monitor.segment_keys, PARTS)
        assert_equal(spark.profile(*arguments), embedded.profile(*arguments))


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
    scan, layouts = scan_of(door, monitor, DAYS)
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
