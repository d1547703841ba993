"""The baseline line against scikit-learn on the rows themselves, and its notice."""

import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from monitoring_pipeline.alerting.performance import PerformanceSettings, calibration_notice, fit_line

SETTINGS = PerformanceSettings()


def bins(seed, a, b, n=40_000, base=-2.0):
    random = np.random.default_rng(seed)
    x = np.linspace(base - 3, base + 3, 61)
    labelled = random.multinomial(n, np.full(61, 1 / 61)).astype(float)
    return x, labelled, random.binomial(labelled.astype(int), expit(a + b * x)).astype(float)


@pytest.mark.parametrize(("a", "b"), [(0.0, 1.0), (0.5, 0.8), (-1.0, 1.4), (0.3, -0.5)])
def test_the_line_is_the_logistic_regression_of_the_rows(a, b):
    x, labelled, positive = bins(1, a, b)
    rows = np.concatenate((x, x))[:, None]
    outcomes = np.repeat([1, 0], len(x))
    weights = np.concatenate((positive, labelled - positive))
    known = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(rows, outcomes, sample_weight=weights)
    line = fit_line(x, labelled, positive)
    # the ridge of one event shows in the third digit
    assert line.intercept == pytest.approx(known.intercept_[0], abs=3e-3)
    assert line.slope == pytest.approx(known.coef_[0, 0], abs=2e-3)


def test_separated_classes_and_missing_ones_keep_the_line_finite():
    x = np.linspace(-4, 4, 9)
    separated = fit_line(x, np.full(9, 50.0), np.where(x > 0, 50.0, 0.0))
    assert np.isfinite(separated).all() and separated.slope > 1
    for positive in (np.zeros(9), np.full(9, 50.0)):
        assert np.isfinite(fit_line(x, np.full(9, 50.0), positive)).all()
    assert fit_line(x, np.zeros(9), np.zeros(9)) == pytest.approx((0.0, 1.0))


def test_far_bins_do_not_make_newton_diverge():
    x = np.linspace(-14, 14, 30)
    labelled = np.full(30, 1000.0)
    line = fit_line(x, labelled, np.round(labelled * expit(3 + 0.05 * x)))
    assert line == pytest.approx((3, 0.05), abs=0.02)


def test_a_calibrated_reference_gets_no_notice():
    x, labelled, positive = bins(2, 0.0, 1.0)
    assert calibration_notice(fit_line(x, labelled, positive), x, labelled, SETTINGS) is None


@pytest.mark.parametrize(("a", "b", "said"), [(0.6, 1.0, "1.8"), (-0.4, 0.8, "0.8")])
def test_one_that_is_off_gets_one_that_says_by_how_much(a, b, said):
    x, labelled, positive = bins(3, a, b)
    notice = calibration_notice(fit_line(x, labelled, positive), x, labelled, SETTINGS)
    assert notice and said in notice and "not calibrated" in notice


def test_what_may_be_chance_is_no_notice():
    x, labelled, positive = bins(4, 0.3, 1.0, n=200)
    assert calibration_notice(fit_line(x, labelled, positive), x, labelled, SETTINGS) is None
    assert calibration_notice(fit_line(x, labelled * 0, positive * 0), x, labelled * 0, SETTINGS) is None
