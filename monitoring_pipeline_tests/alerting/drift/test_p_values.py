"""p-values and the null's pieces, against scipy and direct sums."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.special import polygamma

from monitoring_pipeline.alerting.budget import benjamini_hochberg
from monitoring_pipeline.alerting.drift import p_values
from monitoring_pipeline.alerting.drift.null import _trigamma_inverse
from monitoring_pipeline.alerting.drift.season import TREND, expected, step
from monitoring_pipeline.alerting.rolling import Counted
from monitoring_pipeline_tests.alerting.drift.streams import basis_of, placed

NORMAL = np.array([p_values.MOST_DF])  # a tail as good as normal


def two_sided(z, s2, noise, df, sampling):
    nodes = p_values.variance_nodes(np.array([s2]), np.array([noise]), np.array([df]))
    return p_values.two_sided(np.array([z]), np.array([sampling]), nodes, NORMAL)[0]


@pytest.mark.parametrize("z", [1.0, 2.0, 4.0, 6.0])
def test_at_the_blocks_size_p_is_that_of_t_with_one_degree_less_than_blocks(z):
    noise, s2, blocks = 0.001, 0.02, 20
    p = two_sided(z * np.sqrt(s2), s2, noise, blocks - 1.0, noise)
    assert p == pytest.approx(2 * stats.t.sf(z, blocks - 1), rel=0.1)


@pytest.mark.parametrize("z", [1.0, 2.0, 4.0, 6.0])
def test_far_below_the_blocks_size_p_is_normal(z):
    p = two_sided(z, 0.0002, 0.0001, 19.0, 1.0)
    assert p == pytest.approx(2 * stats.norm.sf(z), rel=0.05)


def test_heavy_tails_make_far_deviations_likelier_where_windows_vary():
    nodes = p_values.variance_nodes(np.full(2, 0.02), np.full(2, 0.001), np.full(2, 200.0))
    z, tail = np.full(2, 5 * np.sqrt(0.02)), np.array([4.0, p_values.MOST_DF])
    varying = p_values.two_sided(z, np.full(2, 1e-6), nodes, tail)
    assert varying[0] > 100 * varying[1]
    sampled = p_values.two_sided(np.full(2, 5.0), np.ones(2), nodes / 1000, tail)
    assert sampled[0] == pytest.approx(sampled[1], rel=0.01)


@pytest.mark.parametrize("rho", [0.0, 0.3, 0.9])
@pytest.mark.parametrize("h", [1, 2, 7, 24])
def test_the_variance_of_a_mean_of_autocorrelated_effects(rho, h):
    direct = sum(rho ** abs(i - j) for i in range(h) for j in range(h)) / h**2
    assert p_values.mean_factor(np.array([rho]), np.array([float(h)]))[0] == pytest.approx(direct)


def test_shape_without_effects_of_windows_is_chi_square():
    x, k = np.array([8.0, 20.0, 40.0]), np.full(3, 10.0)
    p = p_values.of_shape(x / 500, k, np.full(3, 1 / 500), np.zeros(3), np.full(3, 20.0), np.zeros(3))
    np.testing.assert_allclose(p, stats.chi2.sf(x, 10), rtol=1e-3)


@pytest.mark.parametrize("x", [0.05, 0.7, 3.0, 400.0])
def test_the_inverse_of_trigamma(x):
    assert _trigamma_inverse(float(polygamma(1, x))) == pytest.approx(x, rel=1e-6)


def test_benjamini_hochberg_is_scipys_and_leaves_out_what_is_not_judged():
    random = np.random.default_rng(4)
    p = random.uniform(size=(5, 40)) ** 3
    np.testing.assert_allclose(benjamini_hochberg(p), stats.false_discovery_control(p, axis=1))
    p[:, ::3] = np.nan
    found = benjamini_hochberg(p)
    assert np.isnan(found[:, ::3]).all()
    kept = ~np.isnan(p[0])
    np.testing.assert_allclose(found[:, kept], stats.false_discovery_control(p[:, kept], axis=1))


def test_the_seasonal_expectation_carries_a_straight_line_on_with_two_and_a_half_times_the_variance():
    weeks = np.arange(1, 5)
    for slope in (0.0, 1.0, -3.0):
        assert TREND @ (7 - slope * weeks) == pytest.approx(7)
    assert pytest.approx(2.5) == 1 + TREND @ TREND


def test_merged_windows_are_compared_whole_weeks_apart_without_overlap():
    assert [step(h, 7) for h in (1, 2, 7, 8)] == [7, 7, 7, 14]


def _weekly(weeks, slope):
    """One column of names whose first share has a weekly pattern and a trend, in exact counts."""
    t = np.arange(7 * weeks)
    first = 0.4 + 0.1 * np.sin(2 * np.pi * t / 7) + slope * (t // 7)
    counts = 1000 * np.stack((first, 1 - first, 0 * first), axis=1)[None]
    return placed("categorical", counts, np.zeros((1, 7 * weeks)), 7)


@pytest.mark.parametrize(("weeks", "slope", "factor"), [(6, 0.02, 2.5), (6, 0.0, 2.5), (4, 0.0, 1.5), (3, 0.0, np.nan)])
def test_windows_on_the_line_of_their_slot_do_not_differ_from_the_season(weeks, slope, factor):
    batch = _weekly(weeks, slope)
    last = 7 * weeks - 1
    found = expected(basis_of(batch), (Counted(batch.windows), Counted(batch.windows_missing)), 1, 7, last, last + 1)
    assert found.known[0, 0] == (weeks >= 4)  # the first week is the reference's, not given here
    if found.known[0, 0]:
        np.testing.assert_allclose(found.d, 0, atol=2e-3)
        assert found.factor[0, 0] == pytest.approx(factor)
