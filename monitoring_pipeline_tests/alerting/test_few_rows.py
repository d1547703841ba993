"""Windows drawn from the reference's own distribution, of one row to a thousand: how often any metric is called bad."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from monitoring_pipeline.alerting import judge_drift, judge_performance, judge_quality
from monitoring_pipeline.metrics.drift import METHODS, measure_drift
from monitoring_pipeline.metrics.performance import higher_is_better, measure_outcome, measure_performance
from monitoring_pipeline.metrics.quality import WindowFacts, measure_quality
from monitoring_pipeline.monitors.declaration import DRIFT_THRESHOLDS, Thresholds
from monitoring_pipeline_tests.alerting.drift import streams
from monitoring_pipeline_tests.alerting.performance import series
from monitoring_pipeline_tests.metrics.counting import (
    categorical,
    categorical_layout,
    classified,
    labelled,
    numerical,
    numerical_layout,
    profile,
    regressed,
    score_layout,
)
from monitoring_pipeline_tests.metrics.reading import rows

SIZES = (1, 5, 30, 100, 1000)
DRAWS = 100
NAMES = [*"abcdefghij", "rare"]
SHARES = [0.3, 0.2, 0.1, 0.1, 0.08, 0.06, 0.05, 0.05, 0.03, 0.02, 0.01]
PINNED = Thresholds(drift=DRIFT_THRESHOLDS, unseen_share=0.01)


@pytest.fixture(scope="module")
def reference():
    random = np.random.default_rng(1)
    x, c = random.normal(0, 1, 5000), random.choice(NAMES, 5000, p=SHARES)
    return numerical(numerical_layout(x), x, 200), categorical(categorical_layout(NAMES[:10]), c.tolist(), 200)


def window(random, n, reference, by=0.0, lost=0.04):
    missing = int(random.binomial(n, lost))
    x, c = random.normal(by, 1, n - missing), random.choice(NAMES, n - missing, p=SHARES).tolist()
    return numerical(reference[0].layout, x, missing), categorical(reference[1].layout, c, missing)


def compared(reference, current):
    measurement = measure_drift(reference, current, model_version="1", baseline="training", segment="*")
    return rows(measurement, judge_drift(measurement, PINNED))


@pytest.mark.parametrize("n", SIZES)
def test_pinned_drift_is_more_than_chance(n, reference):
    random, wrong = np.random.default_rng(n), Counter()
    for _ in range(DRAWS):
        found = compared(reference, window(random, n, reference))
        assert {method for _, method in found} == set(METHODS)
        wrong.update(key for key, row in found.items() if row.flagged)
    assert max(wrong.values(), default=0) <= 0.03 * DRAWS, wrong


def test_pinned_drift_that_is_there_is_found(reference):
    moved = compared(reference, window(np.random.default_rng(0), 400, reference, by=0.7, lost=0.4))
    assert [key for key, row in moved.items() if key[0] == "x" and not row.flagged] == []
    assert moved["c", "missing_share_change"].flagged


@pytest.mark.parametrize("n", SIZES)
def test_quality_by_default_is_more_than_chance(n, reference):
    random, wrong = np.random.default_rng(n), Counter()
    usual = profile(*reference)
    for _ in range(DRAWS):
        facts = WindowFacts(
            int(random.poisson(n)) or 1, usual_rows=tuple(random.poisson(n, 4).tolist()),
            coverage=random.binomial(n, 0.93) / n,
        )  # fmt: skip
        measurement = measure_quality(profile(*window(random, n, reference)), usual, facts)
        found = rows(measurement, judge_quality(measurement, Thresholds(), mature=True))
        wrong.update(key for key, row in found.items() if row.flagged)
    assert max(wrong.values(), default=0) <= 0.03 * DRAWS, wrong


def test_quality_that_is_bad_is_found_and_a_declared_threshold_is_obeyed_as_it_stands(reference):
    current = window(np.random.default_rng(0), 30, reference, by=6.0, lost=0.4)
    facts = WindowFacts(30, usual_rows=(100, 100), coverage=0.5)
    measurement = measure_quality(profile(*current), profile(*reference), facts)
    found = rows(measurement, judge_quality(measurement, Thresholds(), mature=True))
    for key in (("x", "missing_share"), ("c", "missing_share"), ("x", "out_of_range_share"), ("*", "label_coverage")):
        assert found[key].flagged, key
    assert found["*", "volume_ratio"].flagged
    five = profile(numerical(reference[0].layout, [0.0] * 4, 1))
    measurement = measure_quality(five, profile(reference[0]), WindowFacts(5))
    for declared, violated in ((Thresholds(), False), (Thresholds(missing_share_change=0.05), True)):
        found = rows(measurement, judge_quality(measurement, declared, mature=True))
        assert found["x", "missing_share"].flagged is violated


def binary(random, n):
    scores = random.beta(1.5, 4, n)
    return (random.random(n) < scores).astype(int), scores, (scores > 0.3).astype(int)


def three_classes(random, n):
    scores = random.dirichlet([2, 1, 0.6], n)
    actual = (random.random(n)[:, None] > scores.cumsum(1)).sum(1).clip(0, 2)
    return actual, scores, scores.argmax(1)


def numbers(random, n):
    actual = random.gamma(2, 5, n) + 1
    return actual, actual + random.normal(0, 2, n)


def counter(task, random):
    if task is numbers:
        actual, predicted = numbers(random, 5000)
        edges = np.unique(np.quantile(predicted - actual, np.linspace(0, 1, 101)[1:-1]))
        return lambda drawn: regressed(*drawn, edges, 11.0)
    layout = score_layout(task(random, 5000)[1].ravel(), ("0", "1") if task is binary else ("a", "b", "c"))
    return lambda drawn: classified(layout, *drawn)


def bounds(truth):
    """As a user pins them, at what the population really has: the end beyond which a metric is bad."""
    found = {}
    for metric, value in truth.items():
        better = higher_is_better(metric)
        ends = {"min": value} if better else {"max": value} if better is False else {"min": value, "max": value}
        found[metric] = ends
    return found


@pytest.mark.parametrize("task", [binary, three_classes, numbers])
def test_degraded_is_more_than_chance(task):
    random = np.random.default_rng(7)
    count = counter(task, random)
    population, usual = measure_outcome(count(task(random, 100_000))), labelled(count(task(random, 5000)))
    truth = {
        metric: e.value
        for metric, e in population.items()
        if e.value is not None and not metric.startswith(("confusion", "reliability", "mean_score"))
    }
    for thresholds in (Thresholds(performance=bounds(truth)), Thresholds(performance_drop=0.1)):
        for n in SIZES:
            wrong = Counter()
            for _ in range(DRAWS):
                measurement = measure_performance(labelled(count(task(random, n))), usual)
                found = rows(measurement, judge_performance(measurement, thresholds, mature=True))
                wrong.update(metric for (_, metric), row in found.items() if row.flagged)
            assert max(wrong.values(), default=0) <= 0.15 * DRAWS, (n, wrong)
            assert sum(wrong.values()) <= 0.06 * DRAWS * len(truth), (n, wrong)


@pytest.mark.parametrize("n", SIZES)
def test_calibrated_verdicts_are_more_than_chance(n):
    random = np.random.default_rng(n)
    drift = [streams.numerical(random, units=4, windows=60, rows=n), streams.categorical(random, windows=60, rows=n)]
    for batch in drift:
        judged = streams.judged([batch], streams.plan(), 30)
        assert (judged.status == 2).any(axis=0).mean() <= 0.1
    for calibration, evidence in (series.scored(n, n), series.regressed(n, n)):
        assert series.alarms(calibration, evidence).mean() <= 0.1
