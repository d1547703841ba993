"""What instrumentation costs a prediction service with 25 features, beside its peers in one run.

    python benchmarks/instrumentation.py [--calls 20000] [--rounds 3] [--seconds 60] [--peers PYTHON]

Each peer is a process of its own; rounds alternate between them and each figure is the best round's. ``--peers`` is an
interpreter that has boxkite and whylogs (they need older libraries than ours); those it cannot import are left out.
Goals: ≤ 20 µs p50 and ≤ 60 µs p99 a single row with the log on, ≤ 1 µs a row in batches of 1,000, /metrics ≤ 10 ms and
≤ 200 KB; with the sink down at 500 requests a second nothing lost and p99 as with the sink up. Prints JSON. This file
imports our package only in the process that measures it, so that an older interpreter can run the peers.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

NUMERICAL = [f"x{i}" for i in range(20)]
CATEGORICAL = [f"c{i}" for i in range(5)]
LEVELS = [f"level {i}" for i in range(12)]
BINS = 20
SEED = 20240501
Predict = Callable[[dict[str, Any]], float]


def rows(n: int = 1000) -> list[dict[str, Any]]:
    rng = random.Random(SEED)
    return [{c: rng.gauss(0, 1) for c in NUMERICAL} | {c: rng.choice(LEVELS) for c in CATEGORICAL} for _ in range(n)]


def edges() -> list[float]:
    """Quantiles of the standard normal, near enough."""
    values = sorted(random.Random(SEED).gauss(0, 1) for _ in range(10_000))
    return [values[0] - 1e-9, *(values[len(values) * i // BINS - 1] for i in range(1, BINS + 1))]


def document() -> dict[str, Any]:
    columns = [
        {"name": c, "role": "feature", "kind": "numerical", "edges": edges(), "categories": []} for c in NUMERICAL
    ]
    columns += [
        {"name": c, "role": "feature", "kind": "categorical", "edges": [], "categories": LEVELS} for c in CATEGORICAL
    ]
    score = [i / BINS for i in range(BINS + 1)]
    columns += [
        {"name": "predicted", "role": "prediction", "kind": "categorical", "edges": [], "categories": ["0", "1"]},
        {"name": "score", "role": "score", "kind": "numerical", "edges": score, "categories": []},
    ]
    none = {
        "n": 0,
        "n_missing": 0,
        "n_nan": 0,
        "n_inf": 0,
        "n_zero": 0,
        "mean": 0.0,
        "m2": 0.0,
        "minimum": None,
        "maximum": None,
    }
    counted = [
        {"name": c["name"], "role": c["role"], **none, "counts": [0] * (len(c["edges"] or c["categories"]) + 1)}
        for c in columns
    ]
    outcome = {
        "task": "binary",
        "classes": ["0", "1"],
        "scored": ["1"],
        "score_edges": [0.5],
        "error_edges": [],
        "centre": 0.0,
    }
    return {"format": 1, "monitor": "benchmark", "model_version": "1", "n_rows": 0, "columns": counted,
            "window": ["2024-01-01T00:00:00+00:00", "2024-02-01T00:00:00+00:00"],
            "layout": {"columns": columns, "outcome": outcome}}  # fmt: skip


def model(row: dict[str, Any]) -> float:
    return 0.7


# The peers: each gives a callable that predicts and records.


def bare(place: Path) -> Predict:
    return model


def monitored(place: Path, **options: Any) -> Any:
    from monitoring_pipeline.serving import Monitoring, ParquetSink, PredictionLog

    return Monitoring(document(), PredictionLog(place / "spool", ParquetSink(place / "lake"), **options))


def ours(place: Path) -> Predict:
    return monitored(place).wrap(model)


def ours_power(place: Path) -> Predict:
    return monitored(place, durability="power").wrap(model)


def prometheus_client(place: Path) -> Predict:
    """What one writes by hand: a labelled histogram and counter, and a line of JSON by ``write`` without a sync."""
    from prometheus_client import CollectorRegistry, Counter, Histogram

    registry = CollectorRegistry()
    values = Histogram("value", "v", ["column"], buckets=edges(), registry=registry)
    categories = Counter("category", "c", ["column", "category"], registry=registry)
    duration = Histogram("duration", "d", registry=registry)
    log = os.open(place / "log.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def predict(row: dict[str, Any]) -> float:
        start = time.perf_counter()
        answer = model(row)
        duration.observe(time.perf_counter() - start)
        for column in NUMERICAL:
            values.labels(column).observe(row[column])
        for column in CATEGORICAL:
            categories.labels(column, row[column]).inc()
        values.labels("score").observe(answer)
        record = {"prediction_id": str(uuid.uuid4()), "event_time": time.time(), "score": answer, **row}
        os.write(log, json.dumps(record).encode() + b"\n")
        return answer

    return predict


def boxkite(place: Path) -> Predict:
    """25 numbers by position, which is all it knows; its log goes nowhere, for it needs a fluentd."""
    from boxkite.monitoring.service import ModelMonitoringService

    class Nowhere:
        def emit(self, prediction: Any) -> None:
            pass

    baseline = place / "histogram.prom"
    columns = [(c, [r[c] if c in NUMERICAL else 1.0 for r in rows()]) for c in NUMERICAL + CATEGORICAL]
    ModelMonitoringService.export_text(columns, [0.7] * 100, str(baseline))
    from boxkite.monitoring.collector import BaselineMetricCollector

    service = ModelMonitoringService(Nowhere(), BaselineMetricCollector(str(baseline)))

    def predict(row: dict[str, Any]) -> float:
        answer = model(row)
        service.log_prediction("", [row[c] if c in NUMERICAL else 1.0 for c in NUMERICAL + CATEGORICAL], answer)
        return answer

    return predict


def whylogs(place: Path) -> Predict:
    import whylogs as why

    profile = why.log(row=rows(1)[0]).profile()

    def predict(row: dict[str, Any]) -> float:
        answer = model(row)
        profile.track(row)
        return answer

    return predict


PEERS: dict[str, Callable[[Path], Predict]] = {
    "bare": bare, "ours": ours, "ours_power": ours_power, "prometheus_client": prometheus_client, "boxkite": boxkite,
    "whylogs": whylogs,
}  # fmt: skip


# What is measured, in the child.


def percentiles(nanoseconds: list[int]) -> dict[str, float]:
    ordered = sorted(nanoseconds)
    at = {"p50": 0.5, "p99": 0.99, "p999": 0.999}
    return {name: round(ordered[int(len(ordered) * share)] / 1000, 2) for name, share in at.items()}


def single(place: Path, peer: str, calls: int) -> dict[str, float]:
    """Microseconds a call, by wall clock; ``cpu`` is the mean of the calling thread's."""
    predict = PEERS[peer](place)
    given = rows()
    clock = time.perf_counter_ns
    taken = []
    for i in range(calls // 5):
        predict(given[i % len(given)])
    cpu = time.thread_time_ns()
    for i in range(calls):
        row = given[i % len(given)]
        start = clock()
        predict(row)
        taken.append(clock() - start)
    return percentiles(taken) | {"cpu": round((time.thread_time_ns() - cpu) / calls / 1000, 2)}


def batches(place: Path, calls: int) -> dict[str, float]:
    """Microseconds of the calling thread's CPU a row in batches of 1,000, by form; median of the calls."""
    import numpy as np
    import pandas as pd

    m = monitored(place)
    answer = np.full(1000, 0.3)
    predict = m.wrap(lambda given: answer)
    given = rows()
    frame = pd.DataFrame(given)
    numbers = np.random.default_rng(SEED).normal(size=(1000, 25))
    all_numerical = document()
    for half in (all_numerical["layout"]["columns"], all_numerical["columns"]):
        for i, c in enumerate(half[20:25]):
            half[20 + i] = {**half[0], "name": c["name"]}
    from monitoring_pipeline.serving import Monitoring, ParquetSink, PredictionLog

    log = PredictionLog(place / "numerical", ParquetSink(place / "lake"))
    of_numbers = Monitoring(all_numerical, log).wrap(lambda given: answer)
    found = {}
    categorical = frame.astype(dict.fromkeys(CATEGORICAL, "category"))
    for name, work in {"array": lambda: of_numbers(numbers), "frame": lambda: predict(frame),
                       "categorical_frame": lambda: predict(categorical),
                       "dicts": lambda: predict(given)}.items():  # fmt: skip
        taken = []
        for _ in range(calls):
            start = time.thread_time_ns()
            work()
            taken.append(time.thread_time_ns() - start)
        found[name] = round(sorted(taken)[len(taken) // 2] / 1e6, 3)
    return found


def whylogs_batches(place: Path, calls: int) -> dict[str, float]:
    """As ``batches``, of the one peer that takes frames; it keeps counts and writes no log."""
    import pandas as pd
    import whylogs as why

    frame = pd.DataFrame(rows())
    profile = why.log(pandas=frame).profile()
    taken = []
    for _ in range(calls):
        start = time.thread_time_ns()
        profile.track(frame)
        taken.append(time.thread_time_ns() - start)
    return {"frame": round(sorted(taken)[len(taken) // 2] / 1e6, 3)}


def page(place: Path, times: int = 20) -> dict[str, float]:
    m = monitored(place)
    predict = m.wrap(model)
    for row in rows():
        predict(row)
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        found = m.metrics()
        taken.append(time.perf_counter() - start)
    return {"milliseconds": round(sorted(taken)[times // 2] * 1000, 2), "kilobytes": round(len(found) / 1000, 1)}


def paced(place: Path, down: bool, seconds: float, rate: int = 500) -> dict[str, float]:
    """Microseconds a call at ``rate`` a second while the sink is up or down; then it is up and the rows are counted."""
    import pyarrow.parquet as pq

    from monitoring_pipeline.serving import Monitoring, ParquetSink, PredictionLog

    class Sink(ParquetSink):
        down = False

        def write(self, name: str, rows: Any) -> None:
            if self.down:
                raise ConnectionError("down")
            super().write(name, rows)

    sink = Sink(place / "lake")
    sink.down = down
    m = Monitoring(document(), PredictionLog(place / "spool", sink, max_age=1.0))
    predict, given, taken = m.wrap(model), rows(), []
    start = time.perf_counter()
    n = int(seconds * rate)
    for i in range(n):
        time.sleep(max(0.0, start + i / rate - time.perf_counter()))
        begun = time.perf_counter_ns()
        predict(given[i % 1000])
        taken.append(time.perf_counter_ns() - begun)
    sink.down = False
    m.close(60.0)
    ids = pq.read_table(place / "lake", columns=["prediction_id"]).column(0).to_pylist()
    return percentiles(taken) | {"answered": n, "in_lake": len(set(ids)), "in_lake_twice": len(ids) - len(set(ids))}


CHILD: dict[str, Callable[..., dict[str, float]]] = {
    "single": lambda place, peer, calls: single(place, peer, int(calls)),
    "batches": lambda place, calls: batches(place, int(calls)),
    "whylogs_batches": lambda place, calls: whylogs_batches(place, int(calls)),
    "page": page,
    "paced": lambda place, down, seconds: paced(place, down == "down", float(seconds)),
}


# The parent.


def in_child(python: str, *arguments: str) -> dict[str, float] | None:
    """What the child measured; None when it cannot import the peer."""
    command = [python, str(Path(__file__)), "--child", *arguments]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent), "WHYLOGS_NO_ANALYTICS": "True"}
    child = subprocess.run(command, capture_output=True, text=True, env=environment)
    if child.returncode and "ModuleNotFoundError" in child.stderr:
        return None
    if child.returncode:
        raise RuntimeError(child.stderr)
    found: dict[str, float] = json.loads(child.stdout.strip().splitlines()[-1])
    return found


def best(a: dict[str, float] | None, b: dict[str, float] | None) -> dict[str, float] | None:
    return b if a is None else a if b is None else {k: min(v, b[k]) for k, v in a.items()}


def measure(calls: int, rounds: int, seconds: float, peers: str) -> dict[str, Any]:
    """All figures; microseconds unless the name says otherwise."""
    interpreters = {"boxkite": peers, "whylogs": peers}
    singles: dict[str, dict[str, float] | None] = {}
    for _ in range(rounds):
        for peer in PEERS:
            few = min(calls, 500) if peer == "ours_power" else calls
            found = in_child(interpreters.get(peer, sys.executable), "single", peer, str(few))
            singles[peer] = best(singles.get(peer), found)
    return {
        "single_row": singles,
        "batch_microseconds_a_row": in_child(sys.executable, "batches", str(30 * rounds)),
        "whylogs_batch_microseconds_a_row": in_child(peers, "whylogs_batches", str(10 * rounds)),
        "metrics_page": in_child(sys.executable, "page"),
        "500_a_second_sink_up": in_child(sys.executable, "paced", "up", str(seconds)),
        "500_a_second_sink_down": in_child(sys.executable, "paced", "down", str(seconds)),
    }


def main() -> None:
    if sys.argv[1:2] == ["--child"]:
        with tempfile.TemporaryDirectory() as place:
            print(json.dumps(CHILD[sys.argv[2]](Path(place), *sys.argv[3:])), flush=True)
            os._exit(0)  # what is still in the spool is of no interest
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--calls", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--peers", default=sys.executable)
    print(json.dumps(measure(**vars(parser.parse_args())), indent=2))


if __name__ == "__main__":
    main()
