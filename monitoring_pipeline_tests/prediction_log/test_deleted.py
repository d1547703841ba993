"""Somebody deletes the spool while it is in use: what is lost is said, and nothing more is lost."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from monitoring_pipeline.prediction_log import shipper
from monitoring_pipeline.prediction_log.spool import Spool, SpoolPolicy, adopt
from monitoring_pipeline.serving import Monitoring, PredictionLogError
from monitoring_pipeline_tests.prediction_log.test_log import eventually, names, put
from monitoring_pipeline_tests.serving.conftest import value

Make = Callable[..., Monitoring]
POLICY = SpoolPolicy(segment_bytes=10_000)


def spool_of(directory: Path) -> Spool:
    return Spool(directory, b"{}", POLICY, lambda reason, n: None)


def directory(m: Monitoring) -> Path:
    assert m.log is not None
    return m.log.directory


def unlink_all(spool: Path) -> None:
    for file in spool.iterdir():
        file.unlink()


def move(spool: Path) -> None:
    spool.rename(spool.with_name("moved"))


@pytest.mark.parametrize("take_away", [unlink_all, shutil.rmtree, move])
def test_the_spool_is_made_anew(
    make: Make, lake: Path, take_away: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    m = make(max_age=0.4)
    put(m, 3)
    take_away(directory(m))
    eventually(lambda: value(m, "model_log_dropped_total", reason="deleted") == 3)
    assert "3 predictions dropped (deleted)" in caplog.text
    put(m, 5, 10)
    assert list(directory(m).glob("*.lock")), "no other worker takes this one for dead"
    other = make(max_age=0.2)
    eventually(lambda: names(lake) == [f"p{i}" for i in range(10, 15)])
    for monitoring in (m, other):
        monitoring.close()
    assert list(directory(m).iterdir()) == []
    assert value(m, "model_log_dropped_total", reason="deleted") == 3


@pytest.mark.parametrize("take_away", [unlink_all, move])
def test_nothing_is_answered_that_stands_in_a_deleted_file(
    make: Make, take_away: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the shipper's thread, which may be at the sink, has seen that it was deleted."""
    monkeypatch.setattr(shipper.Shipper, "_keep_house", lambda self: None)
    m = make(durability="power", max_age=60.0)
    put(m, 1)
    take_away(directory(m))
    with pytest.raises(PredictionLogError, match=r"was deleted.*not durable"):
        put(m, 1, 1)


def test_a_lock_that_was_deleted_is_held_again(tmp_path: Path) -> None:
    living = spool_of(tmp_path)
    (lock,) = tmp_path.glob("*.lock")
    lock.unlink()
    living.notice_deletion()
    assert adopt(tmp_path, "another") == []
    lock.unlink()
    lock.touch()  # as a worker makes it that looks whether this one lives
    living.notice_deletion()
    assert adopt(tmp_path, "another") == []
    living.close()
    living.release()
    assert list(tmp_path.iterdir()) == []


def test_what_a_worker_left_that_was_killed_before_it_had_its_lock_is_cleared(tmp_path: Path) -> None:
    code = f"""
import os, sys
from pathlib import Path
Path.rename = lambda *a: os.kill(os.getpid(), 9)
from monitoring_pipeline_tests.prediction_log.test_deleted import spool_of
spool_of(Path({str(tmp_path)!r}))
"""
    killed = subprocess.run([sys.executable, "-c", code], capture_output=True)
    assert killed.returncode == -9 and len(list(tmp_path.glob("*.starting"))) == 1
    assert adopt(tmp_path, "another") == []
    assert list(tmp_path.iterdir()) == []


def test_one_that_is_just_starting_is_left_alone_and_starts_in_any_case(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another clears up between each two steps of its start."""
    steps: list[str] = []

    def followed(module: Any, name: str, times: int) -> None:
        real = getattr(module, name)

        def step(*arguments: Any, **options: Any) -> Any:
            found = real(*arguments, **options)
            if not clearing.locked() and steps.count(name) < times:
                with clearing:
                    steps.append(name)
                    assert adopt(tmp_path, "another") == []
            return found

        monkeypatch.setattr(module, name, step)

    clearing = threading.Lock()
    followed(os, "open", 2)
    followed(fcntl, "flock", 3)
    spool = spool_of(tmp_path)
    assert steps == ["open", "flock", "open", "flock", "flock"], "cleared away twice, then held"
    assert [p.suffix for p in tmp_path.iterdir() if p.suffix != ".open"] == [".lock"]
    assert adopt(tmp_path, "another") == []
    spool.close()
    spool.release()
