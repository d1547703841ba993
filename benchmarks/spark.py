"""One large file profiled on Spark: equal to the embedded engine, and the time with 1, 2 and 4 workers of a core each.

    python -m benchmarks.spark [--rows 2000000] [--workers 1 2 4]

Needs pyspark and Java 17. A standalone master and its workers run on loopback. On a machine with fewer cores than
workers the workers share them, so that more workers cannot be faster there.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from benchmarks.data import MONITOR, write
from monitoring_pipeline.engines.counter import Counted
from monitoring_pipeline.engines.duckdb import DuckDBEngine
from monitoring_pipeline.engines.spark import SparkEngine, tasks
from monitoring_pipeline.engines.spark.engine import session_of
from monitoring_pipeline.lake.scan import ReferenceRows, Scan
from monitoring_pipeline.profiles.layout import Layout
from monitoring_pipeline.profiles.parts import PARTS
from monitoring_pipeline.records import IngestedWindow
from monitoring_pipeline.settings import Settings
from monitoring_pipeline.windows import Window
from monitoring_pipeline_tests.engines.cluster import cluster

REFERENCE_ROWS = 100_000
TASKS = 8
ROUNDS = 3
DAY = datetime(2024, 3, 1, tzinfo=UTC)


def measure(rows: int, workers: list[int]) -> tuple[float, dict[int, float], float]:
    """Wall seconds of the embedded engine with one thread, of Spark by number of workers, and the greatest relative
    difference of a sum or moment; counts that differ raise AssertionError."""
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        settings = Settings(home=place, duckdb_threads=1)
        write(place / "reference.parquet", REFERENCE_ROWS, seed=1)
        current = place / "copied.parquet"
        write(current, rows, seed=2, shift=0.3)
        embedded = DuckDBEngine(settings)
        reference = ReferenceRows((str(place / "reference.parquet"),), copied=True)
        layouts = {"1": embedded.layout(Scan(MONITOR, reference=reference))}
        window = IngestedWindow(Window(DAY, DAY + timedelta(days=1)), rows, 0, 0, "copied", (str(current),))
        scan = Scan(MONITOR, (window,))
        alone, expected = _timed(embedded, scan, layouts)
        tasks.ROWS_A_TASK = -(-rows // TASKS)
        found, difference = {}, 0.0
        for n in workers:
            found[n], counted = _on_workers(place / f"workers{n}", n, settings, scan, layouts)
            difference = max(difference, compared(counted, expected))
            print(f"{n} workers: {found[n]:.2f} s, equal to {difference:.0e}", flush=True)
    return alone, found, difference


def _on_workers(
    place: Path, n: int, settings: Settings, scan: Scan, layouts: dict[str, Layout]
) -> tuple[float, list[Counted]]:
    place.mkdir()
    with cluster(place, n) as master:
        on_spark = settings.model_copy(update={"engine": "spark", "spark_master": master})
        engine = SparkEngine(on_spark)
        try:
            engine.profile(scan, layouts, (), frozenset(PARTS))  # starts the executors and their Python processes
            return _timed(engine, scan, layouts)
        finally:
            session_of(on_spark).stop()


def _timed(engine: DuckDBEngine | SparkEngine, scan: Scan, layouts: dict[str, Layout]) -> tuple[float, list[Counted]]:
    seconds = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        counted = engine.profile(scan, layouts, (), frozenset(PARTS))
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds), counted


def compared(ours: list[Counted], theirs: list[Counted]) -> float:
    """The greatest relative difference of a sum or moment. Raises AssertionError where a count differs."""
    assert [(c.window, c.version, c.segment, c.n_rows) for c in ours] == [
        (c.window, c.version, c.segment, c.n_rows) for c in theirs
    ]
    worst = 0.0
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.parts.keys() == other.parts.keys()
        for name in mine.parts:
            part = PARTS[name]
            (counts, sums), (expected, expected_sums) = part.flatten(mine.parts[name]), part.flatten(other.parts[name])
            np.testing.assert_array_equal(counts, expected)
            finite = np.isfinite(expected_sums)
            np.testing.assert_array_equal(sums[~finite], expected_sums[~finite])
            scale = np.maximum(np.abs(expected_sums[finite]), 1.0)
            worst = max(worst, float(np.max(np.abs(sums[finite] - expected_sums[finite]) / scale, initial=0.0)))
    return worst


def table(rows: int, measured: tuple[float, dict[int, float], float]) -> str:
    """Markdown."""
    alone, found, difference = measured
    first = next(iter(found.values()))
    lines = [
        f"| {rows:,} rows × 28 columns in one file, all parts, {TASKS} tasks | wall s | speed-up |",
        "|---|---|---|",
    ]
    lines.append(f"| embedded engine, one thread | {alone:.2f} | |")
    lines += [
        f"| Spark, {n} worker{'s' if n > 1 else ''} of one core | {s:.2f} | {first / s:.2f} |" for n, s in found.items()
    ]
    lines += ["", f"Counts equal; sums and moments differ by at most {difference:.0e}, relative."]
    return "\n".join([*lines, f"Cores of this machine: {len(os.sched_getaffinity(0))}."])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    arguments = parser.parse_args()
    print(table(arguments.rows, measure(arguments.rows, arguments.workers)))


if __name__ == "__main__":
    main()
