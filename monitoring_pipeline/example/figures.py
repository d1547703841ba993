"""Live figures: what the service's own ``/metrics`` says of its columns, from nothing but the text of two scrapes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from prometheus_client.parser import text_string_to_metric_families

from monitoring_pipeline.metrics.drift import kolmogorov_smirnov, psi
from monitoring_pipeline.metrics.drift.comparison import Comparison
from monitoring_pipeline.profiles.column import ColumnProfile
from monitoring_pipeline.profiles.layout import ColumnLayout
from monitoring_pipeline.serving.exposition import UNSEEN

Counts = NDArray[np.int64]
METHODS = ("psi", "kolmogorov_smirnov")
Figures = dict[tuple[str, str], float]  # (method, column) -> value


@dataclass(frozen=True)
class Scrape:
    """Counts by column: numerical columns by bin of the bucket chain, categorical ones by category, unseen last.

    ``n_predictions``: rows counted since the service started.
    """

    reference: Mapping[str, Counts]
    live: Mapping[str, Counts]
    layouts: Mapping[str, ColumnLayout]
    n_predictions: int


def read(page: str) -> Scrape:
    """A page of one monitor and model version."""
    buckets: dict[tuple[str, str], dict[float, float]] = {}
    categories: dict[tuple[str, str], dict[str, float]] = {}
    n_predictions = 0.0
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            column = sample.labels.get("column", "")
            if sample.name in ("model_reference_value_bucket", "model_column_value_bucket"):
                buckets.setdefault((_side(sample.name), column), {})[float(sample.labels["le"])] = sample.value
            elif sample.name in ("model_reference_category", "model_column_category_total"):
                categories.setdefault((_side(sample.name), column), {})[sample.labels["category"]] = sample.value
            elif sample.name == "model_predictions_total":
                n_predictions += sample.value
    return _scrape(buckets, categories, int(n_predictions))


def _side(name: str) -> str:
    return "reference" if name.startswith("model_reference") else "live"


def _scrape(
    buckets: dict[tuple[str, str], dict[float, float]],
    categories: dict[tuple[str, str], dict[str, float]],
    n_predictions: int,
) -> Scrape:
    sides: dict[str, dict[str, Counts]] = {"reference": {}, "live": {}}
    layouts: dict[str, ColumnLayout] = {}
    for (side, column), by_edge in buckets.items():
        edges = sorted(by_edge)
        sides[side][column] = np.diff([by_edge[e] for e in edges], prepend=0).astype(np.int64)
        layouts[column] = ColumnLayout(column, "feature", "numerical", edges=tuple(edges[:-1]))
    for column in {column for _, column in categories}:
        names = [n for n in categories["reference", column] if n != UNSEEN]
        layouts[column] = ColumnLayout(column, "feature", "categorical", categories=tuple(names))
        for side, counts in sides.items():
            found = categories.get((side, column), {})
            counts[column] = np.array([found.get(n, 0) for n in (*names, UNSEEN)], np.int64)
    return Scrape(sides["reference"], sides["live"], layouts, n_predictions)


def drift_between(before: Scrape, after: Scrape) -> Figures:
    """PSI of every column and KS of the numerical ones, for the rows that came between two scrapes."""
    found: Figures = {}
    for column, layout in after.layouts.items():
        reference = _profile(layout, after.reference[column])
        current = _profile(layout, after.live[column] - before.live[column])
        pair = Comparison([reference], [current])
        found["psi", column] = float(psi.measure(pair).value[0])
        if layout.kind == "numerical":
            found["kolmogorov_smirnov", column] = float(kolmogorov_smirnov.measure(pair).value[0])
    return found


def _profile(layout: ColumnLayout, counts: Counts) -> ColumnProfile:
    return ColumnProfile(layout, int(counts.sum()), 0, 0, 0, 0, counts)


def largest_difference(one: Figures, other: Figures) -> float:
    """Over the figures of ``one``; undefined on both sides is no difference, undefined or absent on one is infinite."""
    return max((_difference(value, other.get(key, float("nan"))) for key, value in one.items()), default=float("inf"))


def _difference(a: float, b: float) -> float:
    if np.isnan(a) or np.isnan(b):
        return 0.0 if np.isnan(a) and np.isnan(b) else float("inf")
    return abs(a - b)
