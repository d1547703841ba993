"""Processes as services have them: a script that just ends, children that return, idle workers."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from monitoring_pipeline.prediction_log import shipper
from monitoring_pipeline.serving import Monitoring
from monitoring_pipeline_tests.serving.conftest import logged, value
from monitoring_pipeline_tests.serving.reference import good_row

Make = Callable[..., Monitoring]
SERVICE = """
import multiprocessing, sys
from pathlib import Path
from monitoring_pipeline.serving import Monitoring, ParquetSink, PredictionLog
from monitoring_pipeline_tests.serving.reference import good_row, reference_document

place = Path(sys.argv[1])
monitoring = Monitoring(reference_document(), PredictionLog(place / "spool", ParquetSink(place / "lake")))
predict = monitoring.wrap(lambda row: 0.5)
"""


def run(place: Path, program: str, **environment: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([sys.executable, "-c", SERVICE + textwrap.dedent(program), str(place)], text=True,
                          capture_output=True, timeout=120, env=os.environ | environment)  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done


def test_a_short_script_without_close_ships_what_it_predicted(tmp_path: Path) -> None:
    """It ends before the thread that ships has imported what that takes."""
    done = run(tmp_path, "predict(good_row(), prediction_id='a')")
    assert done.stderr == ""
    assert [r["prediction_id"] for r in logged(tmp_path / "lake")] == ["a"]
    assert list((tmp_path / "spool").iterdir()) == []


def test_a_child_that_returns_is_counted_and_ships_even_if_forked_at_once(tmp_path: Path) -> None:
    """At once: in the middle of the parent's imports. ``os._exit`` ends a child of multiprocessing, without atexit."""
    done = run(
        tmp_path,
        """
        def work(n):
            for i in range(n):
                predict(good_row())

        fork = multiprocessing.get_context("fork")
        children = [fork.Process(target=work, args=(n,)) for n in (3, 4)]
        for child in children:
            child.start()
        for child in children:
            child.join()
        for line in monitoring.metrics().decode().splitlines():
            if line.startswith(("model_predictions_total", "model_log_spooled_total")):
                print(line.split()[-1])
        """,
        PROMETHEUS_MULTIPROC_DIR=str(tmp_path / "counters"),
    )
    assert (done.stdout.split(), done.stderr) == (["7.0", "7.0"], "")
    assert len(logged(tmp_path / "lake")) == 7


def spool(m: Monitoring) -> list[Path]:
    assert m.log is not None
    return [p for p in m.log.directory.iterdir() if p.suffix != ".lock"]


def test_the_spool_takes_room_with_the_first_prediction_and_counts_what_is_used(make: Make) -> None:
    m = make(max_age=60.0)
    time.sleep(0.6)  # the thread that keeps a file ready has looked twice
    assert (spool(m), value(m, "model_log_spool_bytes")) == ([], 0)
    predict = m.wrap(lambda row: 0.5)
    predict(good_row())
    one = value(m, "model_log_spool_bytes")
    for _ in range(10):
        predict(good_row())
    several = value(m, "model_log_spool_bytes")
    assert one is not None and several is not None
    assert 0 < one < 2000 and one < several < 11 * one
    assert sum(p.stat().st_size for p in spool(m)) >= 8 << 20, "a whole file, so that a full disk is met here"


@pytest.mark.parametrize("durability", ["process", "power"])
def test_a_worker_that_never_predicted_leaves_nothing(make: Make, durability: str) -> None:
    m = make(durability=durability)
    assert m.log is not None
    m.close()
    assert list(m.log.directory.iterdir()) == []


def test_workers_that_count_for_themselves_are_noticed(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One that shares its counters, one that never predicted, one of another version and a dead one are not."""
    monkeypatch.setattr(shipper, "ADOPTION_SECONDS", 0.05)
    others = """
    other = Monitoring(reference_document() | {"model_version": "8"},
                       PredictionLog(place / "spool", ParquetSink(place / "lake")))
    other.wrap(lambda row: 0.5)(good_row())
    print("ready", flush=True)
    if sys.stdin.readline():
        predict(good_row())
        print("ready", flush=True)
        sys.stdin.readline()
    """
    program = [sys.executable, "-c", SERVICE + textwrap.dedent(others), str(tmp_path)]
    m = make()
    m.wrap(lambda row: 0.5)(good_row())
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdin is not None and worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
        time.sleep(0.5)
        assert value(m, "model_workers_apart") == 0 and "count" not in caplog.text
        worker.stdin.write("\n")
        worker.stdin.flush()
        assert worker.stdout.readline() == "ready\n"
        until(lambda: value(m, "model_workers_apart") == 1)
        assert "Set PROMETHEUS_MULTIPROC_DIR" in caplog.text
        worker.kill()
    until(lambda: value(m, "model_workers_apart") == 0)
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path / "counters"))
    shared = [make(), make()]
    for one in shared:
        one.wrap(lambda row: 0.5)(good_row())
    time.sleep(0.5)
    assert {value(one, "model_workers_apart") for one in (m, *shared)} == {0}


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)
