"""From outcome profiles, counted row by row, to what is judged."""

import numpy as np
import pytest
from scipy.special import logit

from monitoring_pipeline.alerting.performance import (
    PerformanceSettings,
    calibrate,
    decide,
    evidence_of,
    family_of,
    judge,
    rarer_of,
    score_axis,
    subjects,
)
from monitoring_pipeline.profiles.layout import OutcomeLayout
from monitoring_pipeline.profiles.outcome import OutcomeProfile
from monitoring_pipeline_tests.metrics.counting import classified, regressed, score_layout

SETTINGS = PerformanceSettings()


def binary(seed, n=3000, wrong=0.0):
    random = np.random.default_rng(seed)
    score = random.beta(2, 5, n)
    actual = (random.random(n) < score).astype(int)
    actual = np.where(random.random(n) < wrong, 1 - actual, actual)
    return actual, score, (score > 0.3).astype(int)


def multiclass(seed, n=3000, wrong=0.0):
    random = np.random.default_rng(seed)
    score = random.dirichlet([1.0, 1.5, 2.0], n)
    actual = (random.random(n)[:, None] > np.cumsum(score, 1)).sum(1).clip(0, 2)
    actual = np.where(random.random(n) < wrong, random.integers(0, 3, n), actual)
    return actual, score, score.argmax(1)


def test_scores():
    actual, score, predicted = binary(1)
    outcome = classified(score_layout(score), actual, score, predicted)
    (subject,) = subjects(outcome.layout)
    evidence = evidence_of(subject, [outcome, OutcomeProfile.empty(outcome.layout)])
    assert evidence.shape == (2, 2 * (len(outcome.layout.score_edges) + 1))
    assert evidence.sum(1).tolist() == [3000 + actual.sum(), 0]
    assert rarer_of(subject, evidence).tolist() == [min(actual.sum(), 3000 - actual.sum()), 0]
    x = score_axis(outcome, 0)
    at = np.searchsorted(outcome.layout.score_edges, score, side="left")
    assert x[50] == pytest.approx(logit(score[at == 50].mean()))
    assert (np.diff(x) > 0).all() and np.isfinite(x).all()


def test_scores_that_are_no_probabilities_are_standardized():
    actual, score, predicted = binary(2)
    margins = 10 * score - 4
    outcome = classified(score_layout(margins), actual, margins, predicted)
    x = score_axis(outcome, 0)
    weights = outcome.score_counts[0]
    assert np.average(x, weights=weights) == pytest.approx(0, abs=1e-9)
    assert np.average(x * x, weights=weights) == pytest.approx(1)
    assert family_of(subjects(outcome.layout)[0], outcome, SETTINGS).able.all()


def test_one_bin_of_scores():
    layout = OutcomeLayout("binary", ("0", "1"), ("1",))
    assert np.isfinite(score_axis(OutcomeProfile.empty(layout), 0)).all()


def test_predicted_classes():
    actual, score, predicted = multiclass(3)
    predicted = np.where(np.arange(3000) < 50, 3, predicted)  # 50 of a class the layout lacks
    layout = OutcomeLayout("multiclass", ("a", "b", "c"))
    with_columns = classified(score_layout(score, ("a", "b", "c")), actual, score, predicted)
    confusion = np.insert(with_columns.confusion, 4, 7, axis=1)  # and 7 of each outcome without a prediction
    empty = OutcomeProfile.empty(layout)
    outcome = OutcomeProfile(
        layout, 3028, 3028, 0, 0, empty.score_counts, empty.score_sums, empty.labelled_counts, empty.positive_counts,
        empty.labelled_sums, confusion, empty.error_counts, empty.sums,
    )  # fmt: skip
    (subject,) = subjects(layout)
    rows, wrong = np.split(evidence_of(subject, [outcome])[0], 2)
    assert rows.tolist() == np.bincount(predicted, minlength=4).tolist()
    assert wrong.tolist() == [((predicted == k) & (actual != k)).sum() for k in range(4)]


def test_errors():
    random = np.random.default_rng(4)
    actual = random.standard_normal(500)
    predicted = actual + random.standard_normal(500)
    outcome = regressed(actual, predicted)
    (subject,) = subjects(outcome.layout)
    e = predicted - actual
    assert evidence_of(subject, [outcome])[0] == pytest.approx([500, e.sum(), np.abs(e).sum(), (e * e).sum()])
    assert np.isnan(rarer_of(subject, np.ones((2, 4)))).all()


def test_every_class_against_the_rest_and_their_mean():
    layout = score_layout(multiclass(5)[1], ("a", "b", "c"))
    reference = classified(layout, *multiclass(5, 9000))
    blocks = [classified(layout, *multiclass(100 + i, 900)) for i in range(20)]
    windows = [classified(layout, *multiclass(200 + i, 900, 0.4 if i >= 8 else 0.0)) for i in range(10)]
    found = subjects(layout)
    assert [s.name for s in found] == ["class=a", "class=b", "class=c", "macro"]
    tests = []
    for subject in found:
        calibration = calibrate(family_of(subject, reference, SETTINGS), evidence_of(subject, blocks), SETTINGS)
        evidence = evidence_of(subject, windows)[None]
        tests.append(judge(calibration, evidence, np.ones((1, 10), bool), SETTINGS))
    verdicts = decide(tests, 0.25 / 30)
    assert all(v.status.shape == (1, 10) for v in verdicts)
    assert all((v.status[0, :8] == "quiet").all() for v in verdicts)
    assert verdicts[-1].status[0, 9] == "alarm" and verdicts[-1].contrast[0, 9] == "macro_auc"


def test_a_class_that_the_reference_lacks_is_left_out_of_the_macro():
    actual, score, predicted = multiclass(6)
    outcome = classified(score_layout(score, ("a", "b", "c")), np.where(actual == 0, 1, actual), score, predicted)
    family = family_of(subjects(outcome.layout)[-1], outcome, SETTINGS)
    assert family.counted.tolist() == [[False, True, True]] and family.able.all()
    assert family.contrasts(
        evidence_of(subjects(outcome.layout)[-1], [outcome])[None], SETTINGS
    ).value == pytest.approx(0)


def test_no_profiles_are_refused():
    with pytest.raises(ValueError, match="no outcome profiles"):
        evidence_of(subjects(OutcomeLayout("regression"))[0], [])
