"""Live figures from the text of two scrapes, against counts made here."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from monitoring_pipeline.example.figures import drift_between, largest_difference, read
from monitoring_pipeline.serving import Monitoring
from monitoring_pipeline_tests.serving.reference import reference_document


def shares_with_fill(counts: list[int], used: list[bool]) -> list[float]:
    """Evidently's fill of a share of 0, for shares that are above 1e-4 otherwise."""
    return [n / sum(counts) or 1e-4 for n, u in zip(counts, used, strict=True) if u]


def psi_by_hand(reference: list[int], current: list[int]) -> float:
    used = [a + b > 0 for a, b in zip(reference, current, strict=True)]
    p, q = shares_with_fill(reference, used), shares_with_fill(current, used)
    return sum((a - b) * math.log(a / b) for a, b in zip(p, q, strict=True))


def test_only_what_came_between_the_scrapes_counts() -> None:
    document = reference_document(n_numerical=1, n_categorical=1)
    monitoring = Monitoring(document)
    try:
        for i in range(40):  # before: something else
            monitoring.observe({"x0": 9.0, "c0": "zz", "late": None}, score=0.1, prediction_id=f"{i}")
        before = read(monitoring.metrics().decode())
        values = np.random.default_rng(5).normal(0.5, 1.0, 300).tolist()
        for i, value in enumerate(values):
            row = {"x0": value if i % 10 else None, "c0": ("AA", "B6", "new")[i % 3], "late": i % 4 == 0}
            monitoring.observe(row, score=(i % 100) / 100, prediction_id=f"n{i}")
        after = read(monitoring.metrics().decode())
    finally:
        monitoring.close()
    assert (before.n_predictions, after.n_predictions) == (40, 340)
    found = drift_between(before, after)

    columns = {c["name"]: c for c in document["layout"]["columns"]}
    reference = {c["name"]: c["counts"] for c in document["columns"]}
    edges = [-math.inf, *columns["x0"]["edges"], math.inf]
    kept = [v for i, v in enumerate(values) if i % 10]
    counted = [sum(a < v <= b for v in kept) for a, b in itertools.pairwise(edges)]
    assert found["psi", "x0"] == pytest.approx(psi_by_hand(reference["x0"], counted), abs=1e-12)
    gap = np.cumsum(reference["x0"]) / 400 - np.cumsum(counted) / len(kept)
    assert found["kolmogorov_smirnov", "x0"] == pytest.approx(float(np.abs(gap).max()), abs=1e-12)
    assert found["psi", "c0"] == pytest.approx(psi_by_hand(reference["c0"], [100, 100, 0, 100]), abs=1e-12)
    assert found["psi", "late"] == pytest.approx(psi_by_hand(reference["late"], [225, 75, 0]), abs=1e-12)
    assert ("kolmogorov_smirnov", "c0") not in found


def test_differences() -> None:
    one = {("psi", "a"): 1.0, ("psi", "b"): math.nan}
    assert largest_difference(one, {("psi", "a"): 1.25, ("psi", "b"): math.nan, ("psi", "c"): 9.0}) == 0.25
    assert largest_difference(one, {("psi", "a"): 1.25, ("psi", "b"): 1.0}) == math.inf, "undefined on one side"
    assert largest_difference({("psi", "a"): 1.0}, {}) == math.inf, "absent on one side"
    assert largest_difference({}, {}) == math.inf, "nothing was compared"
