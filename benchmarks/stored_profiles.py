"""Ninety days asked again from stored profiles: read from Postgres, merged, compared. No raw row is read.

python -m benchmarks.stored_profiles [--days 90]
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb

from benchmarks.data import MONITOR, relation, write
from benchmarks.profiles import Profiles
from monitoring_pipeline.alerting import Verdict, judge_drift, judge_performance
from monitoring_pipeline.metrics.drift import measure_drift
from monitoring_pipeline.metrics.performance import measure_performance
from monitoring_pipeline.profiles.document import Reference
from monitoring_pipeline.profiles.profile import Profile, merge_labelled, merge_profiles
from monitoring_pipeline.settings import Settings
from monitoring_pipeline.stages.declaring import declare
from monitoring_pipeline.warehouse import profile_store
from monitoring_pipeline.warehouse.database import Warehouse
from monitoring_pipeline.windows import Window

ROWS = 50_000
ROUNDS = 7
FIRST = datetime(2024, 3, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Asked:
    """Milliseconds of each question, the best of several times."""

    merged_drift_ms: float
    daily_drift_ms: float
    performance_ms: float


def measure(days: int) -> Asked:
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        place = None
        try:
            with Warehouse.open(Settings(home=home, database_url=os.environ.get("DATABASE_URL"))) as warehouse:
                place = warehouse.server.status.place if warehouse.server else None
                return _ask(warehouse, *_fill(warehouse, home, days))
        finally:
            if place is not None:
                shutil.rmtree(place, ignore_errors=True)  # for root it stands outside of the home


def _fill(warehouse: Warehouse, home: Path, days: int) -> tuple[Reference, Window]:
    path = home / "day.parquet"
    write(path, ROWS, seed=1)
    engine = Profiles(duckdb.connect())
    layout = engine.build_layout(relation(path), MONITOR)
    [profile], [labelled] = engine.profile_both(relation(path), {"1": layout}, (), 0, "day")
    reference = Reference(MONITOR.name, "1", layout, profile)
    with warehouse.transaction() as conn:
        declare(conn, MONITOR)
        profile_store.save_reference(conn, reference, "1", None)
        for i in range(days):
            window = Window(FIRST + timedelta(days=i), FIRST + timedelta(days=i + 1))
            profile_store.save_profiles(conn, MONITOR.name, window, [replace(profile, window=window)])
            profile_store.save_labelled(conn, MONITOR.name, window, [replace(labelled, window=window)])
    return reference, Window(FIRST, FIRST + timedelta(days=days))


def _ask(warehouse: Warehouse, reference: Reference, span: Window) -> Asked:
    def drift(profile: Profile) -> Verdict:
        before, now = reference.profile.columns, profile.columns
        measurement = measure_drift(before, now, model_version="1", baseline="training", segment="*")
        return judge_drift(measurement, MONITOR.thresholds)

    def merged_drift() -> None:
        with warehouse.transaction() as conn:
            assert drift(merge_profiles(profile_store.load_profiles(conn, MONITOR.name, span, "*")))

    def daily_drift() -> None:
        with warehouse.transaction() as conn:
            assert all(drift(p) for p in profile_store.load_profiles(conn, MONITOR.name, span, "*"))

    def performance() -> None:
        with warehouse.transaction() as conn:
            labelled = merge_labelled(profile_store.load_labelled(conn, MONITOR.name, span, "*"))
        assert judge_performance(measure_performance(labelled, None), MONITOR.thresholds, mature=True)

    return Asked(*(_best_ms(work) for work in (merged_drift, daily_drift, performance)))


def _best_ms(work: Callable[[], None]) -> float:
    took = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        work()
        took.append(1000 * (time.perf_counter() - start))
    return min(took)


def table(asked: Asked, days: int) -> str:
    """Markdown."""
    return "\n".join(
        (
            f"| question over {days} stored days × 28 columns | ms |",
            "|---|---|",
            f"| drift of the {days} days together, all methods: read, merge, measure | {asked.merged_drift_ms:.0f} |",
            f"| drift of each day, all methods: read, measure {days} times | {asked.daily_drift_ms:.0f} |",
            f"| performance over the {days} days: read, merge, measure with intervals | {asked.performance_ms:.0f} |",
        )
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--days", type=int, default=90)
    days = parser.parse_args().days
    print(table(measure(days), days))


if __name__ == "__main__":
    main()
