"""Processes that carry out every decision that waits, with a trainer of milliseconds; tests kill them.

``python -m monitoring_pipeline_tests.retraining.killed FILE.yaml``; the environment says home and database. Pauses of
random length at each step spread the kills over training, comparison and promotion.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from monitoring_pipeline.monitors.loading import load_monitor
from monitoring_pipeline.retraining import attempts, judged_rows, promotion
from monitoring_pipeline.retraining.context import RetrainContext
from monitoring_pipeline.settings import Settings
from monitoring_pipeline.stages import retraining
from monitoring_pipeline.warehouse import attempt_store
from monitoring_pipeline.warehouse.database import Warehouse
from monitoring_pipeline_tests.retraining.fakes import QuickTrainer, quick

LONGEST_PAUSE = 0.02


def pause() -> None:
    time.sleep(random.random() * LONGEST_PAUSE)


def slowly(work: Callable[..., Any]) -> Callable[..., Any]:
    """``work`` with a pause before and after."""

    def slow(*args: Any, **kwargs: Any) -> Any:
        pause()
        done = work(*args, **kwargs)
        pause()
        return done

    return slow


def prepare() -> None:
    """The made-up retraining, with pauses."""
    quick(QuickTrainer())
    promotion.ORPHAN_AGE = timedelta(0)
    retraining.train_challenger = slowly(retraining.train_challenger)
    judged_rows.judged_rows = slowly(judged_rows.judged_rows)
    for module, names in (
        (attempt_store, ("advance", "record_promotion", "save_comparisons", "change_role", "set_outcome", "reject")),
        (promotion, ("point_to", "in_service", "remove_orphans")),
        (attempts, ("resume_or_begin",)),
    ):
        for name in names:
            setattr(module, name, slowly(getattr(module, name)))


def work(path: str) -> None:
    """One worker, until nothing waits."""
    random.seed(os.getpid())
    settings = Settings()
    with Warehouse.open(settings, patience=5) as warehouse:
        ctx = RetrainContext(load_monitor(Path(path)), warehouse, settings, f"worker-{os.getpid()}")
        while attempts.open_or_waiting(ctx):
            if retraining.carry_out(ctx) is None:
                time.sleep(0.02)  # another one is at it


def main(path: str) -> None:
    """Imports once; each line on standard input is a worker of its own, whose process id is printed."""
    prepare()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that are killed
    for _ in sys.stdin:
        if not (pid := os.fork()):
            work(path)
            os._exit(0)
        print(pid, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
