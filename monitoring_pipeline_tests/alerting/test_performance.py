"""Performance verdicts on cases made by hand and, on random outcomes, against the plain rules."""

from __future__ import annotations

import numpy as np
import pytest

from monitoring_pipeline.alerting import judge_performance
from monitoring_pipeline.alerting.performance.bounds import Judged
from monitoring_pipeline.metrics.drift import measure_drift
from monitoring_pipeline.metrics.performance import measure_outcome, measure_performance
from monitoring_pipeline.monitors.declaration import Thresholds
from monitoring_pipeline_tests.alerting import plain_verdicts
from monitoring_pipeline_tests.alerting.random_profiles import some_thresholds, two_outcomes
from monitoring_pipeline_tests.metrics.counting import classified, labelled, regressed, score_layout
from monitoring_pipeline_tests.metrics.reading import rows


def judged(outcome, reference=None, thresholds=None, mature=True):
    measurement = measure_performance(labelled(outcome), reference and labelled(reference))
    verdict = judge_performance(measurement, thresholds or Thresholds(), mature=mature)
    assert verdict.mature is mature
    return {metric: row for (_, metric), row in rows(measurement, verdict).items()}


def binary(n=4000, seed=0):
    random = np.random.default_rng(seed)
    scores = random.beta(1.5, 4, n)
    return (random.random(n) < scores).astype(int), scores, (scores > 0.3).astype(int)


def test_degraded_means_beyond_the_threshold_with_its_whole_interval():
    drop = Thresholds(performance_drop=0.1)
    good = classified(score_layout(binary()[1]), *binary())
    actual, scores, predicted = binary(seed=5)
    bad = classified(good.layout, 1 - actual, scores, predicted)
    few = classified(good.layout, 1 - actual[:6], scores[:6], predicted[:6])
    row = judged(bad, good, drop)["roc_auc"]
    reference = measure_outcome(good)["roc_auc"].value
    assert (row.threshold, row.source, row.flagged) == (pytest.approx(0.9 * reference), "declared", True)
    loss = judged(bad, good, drop)["log_loss"]
    assert loss.flagged and loss.threshold == pytest.approx(1.1 * measure_outcome(good)["log_loss"].value)
    assert not any(row.flagged for row in judged(good, good, drop).values())
    assert not judged(few, good, drop)["roc_auc"].flagged
    assert judged(bad, None, drop)["roc_auc"].flagged is None


def test_without_a_bound_the_verdict_on_the_model_is_repeated():
    outcome = classified(score_layout(binary()[1]), *binary())
    measurement = measure_performance(labelled(outcome), labelled(outcome))
    for status, flagged in (("alarm", True), ("notice", False), ("quiet", False), ("abstained", None)):
        subjects = {"": Judged(status, "slope", "calibrated-short")}
        found = rows(measurement, judge_performance(measurement, Thresholds(), mature=True, subjects=subjects))
        auc, accuracy = found["*", "roc_auc"], found["*", "accuracy"]
        source = "none" if status == "abstained" else "calibrated-short"
        assert (auc.threshold, auc.source, auc.flagged) == (None, source, flagged)
        assert (accuracy.threshold, accuracy.source, accuracy.flagged) == (None, "none", None)


@pytest.mark.parametrize(
    "pinned", [Thresholds(performance={"roc_auc": {"min": 0.6}}), Thresholds(performance_drop=0.1)]
)
def test_scores_that_became_constant_are_degraded(pinned):
    actual, scores, predicted = binary()
    good = classified(score_layout(scores), actual, scores, predicted)

    def of(n):
        return judged(classified(good.layout, actual[:n], np.full(n, 0.27), np.zeros(n, int)), good, pinned)["roc_auc"]

    assert of(4000).flagged and of(400).flagged
    assert of(5).flagged is not True


def test_declared_bounds_are_taken_as_they_are():
    outcome = classified(score_layout(binary()[1]), *binary())
    thresholds = Thresholds(performance={"roc_auc": {"min": 0.99}, "positive_rate": {"min": 0.0, "max": 0.01}})
    found = judged(outcome, outcome, thresholds)
    auc, rate = found["roc_auc"], found["positive_rate"]
    assert (auc.threshold, auc.source, auc.flagged) == (0.99, "declared", True)
    assert (rate.threshold, rate.flagged) == (0.01, True)
    assert (found["accuracy"].source, found["accuracy"].flagged) == ("none", None)


def test_one_row_has_no_interval_and_no_verdict():
    row = judged(regressed([0.0], [9.0], [0.0]), None, Thresholds(performance={"mae": {"max": 1.0}}))["mae"]
    assert (row.value, row.low, row.threshold, row.source, row.flagged) == (9.0, None, 1.0, "declared", None)


def test_whether_the_window_is_mature_is_kept_and_changes_nothing():
    outcome = classified(score_layout(binary()[1]), *binary())
    assert judged(outcome, outcome, mature=False) == judged(outcome, outcome, mature=True)


@pytest.mark.parametrize("seed", range(15))
@pytest.mark.parametrize("classes", [(), ("0", "1"), ("a", "b", "c"), tuple("abcdefghijkl")], ids=len)
def test_verdicts_equal_the_plain_rules(seed, classes):
    random = np.random.default_rng(seed)
    reference, current = two_outcomes(random, classes)
    thresholds = some_thresholds(random)
    for known in (reference, None):
        for metric, row in judged(current, known, thresholds).items():
            usual = measure_outcome(known).get(metric) if known else None
            expected = plain_verdicts.performance(
                metric, row.value, row.low, row.high, usual and usual.value, thresholds
            )
            assert (row.threshold, row.source, row.flagged) == expected, metric


def test_other_families_are_refused():
    drift = measure_drift([], [], model_version="1", baseline="training", segment="*")
    with pytest.raises(ValueError, match="cannot be judged as performance"):
        judge_performance(drift, Thresholds(), mature=True)
