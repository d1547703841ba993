"""What a retraining costs from the decision to the finished challenger, and how much of it is not the fit itself.

    python -m benchmarks.retraining [--days 160] [--profile FILE]

500 rows a day of 25 columns, gradient boosting of scikit-learn; a fifth of the days is held out, the newest 28 judge.
CPU is user and system time of this process, of the training process, and of the embedded server. The goals: 120 s in
all, 15 s of it ours.
"""

from __future__ import annotations

import argparse
import cProfile
import os
import resource
import tempfile
import time
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from unittest import mock

from sqlalchemy import text

from benchmarks.graph_run import own_cpu, postgres_cpu
from benchmarks.one_window import FIRST, _day, _written
from monitoring_pipeline.monitors import Monitor
from monitoring_pipeline.retraining.context import RetrainContext
from monitoring_pipeline.retraining.contract import TrainedModel, TrainingSet, TrainRequest
from monitoring_pipeline.settings import Settings
from monitoring_pipeline.warehouse.database import Warehouse

COMPARED = 28
DECIDE = text("""
insert into monitoring.retrain_decision (monitor, decided_at, last_evaluated_at, as_of, trigger, decision, reason,
  evidence, evidence_key)
values (:monitor, clock_timestamp(), clock_timestamp(), :as_of, 'new_labels', 'retrain', 'benchmark', '{}', 'benchmark')
""")


@dataclass(frozen=True)
class Step:
    """Seconds of CPU and of wall time; ``fit``: CPU within the trainer."""

    name: str
    cpu: float
    wall: float
    fit: float = 0.0


def train(training: TrainingSet, request: TrainRequest) -> TrainedModel:
    """The estimator that a declaration alone gives, with a clock around its fit."""
    from monitoring_pipeline.monitors.retraining import Estimator
    from monitoring_pipeline.retraining import estimators

    began = time.process_time()
    declared = Estimator.model_validate({"class": "sklearn.ensemble.HistGradientBoostingClassifier"})
    made = estimators.train(declared, training, request)
    return replace(made, parameters={"fit_cpu_seconds": time.process_time() - began})


def measure(days: int, profile: Path | None = None) -> list[Step]:
    """Each step of the attempt."""
    from monitoring_pipeline.stages import retraining

    with (
        tempfile.TemporaryDirectory(prefix="retraining-") as home,
        mock.patch.dict(os.environ, {"MONITORING_HOME": f"{home}/home"}),
    ):
        os.environ.pop("DATABASE_URL", None)
        monitor = _declared(Path(home), days + COMPARED)
        with Warehouse.open(Settings()) as warehouse:
            ctx = RetrainContext(monitor, warehouse, Settings(), "benchmark")
            _prepare(ctx, days + COMPARED)
            found, profiler = [], cProfile.Profile()
            if profile:
                profiler.enable()
            before = _now(warehouse)
            for done in retraining.steps(ctx):
                after = _now(warehouse)
                trained = done.version.hyperparameters if done.step == "candidate" and done.version else {}
                fit = trained.get("fit_cpu_seconds", 0.0)
                found.append(Step(done.step, after[0] - before[0], after[1] - before[1], fit))
                if done.attempt.state == "failed":
                    raise RuntimeError(done.attempt.error)
                before = _now(warehouse)
            if profile:
                profiler.disable()
                profiler.dump_stats(profile)
    return found


def _declared(home: Path, days: int) -> Monitor:
    monitor = _written(home, days)
    retrain = {"trainer": "benchmarks.retraining:train", "promote": {"least_rows": 1000}}
    return (
        type(monitor)
        .model_validate(monitor.canonical() | {"retrain": retrain, "labels": {"max_delay": "1d"}})
        .model_copy(update={"base_dir": home})
    )


def _prepare(ctx: RetrainContext, days: int) -> None:
    from monitoring_pipeline.stages.context import StageContext
    from monitoring_pipeline.stages.declaring import declare
    from monitoring_pipeline.stages.ground_truth import take_in_labels
    from monitoring_pipeline.stages.ingestion import ingest
    from monitoring_pipeline.stages.reference import profile_reference

    stages = StageContext(ctx.monitor, ctx.warehouse, ctx.settings, "benchmark")
    ctx.warehouse.run(lambda conn: declare(conn, ctx.monitor))
    profile_reference(stages)
    failed = [one.error for one in ingest(stages, [_day(day) for day in range(days)]) if one.failed]
    if failed:
        raise RuntimeError(failed[0])
    take_in_labels(stages)
    values = {"monitor": ctx.monitor.name, "as_of": FIRST + timedelta(days=days + 1)}
    ctx.warehouse.run(lambda conn: conn.execute(DECIDE, values).rowcount)


def _now(warehouse: Warehouse) -> tuple[float, float]:
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return own_cpu() + ended.ru_utime + ended.ru_stime + postgres_cpu(warehouse), time.perf_counter()


def table(found: list[Step]) -> str:
    """As Markdown."""
    lines = ["| step | CPU s | of which the fit | wall s |", "|---|---|---|---|"]
    whole = Step("in all", *(sum(getattr(one, name) for one in found) for name in ("cpu", "wall", "fit")))
    lines += [f"| {one.name} | {one.cpu:.2f} | {one.fit:.2f} | {one.wall:.2f} |" for one in (*found, whole)]
    return "\n".join([*lines, f"\nOurs: {whole.cpu - whole.fit:.1f} s of CPU."])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--days", type=int, default=160, help="days of 500 rows that the challenger is trained on")
    parser.add_argument("--profile", type=Path, help="file for pstats of this process")
    arguments = parser.parse_args()
    print(table(measure(arguments.days, arguments.profile)))


if __name__ == "__main__":
    main()
