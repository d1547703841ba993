"""What it costs to judge one new day of a monitor: 25 columns and 4 segments, 90 days before it. The goal is 100 ms.

    python -m benchmarks.one_window [--windows 8] [--profile FILE]

Each new day is a run of the whole graph, in which the stages that judge are measured by themselves: everything that
they read from Postgres and write back is in it. CPU is user and system time of this process and of all processes of the
embedded server.
"""

from __future__ import annotations

import argparse
import cProfile
import os
import tempfile
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd

from benchmarks.graph_run import done, materialize_reference, own_cpu, postgres_cpu
from monitoring_pipeline.monitors import Monitor, Window
from monitoring_pipeline.settings import Settings
from monitoring_pipeline.warehouse.database import Warehouse

ROWS, NUMERICAL, CATEGORICAL, BEFORE = 500, 20, 4, 90
REGIONS = ("north", "south", "west")
FIRST = datetime(2024, 3, 1, tzinfo=UTC)
Spent = dict[str, list[tuple[float, float]]]


def measure(windows: int = 8, profile: Path | None = None) -> Spent:
    """Seconds of CPU of this process and of Postgres by stage that judges, a pair for each of the new days."""
    from monitoring_pipeline.cli.environment import dagster_environment
    from monitoring_pipeline.cli.run import run_range

    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="one-window-")))
        stack.enter_context(mock.patch.dict(os.environ, {"MONITORING_HOME": str(home / "home")}))
        os.environ.pop("DATABASE_URL", None)
        monitor = _written(home, BEFORE + windows + 1)
        warehouse = stack.enter_context(dagster_environment(Settings()))
        materialize_reference(monitor)
        done(run_range(monitor, _day(0), _day(BEFORE - 1)))
        done(run_range(monitor, _day(BEFORE), _day(BEFORE)))  # first uses are not counted
        spent: Spent = defaultdict(list)
        profiler = cProfile.Profile() if profile else None
        _watch(stack, warehouse, spent, profiler)
        for day in range(BEFORE + 1, BEFORE + 1 + windows):
            done(run_range(monitor, _day(day), _day(day)))
        if profiler and profile:
            profiler.dump_stats(profile)
    return spent


def _watch(stack: ExitStack, warehouse: Warehouse, spent: Spent, profiler: cProfile.Profile | None) -> None:
    """Replaces the stages that judge by themselves with a clock around them."""
    from monitoring_pipeline.stages import incidents, judging

    for name, module, function in (("verdicts", judging, "judge"), ("incidents", incidents, "update")):
        clocked = _clocked(getattr(module, function), warehouse, spent[name], profiler if name == "verdicts" else None)
        stack.enter_context(mock.patch.object(module, function, clocked))


def _clocked(
    stage: Callable[..., Any], warehouse: Warehouse, into: list[tuple[float, float]], profiler: cProfile.Profile | None
) -> Callable[..., Any]:
    def measured(*given: Any) -> Any:
        own, server = own_cpu(), postgres_cpu(warehouse)
        found = profiler.runcall(stage, *given) if profiler else stage(*given)
        into.append((own_cpu() - own, postgres_cpu(warehouse) - server))
        return found

    return measured


def table(found: Spent) -> str:
    """As Markdown."""
    days = len(found["verdicts"])
    size = f"{NUMERICAL + CATEGORICAL + 1} columns × {len(REGIONS) + 1} segments"
    what = f"one new day after {BEFORE}, {size}; median of {days}"
    lines = [f"| {what} | ms of CPU | of which Postgres |", "|---|---|---|"]
    for name, pairs in found.items():
        both, server = (1000 * median(values) for values in ([a + b for a, b in pairs], [b for _, b in pairs]))
        lines.append(f"| {name} | {both:.0f} | {server:.0f} |")
    return "\n".join(lines)


def _day(number: int) -> Window:
    start = FIRST + timedelta(days=number)
    return Window(start, start + timedelta(days=1))


def _written(home: Path, days: int) -> Monitor:
    rng = np.random.default_rng(1)
    log, reference = _rows(rng, 0, days), _rows(rng, -60, 60)
    log.drop(columns="outcome").to_parquet(home / "log.parquet")
    log[["id", "outcome"]].to_parquet(home / "labels.parquet")
    reference.to_parquet(home / "reference.parquet")
    categorical = ["region", *(f"category_{i}" for i in range(CATEGORICAL))]
    return Monitor.model_validate(
        {
            "name": "one",
            "task": "binary",
            "window": "day",
            "start": f"{FIRST:%Y-%m-%d}",
            "segments": ["region"],
            "schema": {
                "prediction_id": "id",
                "event_time": "time",
                "score": "score",
                "numerical": [f"number_{i}" for i in range(NUMERICAL)],
                "categorical": categorical,
            },
            "predictions": {"path": "log.parquet"},
            "ground_truth": {"path": "labels.parquet", "outcome": "outcome"},
            "reference": {"path": "reference.parquet", "outcome": "outcome"},
        }
    ).model_copy(update={"base_dir": home})


def _rows(rng: np.random.Generator, first: int, days: int) -> pd.DataFrame:
    """With effects of days of 0.1 standard deviations."""
    n, day = days * ROWS, np.repeat(np.arange(days), ROWS)
    score = rng.beta(1, 4, n)
    at = pd.Timestamp(FIRST) + pd.to_timedelta((first * ROWS + np.arange(n)) * 86_400 / ROWS, unit="s")
    columns: dict[str, object] = {"id": [f"{first}:{i}" for i in range(n)], "time": at, "score": score}
    columns |= {f"number_{i}": rng.normal(0.1 * rng.standard_normal(days)[day]) for i in range(NUMERICAL)}
    columns |= {f"category_{i}": rng.choice(list("abcde"), n) for i in range(CATEGORICAL)}
    columns["region"] = rng.choice(REGIONS, n)
    return pd.DataFrame(columns | {"outcome": (rng.random(n) < score).astype(int)})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--windows", type=int, default=8, help="new days that are measured")
    parser.add_argument("--profile", type=Path, help="file for pstats of the verdicts")
    arguments = parser.parse_args()
    print(table(measure(arguments.windows, arguments.profile)))


if __name__ == "__main__":
    main()
