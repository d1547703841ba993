"""What a tiny hourly window costs in one range run: 50 rows of 25 columns, with labels. The goal is 40 ms of CPU.

    python -m benchmarks.tiny_window [--windows 500] [--profile FILE]

CPU is user and system time of this process and of all processes of the embedded Postgres, Dagster's events included.
The reference and an earlier range of a few windows come before, so that imports and first uses are not counted.
"""

from __future__ import annotations

import argparse
import cProfile
import os
import tempfile
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd

from benchmarks.graph_run import done, materialize_reference, own_cpu, postgres_cpu
from monitoring_pipeline.monitors import Monitor, Window
from monitoring_pipeline.settings import Settings

ROWS, NUMERICAL, CATEGORICAL = 50, 20, 5
WARM = 24  # windows before those that are counted
FIRST = datetime(2024, 3, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Tiny:
    """Milliseconds of CPU a window, all assets together."""

    windows: int
    python_ms: float
    postgres_ms: float


def measure(windows: int = 500, profile: Path | None = None) -> Tiny:
    """One range run over ``windows`` hours; ``profile``: where to keep what Python spent its time on."""
    from monitoring_pipeline.cli.environment import dagster_environment
    from monitoring_pipeline.cli.run import run_range

    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tiny-window-")))
        stack.enter_context(mock.patch.dict(os.environ, {"MONITORING_HOME": str(home / "home")}))
        os.environ.pop("DATABASE_URL", None)
        monitor = _written(home, WARM + windows)
        warehouse = stack.enter_context(dagster_environment(Settings()))
        materialize_reference(monitor)
        done(run_range(monitor, _hour(0), _hour(WARM - 1)))
        spent = cProfile.Profile() if profile else None
        python, postgres = own_cpu(), postgres_cpu(warehouse)
        with spent or nullcontext():
            done(run_range(monitor, _hour(WARM), _hour(WARM + windows - 1)))
        if spent and profile:
            spent.dump_stats(profile)
        each = 1000 / windows
        return Tiny(windows, (own_cpu() - python) * each, (postgres_cpu(warehouse) - postgres) * each)


def table(found: Tiny) -> str:
    """As Markdown."""
    what = f"{found.windows} windows of {ROWS} rows × {NUMERICAL + CATEGORICAL} columns in one run"
    return "\n".join(
        (
            f"| {what} | ms of CPU a window |",
            "|---|---|",
            f"| this process: reading, computing, Dagster | {found.python_ms:.1f} |",
            f"| Postgres: results and Dagster's events | {found.postgres_ms:.1f} |",
            f"| together; the goal is 40 | {found.python_ms + found.postgres_ms:.1f} |",
        )
    )


def _hour(number: int) -> Window:
    start = FIRST + timedelta(hours=number)
    return Window(start, start + timedelta(hours=1))


def _written(home: Path, hours: int) -> Monitor:
    rng = np.random.default_rng(1)
    log, reference = _rows(rng, 0, hours * ROWS), _rows(rng, -24 * ROWS * 20, 24 * ROWS * 20)
    log.drop(columns="outcome").to_parquet(home / "log.parquet")
    log[["id", "outcome"]].to_parquet(home / "labels.parquet")
    reference.to_parquet(home / "reference.parquet")
    return Monitor.model_validate(
        {
            "name": "tiny",
            "task": "binary",
            "window": "hour",
            "start": f"{FIRST:%Y-%m-%d}",
            "schema": {
                "prediction_id": "id",
                "event_time": "time",
                "score": "score",
                "numerical": [f"number_{i}" for i in range(NUMERICAL)],
                "categorical": [f"category_{i}" for i in range(CATEGORICAL)],
            },
            "predictions": {"path": "log.parquet"},
            "ground_truth": {"path": "labels.parquet", "outcome": "outcome"},
            "reference": {"path": "reference.parquet", "outcome": "outcome"},
        }
    ).model_copy(update={"base_dir": home})


def _rows(rng: np.random.Generator, first: int, n: int) -> pd.DataFrame:
    score = rng.beta(1, 4, n)
    at = pd.Timestamp(FIRST) + pd.to_timedelta((first + np.arange(n)) * 3600 / ROWS, unit="s")
    columns: dict[str, object] = {"id": [str(i) for i in range(first, first + n)], "time": at, "score": score}
    columns |= {f"number_{i}": rng.normal(10, 3, n) for i in range(NUMERICAL)}
    columns |= {f"category_{i}": rng.choice(list("abcde"), n) for i in range(CATEGORICAL)}
    return pd.DataFrame(columns | {"outcome": (rng.random(n) < score).astype(int)})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--windows", type=int, default=500)
    parser.add_argument("--profile", type=Path, help="file for pstats")
    arguments = parser.parse_args()
    print(table(measure(arguments.windows, arguments.profile)))


if __name__ == "__main__":
    main()
