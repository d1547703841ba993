"""A small reference with every kind of column, counted here by hand rather than by the code under test."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Any

import numpy as np

SEED = 20240501
MONITOR, VERSION = "flights", "7"


def reference_document(n_numerical: int = 3, n_categorical: int = 2, bins: int = 10) -> dict[str, Any]:
    """Features x0.. and c0.., a boolean ``late``, the class ``predicted`` and the score ``chance``."""
    rng = np.random.default_rng(SEED)
    columns, counted = [], []
    for i in range(n_numerical):
        values = rng.normal(size=400).tolist()
        edges = [min(values) - 1e-9, *np.quantile(values, np.linspace(0, 1, bins + 1)[1:]).tolist()]
        columns.append({"name": f"x{i}", "role": "feature", "kind": "numerical", "edges": edges, "categories": []})
        counted.append([sum(a < v <= b for v in values) for a, b in pairwise([-np.inf, *edges, np.inf])])
    for name, role, categories in [
        *((f"c{i}", "feature", ["AA", "B6", "7"]) for i in range(n_categorical)),
        ("late", "feature", ["false", "true"]),
        ("predicted", "prediction", ["0", "1"]),
    ]:
        values = rng.choice(categories, 400).tolist()
        columns.append({"name": name, "role": role, "kind": "categorical", "edges": [], "categories": categories})
        counted.append([Counter(values)[c] for c in categories] + [0])
    columns.append(
        {"name": "chance", "role": "score", "kind": "numerical", "edges": [0.0, 0.25, 0.5, 0.75, 1.0], "categories": []}
    )
    counted.append([0, 100, 100, 100, 100, 0])
    return {
        "format": 1, "monitor": MONITOR, "model_version": VERSION, "n_rows": 400,
        "window": ["2024-01-01T00:00:00+00:00", "2024-02-01T00:00:00+00:00"],
        "layout": {"columns": columns, "outcome": {"task": "binary", "classes": ["0", "1"], "scored": ["1"],
                                                   "score_edges": [0.5], "error_edges": [], "centre": 0.0}},
        "columns": [{"name": c["name"], "role": c["role"], "n": 400, "n_missing": 0, "n_nan": 0, "n_inf": 0,
                     "n_zero": 0, "minimum": None, "maximum": None, "mean": 0.0, "m2": 0.0, "counts": counts}
                    for c, counts in zip(columns, counted, strict=True)],
    }  # fmt: skip


def good_row(i: int = 0) -> dict[str, Any]:
    return {"x0": 0.25 * i, "x1": -1.0, "x2": 3, "c0": "AA", "c1": "7", "late": True}
