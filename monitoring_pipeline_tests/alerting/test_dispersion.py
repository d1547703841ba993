"""Dispersion of residuals, robustly."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring_pipeline.alerting.dispersion import DispersionSettings, dispersion, masked_median, median_factor

SETTINGS = DispersionSettings()


@given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.booleans()), min_size=1, max_size=30))
def test_masked_median_is_numpys(pairs):
    values, mask = np.array([v for v, _ in pairs]), np.array([m for _, m in pairs])
    found = masked_median(values[None], mask[None])[0]
    assert np.isnan(found) if not mask.any() else found == pytest.approx(np.median(values[mask]))


def test_no_values_have_no_median():
    assert np.isnan(masked_median(np.zeros((2, 0)), np.zeros((2, 0), bool))).all()


def test_few_residuals_leave_the_prior():
    variance, tail = dispersion(np.full((1, 4), 0.1), np.ones((1, 4), bool), SETTINGS)
    assert (variance[0], tail[0]) == (SETTINGS.prior_sd**2, SETTINGS.prior_df)


def test_many_residuals_give_their_variance_and_outliers_do_not():
    r = 0.1 * np.random.default_rng(1).standard_normal((200, 60))
    mask = np.ones(r.shape, bool)
    variance, tail = dispersion(r, mask, SETTINGS)
    assert variance.mean() == pytest.approx(0.01, rel=0.1) and (tail <= SETTINGS.most_tail).all()
    r[:, 5] = 30
    assert dispersion(r, mask, SETTINGS)[0].mean() == pytest.approx(0.01, rel=0.3)
    mask[:, 5] = False
    assert dispersion(r, mask, SETTINGS)[0].mean() == pytest.approx(0.01, rel=0.1)


def test_heavy_tails_have_fewer_degrees():
    random = np.random.default_rng(2)
    mask = np.ones((200, 60), bool)
    normal, heavy = random.standard_normal((200, 60)), random.standard_t(3, (200, 60))
    assert dispersion(heavy, mask, SETTINGS)[1].mean() + 2 < dispersion(normal, mask, SETTINGS)[1].mean()


def test_the_factor_is_that_of_a_difference_from_a_median():
    random = np.random.default_rng(3)
    for n in (1, 2, 3, 8):
        x = random.standard_normal((200_000, n + 1))
        found = (x[:, 0] - np.median(x[:, 1:], axis=1)).var()
        assert median_factor(np.array([n]))[0] == pytest.approx(found, rel=0.05)
