"""Prediction logs of a fixed seed: 28 columns (21 numerical, 5 categorical, 2 boolean), score, prediction, outcome."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from monitoring_pipeline.lake.relation import Relation
from monitoring_pipeline.monitors.declaration import Monitor

NUMERICAL = tuple(f"number_{i}" for i in range(21))
CATEGORICAL = tuple(f"category_{i}" for i in range(5))
BOOLEAN = ("flag_0", "flag_1")
N_CATEGORIES = (4, 12, 50, 100, 1000)
ROWS_AT_ONCE = 500_000
START = np.datetime64("2024-03-01T00:00:00", "us")

MONITOR = Monitor.model_validate(
    {
        "name": "benchmark",
        "task": "binary",
        "start": "2024-03-01",
        "schema": {
            "prediction_id": "id",
            "event_time": "time",
            "prediction": "prediction",
            "score": "score",
            "numerical": NUMERICAL,
            "categorical": CATEGORICAL,
            "boolean": BOOLEAN,
        },
        "predictions": {"path": "predictions/*.parquet"},
        "ground_truth": {"path": "labels/*.parquet", "outcome": "outcome"},
        "reference": {"path": "reference.parquet", "outcome": "outcome"},
    }
)


def write(path: Path, n_rows: int, seed: int, shift: float = 0.0) -> None:
    """``n_rows`` of one day as the lake keeps them; ``shift`` is added to every third number."""
    rng = np.random.default_rng(seed)
    writer = None
    for first in range(0, n_rows, ROWS_AT_ONCE):
        table = _rows(rng, first, min(ROWS_AT_ONCE, n_rows - first), n_rows, shift)
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table, row_group_size=122_880)
    if writer:
        writer.close()


def relation(path: Path) -> Relation:
    """The file as a relation under canonical names."""
    quoted = str(path).replace("'", "''")
    return Relation(f"SELECT * FROM read_parquet('{quoted}')", tuple(pq.read_schema(path).names))  # noqa: S608


def _rows(rng: np.random.Generator, first: int, n: int, of: int, shift: float) -> pa.Table:
    at = START + ((first + np.arange(n)) * (86_400e6 / of)).astype("timedelta64[us]")
    columns = {
        "__id": pa.array(np.arange(first, first + n)).cast(pa.string()),
        "__time": pa.array(at),
        "__window": pa.array(np.full(n, START)),
        "__version": pa.array(["1"] * n),
    }
    for i, name in enumerate(NUMERICAL):
        x = _numbers(rng, i % 4, n) + (shift if i % 3 == 0 else 0.0)
        columns[name] = pa.array(x, mask=rng.random(n) < 0.02) if i % 3 == 1 else pa.array(x)
    for name, k in zip(CATEGORICAL, N_CATEGORIES, strict=True):
        names = pa.array([f"value_{j}" for j in range(k)])
        columns[name] = names.take(pa.array(np.minimum(rng.geometric(2.5 / k, n) - 1, k - 1)))
    for name in BOOLEAN:
        columns[name] = pa.array(np.where(rng.random(n) < 0.3, "true", "false"))
    score = rng.beta(1, 4, n)
    columns["__score"] = pa.array(score)
    columns["__prediction"] = pa.array(np.where(score > 0.5, "1", "0"))
    columns["__outcome"] = pa.array(np.where(rng.random(n) < score, "1", "0"))
    return pa.table(columns)


def _numbers(rng: np.random.Generator, kind: int, n: int) -> np.ndarray:
    """Normal, skewed, whole and rounded numbers, as features are."""
    if kind == 0:
        return rng.normal(10, 3, n)
    if kind == 1:
        return rng.lognormal(0, 1, n)
    if kind == 2:
        return rng.integers(0, 50, n).astype(float)
    return np.round(rng.gamma(2, 10, n), 1)
