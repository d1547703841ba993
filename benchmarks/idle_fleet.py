"""What ``monitoring-pipeline up`` costs while many monitors are idle. Goals: 10 % of a core and 5 commits a second.

    python -m benchmarks.idle_fleet [--monitors 100] [--seconds 180]

Every monitor has a reference, labels, retraining switched on, so that all sensors are there, and yesterday's window,
taken in, measured and judged before ``up`` starts. Then nothing arrives. Counted are the processes of ``up`` (web
server, daemon, code server, exporter) and of the embedded Postgres, children that have ended included; commits are
those of both databases.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
from sqlalchemy import text

from monitoring_pipeline.cli.environment import dagster_environment
from monitoring_pipeline.monitors import Monitor, Window
from monitoring_pipeline.monitors.loading import load_monitor
from monitoring_pipeline.retraining.context import RetrainContext
from monitoring_pipeline.settings import Settings
from monitoring_pipeline.stages import retrain_watch
from monitoring_pipeline.stages.catalogue import STAGES
from monitoring_pipeline.stages.context import StageContext
from monitoring_pipeline.stages.reference import profile_reference
from monitoring_pipeline.stages.working import work
from monitoring_pipeline.warehouse.database import Warehouse

N_ROWS = 200
FIRST_CHECK_SECONDS = 5.0
QUIET_CHECKS = 4
COMMITS = text("select sum(xact_commit) from pg_stat_database where datname is not null")
CONNECTIONS = text("select sum(sessions) from pg_stat_database where datname is not null")


@dataclass(frozen=True)
class Idle:
    """Shares are of one core; ``by_process`` names each part of them. Rates are a second."""

    monitors: int
    seconds: float
    core_share: float
    by_process: dict[str, float]
    commits_per_second: float
    connections_per_second: float
    runs: int


def measure(monitors: int = 100, seconds: float = 180.0) -> Idle:
    """Writes the monitors, starts ``up``, waits until it rests, and counts for ``seconds``."""
    with tempfile.TemporaryDirectory(prefix="idle-fleet-") as place:
        base = Path(place)
        os.environ.update(MONITORING_HOME=str(base / "home"), MONITORS_DIR=str(base / "monitors"))
        os.environ.pop("DATABASE_URL", None)
        settings = Settings()
        declared = _write(base, monitors)
        with dagster_environment(settings) as warehouse:
            _take_in(declared, warehouse, settings)
            command = [
                sys.executable,
                "-m",
                "monitoring_pipeline.cli",
                "up",
                "--port",
                "3917",
                "--exporter-port",
                "9917",
            ]
            up = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)
            try:
                return _observe(up, warehouse, monitors, seconds)
            finally:
                up.send_signal(signal.SIGINT)
                up.wait()


def table(found: Idle) -> str:
    """As Markdown."""
    lines = [f"| {name} | {share:.1%} |" for name, share in found.by_process.items()]
    return "\n".join(
        [
            f"{found.monitors} monitors, {found.seconds:.0f} s: {found.core_share:.1%} of a core,"
            f" {found.commits_per_second:.1f} commits/s, {found.connections_per_second:.2f} new connections/s,"
            f" {found.runs} runs started.",
            "",
            "| process | share of a core |",
            "|---|---|",
            *lines,
        ]
    )


def _write(base: Path, monitors: int) -> list[Monitor]:
    """The declarations of all, over one log; yesterday's rows and the reference's."""
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    (base / "log").mkdir()
    (base / "monitors").mkdir()
    rows = _rows(yesterday, N_ROWS)
    rows.drop(columns="y").to_parquet(base / "log" / f"{yesterday}.parquet")
    rows[["id", "y"]].to_parquet(base / "labels.parquet")
    _rows(yesterday - timedelta(days=9), 5 * N_ROWS).to_parquet(base / "reference.parquet")
    declared = []
    for i in range(monitors):
        declaration = {
            "name": f"idle_{i:03d}",
            "task": "binary",
            "schema": {
                "prediction_id": "id", "event_time": "at", "score": "score",
                "numerical": ["a", "b"], "categorical": ["c"],
            },
            "predictions": {"path": "../log/*.parquet"},
            "ground_truth": {"path": "../labels.parquet", "outcome": "y"},
            "reference": {"path": "../reference.parquet", "outcome": "y"},
            "retrain": {"enabled": True, "estimator": {"class": "sklearn.linear_model.LogisticRegression"}},
            "start": f"{yesterday}",
        }  # fmt: skip
        path = base / "monitors" / f"idle_{i:03d}.yaml"
        path.write_text(json.dumps(declaration))
        declared.append(load_monitor(path))
    return declared


def _rows(day: date, n: int) -> pd.DataFrame:
    rng = np.random.default_rng(day.toordinal())
    score = rng.beta(2, 3, n)
    return pd.DataFrame(
        {
            "id": [f"{day}-{i}" for i in range(n)],
            "at": pd.Timestamp(day) + pd.to_timedelta(np.sort(rng.integers(0, 86_400, n)), unit="s"),
            "a": rng.normal(size=n),
            "b": rng.gamma(2, 1, n),
            "c": rng.choice(["x", "y", "z"], n),
            "score": score,
            "y": (rng.random(n) < score).astype(int),
        }
    )


def _take_in(declared: list[Monitor], warehouse: Warehouse, settings: Settings) -> None:
    """What runs of the graph, and then the sensor of retraining, would have done, in Dagster's eyes too; without a
    process for each."""
    import dagster as dg

    with dg.DagsterInstance.get() as instance:
        for monitor in declared:
            stages = StageContext(monitor, warehouse, settings, run_id="benchmark")
            window = Window.at(datetime.now(UTC) - timedelta(days=1), monitor.window)
            profile_reference(stages)
            instance.report_runless_asset_event(dg.AssetMaterialization([monitor.name, "reference"]))
            for stage in STAGES:
                work(stage, stages, [window])
                key = dg.AssetKey([monitor.name, stage.asset])
                instance.report_runless_asset_event(dg.AssetMaterialization(key, partition=window.key("day")))
    retrain_watch.look([RetrainContext(monitor, warehouse, settings, "benchmark") for monitor in declared])


def _observe(up: subprocess.Popen[bytes], warehouse: Warehouse, monitors: int, seconds: float) -> Idle:
    _wait_until_idle(up, warehouse)
    runs = _n_runs(warehouse)
    began, cpu, statements = time.monotonic(), _cpu(up, warehouse), _statements(warehouse)
    time.sleep(seconds)
    took, then, after = time.monotonic() - began, _cpu(up, warehouse), _statements(warehouse)
    used = {name: (then[name] - cpu.get(name, 0.0)) / took for name in then}
    return Idle(
        monitors=monitors,
        seconds=took,
        core_share=sum(used.values()),
        by_process={name: share for name, share in sorted(used.items(), key=lambda one: -one[1]) if share > 0.0005},
        commits_per_second=(after[0] - statements[0]) / took,
        connections_per_second=(after[1] - statements[1]) / took,
        runs=_n_runs(warehouse) - runs,
    )


def _wait_until_idle(up: subprocess.Popen[bytes], warehouse: Warehouse, limit: float = 1800.0) -> None:
    """Until a sensor has ticked and, for 20 s, less than half a core was used and no run is unfinished."""
    deadline, quiet, ticked = time.monotonic() + limit, 0, False
    before = sum(_cpu(up, warehouse).values())
    while quiet < QUIET_CHECKS or not ticked:
        if up.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError("`up` ended, or did not come to rest")
        time.sleep(FIRST_CHECK_SECONDS)
        now = sum(_cpu(up, warehouse).values())
        busy = _in_dagster(
            warehouse, "select count(*) from runs where status not in ('SUCCESS', 'FAILURE', 'CANCELED')"
        )
        ticked = _in_dagster(warehouse, "select count(*) from job_ticks") > 0
        quiet = quiet + 1 if not busy and now - before < FIRST_CHECK_SECONDS / 1.5 else 0
        before = now


def _cpu(up: subprocess.Popen[bytes], warehouse: Warehouse) -> dict[str, float]:
    """Seconds of user and system time by kind of process; children that have ended count with their parent."""
    assert warehouse.server is not None and warehouse.server.status.pid is not None
    roots = {"up": up.pid, "Postgres": warehouse.server.status.pid}
    used: dict[str, float] = {}
    for root, pid in roots.items():
        parent = psutil.Process(pid)
        for process in (parent, *parent.children(recursive=True)):
            try:
                times = process.cpu_times()
                name = "Postgres" if root == "Postgres" else _kind(process.cmdline())
            except psutil.NoSuchProcess:
                continue
            used[name] = used.get(name, 0.0) + sum(times[:4])
    return used


def _kind(command: list[str]) -> str:
    words = " ".join(command)
    kinds = {
        "dagster_web": "web server",
        "dagster._daemon": "daemon",
        "grpc": "code server",
        "code-server": "code server",
        "exporter --port": "exporter",
        " up ": "up",
    }
    return next((kind for part, kind in kinds.items() if part in words), "other")


def _statements(warehouse: Warehouse) -> tuple[float, float]:
    with warehouse.engine.connect() as connection:
        return float(connection.execute(COMMITS).scalar_one()), float(connection.execute(CONNECTIONS).scalar_one())


def _n_runs(warehouse: Warehouse) -> int:
    return _in_dagster(warehouse, "select count(*) from runs")


def _in_dagster(warehouse: Warehouse, statement: str) -> int:
    from sqlalchemy import create_engine

    engine = create_engine(warehouse.dagster_url)
    try:
        with engine.connect() as connection:
            return int(connection.execute(text(statement)).scalar_one())
    finally:
        engine.dispose()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--monitors", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=180.0)
    arguments = parser.parse_args()
    found = measure(arguments.monitors, arguments.seconds)
    print(json.dumps(asdict(found), indent=1))
    print(table(found))


if __name__ == "__main__":
    main()
