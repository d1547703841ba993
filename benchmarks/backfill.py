"""Ninety days in one run of the graph: how much of it is the data, how much Dagster and Postgres.

python -m benchmarks.backfill [--days 90] [--rows 10000]
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.data import BOOLEAN, CATEGORICAL, MONITOR, NUMERICAL, write
from monitoring_pipeline.monitors import Monitor, Window
from monitoring_pipeline.settings import Settings
from monitoring_pipeline.warehouse.database import Warehouse

SIZE = """
select sum(pg_total_relation_size(c.oid)) from pg_class c
where c.relnamespace = 'monitoring'::regnamespace and c.relkind = 'r' and pg_total_relation_size(c.oid) > 65536
"""
SEGMENTED, PLANS = ("plan",), ("basic", "plus", "pro")  # a column of the log that is no feature, and its values
FIRST = datetime(2024, 3, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Spent:
    """Wall seconds of one range run: all of it, in transactions with Postgres, in the stages (transactions
    included), and in drawing the run's pictures, which are as many for one window as for ninety. The labels of a batch
    are read and matched within a transaction; that is computing, not Postgres.
    """

    days: int
    assets: int
    wall: float
    postgres: float
    stages: float
    pictures: float
    bytes: int

    @property
    def dagster(self) -> float:
        return self.wall - self.stages - self.pictures

    @property
    def overhead_ms(self) -> float:
        """Dagster and Postgres together, per asset and window."""
        return 1000 * (self.dagster + self.postgres) / (self.days * self.assets)


def measure(days: int, rows: int, segments: tuple[str, ...] = ()) -> Spent:
    """One range run over ``days`` days of ``rows`` rows; ``segments``: columns whose values are segments."""
    with tempfile.TemporaryDirectory() as directory, _environment(Path(directory)):
        monitor = _log(Path(directory), days, rows).model_copy(update={"segments": segments})
        return _run(monitor, days)


def _log(home: Path, days: int, rows: int) -> Monitor:
    """A day's file a day of log and of labels, and a reference."""
    features = [*NUMERICAL, *CATEGORICAL, *BOOLEAN]
    for name in ("predictions", "labels"):
        (home / name).mkdir()
    for day in range(-1, days):
        made = home / "day.parquet"
        write(made, rows, seed=day + 2)
        table = pq.read_table(made)
        time_ = pc.add(table["__time"], pa.scalar(np.timedelta64(day, "D").astype("timedelta64[us]")))
        ids = pc.binary_join_element_wise(f"{day}", table["__id"], "-")
        log = table.select(features).append_column("id", ids).append_column("time", time_)
        plans = pa.array([PLANS[i * i % 7 % 3] for i in range(rows)])
        log = log.append_column("plan", plans)
        log = log.append_column("score", table["__score"]).append_column("prediction", table["__prediction"])
        if day < 0:
            pq.write_table(log.append_column("outcome", table["__outcome"]), home / "reference.parquet")
            continue
        pq.write_table(log, home / "predictions" / f"{day:03}.parquet")
        pq.write_table(pa.table({"id": ids, "outcome": table["__outcome"]}), home / "labels" / f"{day:03}.parquet")
    return MONITOR.model_copy(update={"base_dir": home, "start": FIRST.date()})


def _run(monitor: Monitor, days: int) -> Spent:
    import dagster as dg

    from monitoring_pipeline.cli.environment import dagster_environment
    from monitoring_pipeline.graph import pictures
    from monitoring_pipeline.graph import windows as graph
    from monitoring_pipeline.graph.factory import build_monitor_graph
    from monitoring_pipeline.graph.keys import WINDOWED, range_tags
    from monitoring_pipeline.stages import ground_truth
    from monitoring_pipeline.warehouse.database import Warehouse

    clock = {"postgres": 0.0, "stages": 0.0, "pictures": 0.0, "labels": 0.0}
    first = Window(FIRST, FIRST + timedelta(days=1))
    last = Window(FIRST + timedelta(days=days - 1), FIRST + timedelta(days=days))
    with (
        dagster_environment(Settings()) as warehouse,
        dg.DagsterInstance.get() as instance,
        mock.patch.object(Warehouse, "run", _timed(clock, "postgres", Warehouse.run)),
        mock.patch.object(ground_truth, "take_in_batch", _timed(clock, "labels", ground_truth.take_in_batch)),
        mock.patch.object(graph, "work", _timed(clock, "stages", graph.work)),
        mock.patch.object(pictures, "of_stage", _timed(clock, "pictures", pictures.of_stage)),
    ):
        graph_of = build_monitor_graph(monitor)
        quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
        job = graph_of.resolve_job_def(f"{monitor.name}_windows_job")
        reference = dg.AssetKey([monitor.name, "reference"])
        assert job.execute_in_process(instance=instance, asset_selection=[reference], run_config=quiet).success
        clock.update(dict.fromkeys(clock, 0.0))
        began = time.perf_counter()
        windows = [dg.AssetKey([monitor.name, name]) for name in WINDOWED]
        tags = range_tags(monitor, first, last)
        assert job.execute_in_process(instance=instance, asset_selection=windows, tags=tags, run_config=quiet).success
        wall = time.perf_counter() - began
        clock["postgres"] -= clock.pop("labels")
        return Spent(days, len(WINDOWED), wall, **clock, bytes=_size(warehouse))


def _size(warehouse: Warehouse) -> int:
    """Bytes of all tables of the schema with their indexes, beyond what an empty schema holds."""
    with warehouse.transaction() as conn:
        return int(conn.exec_driver_sql(SIZE).scalar_one())


def _timed(clock: dict[str, float], name: str, work: Callable[..., Any]) -> Callable[..., Any]:
    def timed(*arguments: Any, **named: Any) -> Any:
        began = time.perf_counter()
        try:
            return work(*arguments, **named)
        finally:
            clock[name] += time.perf_counter() - began

    return timed


@contextmanager
def _environment(home: Path) -> Iterator[None]:
    from monitoring_pipeline.warehouse.embedded import EmbeddedPostgres

    with mock.patch.dict(os.environ, {"MONITORING_HOME": str(home / "home")}):
        place = None
        try:
            yield
            if not os.environ.get("DATABASE_URL"):
                place = EmbeddedPostgres(home / "home").status.place
        finally:
            if place is not None:
                shutil.rmtree(place, ignore_errors=True)  # for root it stands outside of the home


def table(spent: Spent, rows: int) -> str:
    """Markdown."""
    each = spent.days * spent.assets / 1000

    def line(what: str, seconds: float) -> str:
        return f"| {what} | {seconds:.1f} | {seconds / each:.1f} |"

    what = f"{spent.days} days × {spent.assets} assets, {rows:,} rows × 28 columns a day, one run"
    return "\n".join(
        (
            f"| {what} | s | ms per asset and window |",
            "|---|---|---|",
            line("the run", spent.wall),
            line("of it reading and computing", spent.stages - spent.postgres),
            line("of it Postgres (ledger, profiles, metric rows)", spent.postgres),
            line("of it the run's pictures and what they import", spent.pictures),
            line("of it Dagster (events in Postgres, checks)", spent.dagster),
            f"| Dagster and Postgres together; the goal is 6 ms | | {spent.overhead_ms:.1f} |",
        )
    )


def growth_table(spent: Spent) -> str:
    """Markdown."""
    return "\n".join(
        (
            "| growth of the database, indexes included; the goal is 60 KB | KB per monitor and day |",
            "|---|---|",
            f"| 28 columns × 2 baselines × {1 + len(PLANS)} segments, {spent.days} days |"
            f" {spent.bytes / 1000 / spent.days:.1f} |",
        )
    )


def tables(days: int, rows: int) -> str:
    """Times of a range run without segments, and the growth of the database with some."""
    times = table(measure(days, rows), rows)
    return f"{times}\n\n{growth_table(measure(30, rows, SEGMENTED))}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--days", type=int, default=90)
    parser.add_argument("--rows", type=int, default=10_000)
    arguments = parser.parse_args()
    print(tables(arguments.days, arguments.rows))


if __name__ == "__main__":
    main()
