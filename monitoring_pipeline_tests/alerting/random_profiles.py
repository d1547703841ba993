"""Profiles and declarations of every sort: empty sides, constant columns, missing, NaN and infinite values, pins."""

from __future__ import annotations

import numpy as np

from monitoring_pipeline.metrics.quality import WindowFacts
from monitoring_pipeline.monitors.declaration import Thresholds
from monitoring_pipeline.profiles.outcome import OutcomeProfile
from monitoring_pipeline.records import Contract
from monitoring_pipeline_tests.metrics.counting import (
    categorical,
    categorical_layout,
    classified,
    numerical,
    numerical_layout,
    regressed,
    score_layout,
)


def two_sides(random):
    """Reference and current columns: x0 (a score) to x3, c0 to c2."""
    pairs = [_numbers(random, f"x{i}", "feature" if i else "score") for i in range(4)]
    pairs += [_names(random, f"c{i}") for i in range(3)]
    reference, current = zip(*pairs, strict=True)
    return reference, current


def _numbers(random, name, role):
    n, m = int(random.integers(1, 2000)), int(random.choice([0, 1, 15, 30, 300, 2000]))
    before = random.normal(0, 1, n)
    layout = numerical_layout(before, int(random.integers(2, 20)), name=name, role=role)
    now = random.normal(random.choice([0, 0.5, 3]), 1, m) if random.random() < 0.8 else np.full(m, before[0])
    if m > 3 and random.random() < 0.5:
        now[:2] = [np.nan, np.inf]
    return numerical(layout, before, int(random.integers(0, 50))), numerical(
        layout, now, int(random.choice([0, 5, 99]))
    )


def _names(random, name):
    layout = categorical_layout("abcd"[: int(random.integers(1, 5))], name=name)
    before = random.choice(list("abcdz"), int(random.integers(1, 500))).tolist()
    now = random.choice(list("abcdyz")[: int(random.integers(1, 7))], int(random.choice([0, 1, 30, 400]))).tolist()
    return (
        categorical(layout, before, int(random.integers(0, 20))),
        categorical(layout, now, int(random.choice([0, 50]))),
    )


def some_thresholds(random):
    if random.random() < 0.3:
        return Thresholds()
    return Thresholds(
        drift={"psi": 0.01, "wasserstein": 1.0}, drift_alpha=0.2, drifted_columns_share=0.5, unseen_share=0.2,
        duplicate_share=0.2, volume_ratio=(0.9, 1.1), missing_share_change=0.01, label_coverage=0.5,
        columns={
            "x1": {"drift": {"psi": 9.0, "chi_square": 0.0}, "missing_share": 0.3, "out_of_range_share": 0.2},
            "c0": {"unseen_share": 0.9, "drift": {"hellinger": 0.9}},
        },
        performance={
            "roc_auc": {"min": 0.8}, "accuracy": {"min": 0.3, "max": 0.5}, "f1_macro": {"max": 0.1},
            "mae": {"max": 1.0}, "bias": {"min": -1, "max": 1}, "recall": {},
        },
        performance_drop=0.05,
    )  # fmt: skip


def some_facts(random):
    odd = Contract(("c0",), ("e",) if random.random() < 0.5 else (), {"x1": "VARCHAR"}, {"x2": 3, "gone": 2})
    return WindowFacts(
        n_rows=int(random.choice([0, 50, 300])),
        n_duplicates=int(random.integers(0, 5)),
        n_quarantined=int(random.integers(0, 3)),
        quarantine={"a": 1, "b": 2},
        contract=odd if random.random() < 0.5 else Contract(),
        usual_rows=tuple(random.integers(0, 400, int(random.integers(0, 5))).tolist()),
        freshness_seconds=None if random.random() < 0.3 else 5.0,
        coverage=None if random.random() < 0.3 else float(random.random()),
    )


def two_outcomes(random, classes):
    """Reference and current outcome profiles of one layout; no classes mean a regression."""
    n, noise = int(random.choice([0, 1, 2, 30, 500])), float(random.choice([0.2, 0.6]))
    if not classes:
        edges = np.linspace(-3, 3, 20)
        before, now = (random.normal(5, 2, size) for size in (800, max(n, 1)))
        reference = regressed(before, before + random.normal(0, 1, 800), edges, 5.0)
        current = regressed(now, now + random.normal(random.choice([0, 1]), 1, now.size), edges, 5.0)
        return reference, current if n else OutcomeProfile.empty(reference.layout)
    actual, scores, predicted = _classes(random, 800, len(classes), 0.2)
    layout = score_layout(scores.ravel(), classes)
    reference = classified(layout, actual, scores, predicted)
    current = classified(layout, *_classes(random, n, len(classes), noise)) if n else OutcomeProfile.empty(layout)
    return reference, current


def _classes(random, n, k, noise):
    scores = random.dirichlet(np.ones(k), n) if k > 2 else random.random((n, 1))
    predicted = scores.argmax(axis=1) if k > 2 else (scores[:, 0] > 0.5).astype(int)
    return np.where(random.random(n) < noise, random.integers(0, k, n), predicted), scores, predicted
