"""kill -9 under load: what was answered is in the lake, once."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from monitoring_pipeline.serving import Monitoring, ParquetSink, PredictionLog
from monitoring_pipeline_tests.serving.conftest import logged
from monitoring_pipeline_tests.serving.reference import SEED, reference_document

KILLS, THREADS = 20, 3


@pytest.mark.slow
def test_twenty_kills_lose_nothing(tmp_path: Path) -> None:
    arguments = [str(tmp_path), str(KILLS), str(THREADS), str(SEED)]
    nursery = [sys.executable, "-m", "monitoring_pipeline_tests.serving.service", *arguments]
    answered = subprocess.run(nursery, stdout=subprocess.PIPE, check=True).stdout.decode().split()
    assert len(answered) == len(set(answered)) > 1000

    log = PredictionLog(tmp_path / "spool", ParquetSink(tmp_path / "lake"), max_age=0.1)
    last = Monitoring(reference_document(), log)
    end = time.monotonic() + 30
    while len(list(log.directory.glob("*.lock"))) > 1:
        assert time.monotonic() < end, "the dead workers' files were not shipped"
        time.sleep(0.05)
    last.close()
    rows = [r["prediction_id"] for r in logged(tmp_path / "lake")]
    assert set(answered) <= set(rows)
    assert len(rows) == len(set(rows)), "no row stands in two files"
    # what was durable but killed before its answer went out: at most one a thread and kill
    assert len(set(rows) - set(answered)) <= KILLS * THREADS
    assert not list(log.directory.glob("*.corrupt")), "a kill leaves no torn record"
