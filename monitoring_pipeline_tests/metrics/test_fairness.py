"""Fairness against fairlearn 0.15 on the same rows, and what holds for any counts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import mean_absolute_error, recall_score

from monitoring_pipeline.alerting.fairness import judge_fairness
from monitoring_pipeline.metrics.fairness import Group, measure_fairness
from monitoring_pipeline.metrics.fairness.rates import Share, difference, ratio
from monitoring_pipeline.monitors.declaration import Thresholds
from monitoring_pipeline.monitors.protected import Protected

from .counting import categorical, categorical_layout, classified, profile, regressed, score_layout

# fairlearn 0.15.0: the functions of these names; MetricFrame(...).difference() of false_positive_rate, precision_score,
# mean_absolute_error and the mean error.
FAIRLEARN = {
    "demographic_parity_difference": 0.10563179729532107,
    "demographic_parity_ratio": 0.7875081286966216,
    "equal_opportunity_difference": 0.1509574813372282,
    "equalized_odds_difference": 0.1509574813372282,
    "false_positive_rate_difference": 0.14186057874816296,
    "predictive_parity_difference": 0.17283657649106154,
}
FAIRLEARN_MAE, FAIRLEARN_MEAN_ERROR = 0.719929045845776, 0.49721531762751664


def sample():
    """The rows that the values above are of."""
    rng = np.random.default_rng(11)
    n = 4000
    group = rng.choice(["a", "b", "c"], n, p=[0.5, 0.3, 0.2])
    score = np.round(rng.beta(2, 2, n), 3)
    outcome = (rng.random(n) < score * np.where(group == "b", 0.8, 1)).astype(int)
    predicted = (score > np.where(group == "c", 0.6, 0.5)).astype(int)
    truth = rng.normal(0, 3, n)
    estimate = truth + rng.normal(np.where(group == "b", 0.5, 0), np.where(group == "c", 2, 1))
    return group, score, outcome, predicted, truth, estimate


PREDICTION = categorical_layout(("1", "0"), name="predicted", role="prediction")


def groups_of(group, score, outcome, predicted):
    layout = score_layout(score)
    return [
        Group(
            f"sex={name}", profile(categorical(PREDICTION, predicted[group == name].astype(str))),
            classified(layout, outcome[group == name], score[group == name], predicted[group == name]),
        )
        for name in np.unique(group)
    ]  # fmt: skip


def measured(groups, min_rows=30, reference="sex=a"):
    found = measure_fairness("1", "sex", reference, groups, min_rows)
    return {m.segment: m for m in found}


def values(m):
    return dict(zip(m.keys.metrics, m.value.tolist(), strict=True))


def test_classification_equals_fairlearn():
    found = measured(groups_of(*sample()[:4]))
    together = values(found["*"])
    for metric, value in FAIRLEARN.items():
        assert together[metric] == pytest.approx(value, abs=1e-12), metric
    group, score, outcome, predicted = sample()[:4]
    recall = {g: recall_score(outcome[group == g], predicted[group == g]) for g in "abc"}
    assert values(found["sex=c"])["equal_opportunity_difference"] == pytest.approx(recall["c"] - recall["a"], abs=1e-12)
    gap = {g: score[group == g].mean() - outcome[group == g].mean() for g in "abc"}
    assert values(found["sex=b"])["calibration_difference"] == pytest.approx(gap["b"] - gap["a"], abs=1e-12)


def test_regression_equals_fairlearn():
    group, *_, truth, estimate = sample()
    groups = [Group(f"sex={g}", None, regressed(truth[group == g], estimate[group == g])) for g in "abc"]
    found = measured(groups)
    assert values(found["*"])["mae_difference"] == pytest.approx(FAIRLEARN_MAE, abs=1e-12)
    assert values(found["*"])["mean_error_difference"] == pytest.approx(FAIRLEARN_MEAN_ERROR, abs=1e-12)
    mae = {g: mean_absolute_error(truth[group == g], estimate[group == g]) for g in "abc"}
    assert values(found["sex=b"])["mae_difference"] == pytest.approx(mae["b"] - mae["a"], abs=1e-12)


def test_each_class_of_several_is_compared_against_the_rest():
    rng = np.random.default_rng(2)
    classes = ("x", "y", "z")
    group, actual, predicted = (rng.choice(3, 900) for _ in range(3))
    scores = rng.dirichlet([1, 1, 1], 900)
    layout = score_layout(scores, classes)
    column = categorical_layout(classes, name="predicted", role="prediction")
    groups = [
        Group(f"sex={'abc'[g]}", profile(categorical(column, np.array(classes)[predicted[group == g]])),
              classified(layout, actual[group == g], scores[group == g], predicted[group == g]))
        for g in range(3)
    ]  # fmt: skip
    together = values(measured(groups)["*"])
    for k, name in enumerate(classes):
        recall = [((actual == k) & (predicted == k) & (group == g)).sum() / ((actual == k) & (group == g)).sum()
                  for g in range(3)]  # fmt: skip
        assert together[f"equal_opportunity_difference[class={name}]"] == pytest.approx(max(recall) - min(recall))
        rate = [(predicted[group == g] == k).mean() for g in range(3)]
        assert together[f"demographic_parity_ratio[class={name}]"] == pytest.approx(min(rate) / max(rate))


def test_windows_add_up():
    rows = sample()[:4]
    half = np.arange(len(rows[0])) % 2 == 0
    layout = score_layout(rows[1])
    halves = [[of[at] for of in rows] for at in (half, ~half)]
    parts = []
    for name in "abc":
        two = []
        for group, score, outcome, predicted in halves:
            at = group == name
            column = categorical(PREDICTION, predicted[at].astype(str))
            two.append((column, classified(layout, outcome[at], score[at], predicted[at])))
        parts.append(Group(f"sex={name}", profile(two[0][0].merge(two[1][0])), two[0][1].merge(two[1][1])))
    whole, merged = measured(groups_of(*rows)), measured(parts)
    for segment in whole:
        assert np.allclose(whole[segment].value, merged[segment].value, rtol=1e-12, equal_nan=True)
        assert np.array_equal(whole[segment].n, merged[segment].n)


def test_a_small_group_is_measured_and_not_the_largest_difference():
    group, score, outcome, predicted = sample()[:4]
    small = np.flatnonzero(group == "c")[:20]
    kept = np.concatenate((np.flatnonzero(group != "c"), small))
    found = measured(groups_of(group[kept], score[kept], outcome[kept], np.where(group == "c", 0, predicted)[kept]))
    of_c = found["sex=c"]
    assert values(of_c)["selection_rate"] == 0.0 and of_c.n[of_c.keys.metrics.index("selection_rate")] == 20
    rate = {g: predicted[group == g].mean() for g in "ab"}
    together = values(found["*"])
    assert together["demographic_parity_difference"] == pytest.approx(abs(rate["a"] - rate["b"]), abs=1e-12)
    alone = measured(groups_of(*(of[group == "a"] for of in (group, score, outcome, predicted))))
    assert np.isnan(values(alone["*"])["demographic_parity_difference"]) and values(alone["*"])["groups"] == 1


def test_without_the_reference_group_there_are_rates_and_no_differences():
    found = measured(groups_of(*sample()[:4]), reference="sex=gone")
    assert "selection_rate" in values(found["sex=a"])
    assert "demographic_parity_difference" not in values(found["sex=a"])
    assert values(found["*"])["demographic_parity_difference"] == pytest.approx(
        FAIRLEARN["demographic_parity_difference"]
    )


shares = st.integers(1, 400).flatmap(lambda n: st.builds(Share, st.integers(0, n).map(float), st.just(n)))


@given(shares, shares)
@settings(max_examples=150, deadline=None)
def test_intervals_hold_their_value_and_turn_with_the_groups(a, b):
    value, low, high = difference(a, b)
    assert -1 <= low <= value + 1e-15 and value - 1e-15 <= high <= 1
    assert difference(b, a) == pytest.approx((-value, -high, -low), abs=1e-12)
    value, low, high = ratio(a, b)
    assert np.isnan(value) == (b.k == 0)
    assert np.isnan(value) or 0 <= low <= value <= high


@pytest.mark.parametrize(("p", "q", "n", "m"), [(0.5, 0.5, 80, 40), (0.05, 0.05, 200, 60), (0.9, 0.7, 50, 300)])
def test_the_interval_of_a_difference_holds_the_truth_as_often_as_it_says(p, q, n, m):
    rng = np.random.default_rng(4)
    drawn = zip(rng.binomial(n, p, 3000).tolist(), rng.binomial(m, q, 3000).tolist(), strict=True)
    held = [low <= p - q <= high for _, low, high in (difference(Share(a, n), Share(b, m)) for a, b in drawn)]
    assert 0.935 <= np.mean(held) <= 0.975


def test_judged_only_where_pinned_beyond_the_interval_mature_and_with_enough_rows():
    found = measured(groups_of(*sample()[:4]))
    protected = (Protected(column="sex"),)
    pin = lambda **fairness: Thresholds(fairness=fairness)  # noqa: E731

    def violated(segment, thresholds, mature=True, of=found):
        verdict = judge_fairness(of[segment], thresholds, protected, mature=mature)
        return dict(zip(of[segment].keys.metrics, verdict.flagged.tolist(), strict=True))

    assert set(violated("*", Thresholds()).values()) == {-1}
    tight = pin(demographic_parity_difference=0.02, equal_opportunity_difference=0.02)
    assert violated("*", tight)["demographic_parity_difference"] == 1
    assert violated("sex=c", tight)["demographic_parity_difference"] == 1, "below: the size counts"
    assert violated("*", tight, mature=False)["demographic_parity_difference"] == 1
    assert violated("*", tight, mature=False)["equal_opportunity_difference"] == -1
    assert violated("*", pin(demographic_parity_difference=0.1))["demographic_parity_difference"] == 0
    assert violated("*", pin(demographic_parity_ratio=0.95))["demographic_parity_ratio"] == 1
    assert violated("*", pin(demographic_parity_ratio=0.8))["demographic_parity_ratio"] == 0
    few = {"sex=c": replace(found["sex=c"], n=np.full_like(found["sex=c"].n, 29))}
    assert violated("sex=c", tight, of=few)["demographic_parity_difference"] == -1
