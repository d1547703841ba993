"""The variance between windows: what blocks teach, and p-values against simulated windows."""

import numpy as np
import pytest
from scipy.stats import norm, t

from benchmarks.detection_streams import effects
from monitoring_pipeline.alerting.performance.null import NODES, WEIGHTS, learn, mean_factor, two_sided
from monitoring_pipeline.alerting.performance.settings import NullSettings

SETTINGS = NullSettings()
PRIOR = np.array([0.01, 0.1, 0.05])


def blocks(random, n, tau, sd, kind="iid"):
    e = np.stack([effects(n, random, kind) for _ in range(3)], axis=1)
    return tau * e + sd * random.standard_normal((n, 3)), np.full((n, 3), sd * sd)


def test_nodes_are_quantiles_with_weights_that_sum_to_one():
    assert WEIGHTS.sum() == pytest.approx(1) and (np.diff(NODES) > 0).all() and len(NODES) == len(WEIGHTS)


def test_without_window_effects_p_is_nearly_normal():
    random = np.random.default_rng(1)
    null = learn(*blocks(random, 400, 0.0, 1.0), PRIOR, SETTINGS)
    value = np.array([[[2.0, 0.0, -3.0]]])
    p = null.p(value, np.ones((1, 1, 3)), np.ones((1, 1)), (0, 0, 0))[0, 0]
    assert p == pytest.approx(2 * norm.sf([2, 0, 3]), rel=0.7)
    assert (p >= 2 * norm.sf([2, 0, 3]) * 0.99).all()


def test_where_effects_rule_p_has_their_tail():
    one = np.ones((1, 1, 1))
    p = two_sided(3 * one, 0 * one, np.ones((1, 1, 1, len(NODES))), np.full((1, 1, 1, 1), 6.0))
    assert p.item() == pytest.approx(2 * t.sf(3, 6), rel=0.02)


def test_sides():
    null = learn(np.zeros((0, 3)), np.zeros((0, 3)), PRIOR, SETTINGS)
    z, v, h = np.array([[[0.02, 0.2, -0.1]]]), np.full((1, 1, 3), 1e-4), np.ones((1, 1))
    both = null.p(z, v, h, (0, 0, 0))[0, 0]
    one = null.p(z, v, h, (-1, 1, -1))[0, 0]
    assert one == pytest.approx([1 - both[0] / 2, both[1] / 2, both[2] / 2])


@pytest.mark.parametrize(
    ("n", "source"),
    [(4, "provisional"), (5, "calibrated-short"), (13, "calibrated-short"), (14, "calibrated")],
)
def test_sources(n, source):
    null = learn(*blocks(np.random.default_rng(2), n, 1.0, 0.5), PRIOR, SETTINGS)
    assert null.source == (source,)
    assert null.rho.min() >= (SETTINGS.short_rho if n < 14 else SETTINGS.least_rho)
    assert SETTINGS.least_tail <= null.tail[0] <= (SETTINGS.short_tail if n < 14 else SETTINGS.most_tail)


def test_few_blocks_assume_the_prior():
    null = learn(np.zeros((3, 3)), np.ones((3, 3)), PRIOR, SETTINGS)
    np.testing.assert_allclose(null.variance[0], PRIOR**2)
    assert (null.df == SETTINGS.prior_df).all()


def test_the_variance_between_windows_is_found():
    random = np.random.default_rng(3)
    found = [learn(*blocks(random, 60, 2.0, 1.0), PRIOR, SETTINGS) for _ in range(200)]
    effect = np.mean([n.variance - n.noise for n in found])
    assert 4.0 <= effect <= 4.6  # 2², divided by 1 - 1/B_eff for the blocks' own mean
    assert np.mean([n.rho for n in found]) < 0.34


def test_autocorrelation_is_found_and_costs_blocks():
    random = np.random.default_rng(4)
    calm, tied = (
        [learn(*blocks(random, 60, 2.0, 0.5, kind), PRIOR, SETTINGS) for _ in range(60)] for kind in ("iid", "ar")
    )
    assert np.mean([n.rho for n in tied]) > 0.55 > np.mean([n.rho for n in calm]) + 0.2
    assert np.mean([n.blocks for n in tied]) < 0.6 * np.mean([n.blocks for n in calm])


def test_heavy_tails_are_found():
    random = np.random.default_rng(5)
    calm, heavy = (
        np.mean([learn(*blocks(random, 60, 2.0, 0.5, kind), PRIOR, SETTINGS).tail for _ in range(60)])
        for kind in ("iid", "heavy")
    )
    assert heavy < 10 < calm


def test_mean_factor_is_the_variance_of_a_mean():
    rho, h = 0.6, 7
    covariance = rho ** np.abs(np.subtract.outer(np.arange(h), np.arange(h)))
    assert mean_factor(np.array(rho), np.array(float(h))) == pytest.approx(covariance.mean())


def test_p_values_of_new_windows_are_at_most_their_level():
    random = np.random.default_rng(6)
    hits = np.zeros(2)
    for _ in range(300):
        found = learn(*blocks(random, 30, 1.0, 1.0), PRIOR, SETTINGS)
        z, v = blocks(random, 40, 1.0, 1.0)
        p = found.p(z[None], v[None], np.ones((1, 40)), (0, 0, 0))
        hits += [(p <= 0.05).mean(), (p <= 0.01).mean()]
    assert (hits / 300 <= [0.055, 0.012]).all() and (hits / 300 >= [0.02, 0.002]).all()
