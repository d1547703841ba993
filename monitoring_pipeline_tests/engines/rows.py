"""Small relations for the engine's tests, and the plain oracle that counts them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from monitoring_pipeline.lake.relation import Relation
from monitoring_pipeline.monitors.declaration import Monitor
from monitoring_pipeline.profiles.column import ColumnProfile
from monitoring_pipeline.profiles.layout import ColumnLayout, Layout, OutcomeLayout
from monitoring_pipeline.profiles.profile import Profile

DAY = datetime(2024, 3, 30)
NO_OUTCOME = OutcomeLayout("binary", ("0", "1"))


def monitor(task: str = "binary", **changes: Any) -> Monitor:
    """A monitor with columns ``x`` (numerical), ``c`` (categorical), ``b`` (boolean) unless told otherwise."""
    schema = {
        "prediction_id": "id", "event_time": "time", "numerical": ["x"], "categorical": ["c"], "boolean": ["b"],
        "prediction": "guess", **({"score": "p"} if task == "binary" else {}), **changes.pop("schema", {}),
    }  # fmt: skip
    return Monitor.model_validate(
        {
            "name": "m",
            "task": task,
            "schema": schema,
            "predictions": {"path": "p"},
            "start": "2024-01-01",
            "ground_truth": {"path": "g", "outcome": "truth"},
            "reference": {"path": "r", "outcome": "truth"},
            **changes,
        }
    )


def relation(connection: duckdb.DuckDBPyConnection, columns: Mapping[str, Any], n: int | None = None) -> Relation:
    """Columns of a table of their own in ``connection``; ``__window`` and ``__version`` are filled in where absent."""
    n = len(next(iter(columns.values()))) if n is None else n
    given = {
        "__window": pa.array([DAY] * n, pa.timestamp("us")), "__version": pa.array(["1"] * n, pa.string()), **columns,
    }  # fmt: skip
    frame = pa.table({k: v if isinstance(v, pa.Array) else pa.array(v) for k, v in given.items()})
    name = f"rows_{next(_NUMBERS)}"
    connection.register("incoming", frame)
    connection.execute(f"CREATE TABLE {name} AS SELECT * FROM incoming")
    connection.unregister("incoming")
    return Relation(f"SELECT * FROM {name}", tuple(given))


_NUMBERS = iter(range(1_000_000))


def doubles(values: Sequence[float | None]) -> pa.Array:
    return pa.array(values, pa.float64())


def texts(values: Sequence[str | None]) -> pa.Array:
    return pa.array(values, pa.string())


def layout_of(*columns: ColumnLayout, outcome: OutcomeLayout = NO_OUTCOME) -> Layout:
    return Layout(columns, outcome)


def by_segment(profiles: Sequence[Profile]) -> dict[str, Profile]:
    assert len({(p.window, p.model_version, p.segment) for p in profiles}) == len(profiles)
    return {p.segment: p for p in profiles}


def numerical_oracle(layout: ColumnLayout, values: Sequence[float | None]) -> dict[str, Any]:
    """What a profile of these values holds, by the definitions, value by value; moments by ``math.fsum``."""
    import math

    present = [v for v in values if v is not None]
    finite = [v for v in present if math.isfinite(v)]
    counts = np.bincount(
        np.searchsorted(layout.edges, finite, side="left").astype(int), minlength=len(layout.edges) + 1
    )
    mean = math.fsum(finite) / len(finite) if finite else 0.0
    return {
        "n": len(values), "n_missing": len(values) - len(present), "n_nan": sum(map(math.isnan, present)),
        "n_inf": sum(map(math.isinf, present)), "n_zero": sum(v == 0 for v in finite), "counts": counts.tolist(),
        "minimum": min(finite, default=math.inf), "maximum": max(finite, default=-math.inf),
        "mean": mean, "m2": math.fsum((v - mean) ** 2 for v in finite),
    }  # fmt: skip


def categorical_oracle(layout: ColumnLayout, values: Sequence[str | None]) -> dict[str, Any]:
    present = [v for v in values if v is not None]
    counts = [present.count(c) for c in layout.categories]
    return {
        "n": len(values), "n_missing": len(values) - len(present), "n_nan": 0, "n_inf": 0, "n_zero": present.count(""),
        "counts": [*counts, len(present) - sum(counts)], "minimum": float("inf"), "maximum": float("-inf"),
        "mean": 0.0, "m2": 0.0,
    }  # fmt: skip


def assert_equals(profile: ColumnProfile, expected: Mapping[str, Any], rtol: float = 1e-12) -> None:
    """Counts and extremes exactly; mean and m2 to ``rtol`` of the spread."""
    for name in ("n", "n_missing", "n_nan", "n_inf", "n_zero", "minimum", "maximum"):
        assert getattr(profile, name) == expected[name], name
    assert profile.counts.tolist() == expected["counts"]
    scale = max(abs(expected["minimum"]), abs(expected["maximum"])) if profile.n_values and expected["m2"] else 0.0
    least = float(np.finfo(np.float64).smallest_normal)  # below it a double has fewer digits
    np.testing.assert_allclose(profile.mean, expected["mean"], rtol=rtol, atol=max(rtol * scale, least))
    # Means of parts are known to `off`; merged, Σ n (a + off)² differs from Σ n a² by 2 off Σ n a and n off².
    off, n = 1e-15 * scale, profile.n_values
    atol = n * off**2 + 2 * off * np.sqrt(n * expected["m2"])
    np.testing.assert_allclose(profile.m2, expected["m2"], rtol=rtol, atol=atol)
