"""What the contrasts measure, against closed forms and by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtr, ndtri

from monitoring_pipeline.alerting.drift.contrasts import (
    LOCATION,
    MISSING,
    OUTSIDE,
    SPREAD,
    basis,
    contrasts,
    polynomial_scores,
    share_contrast,
)
from monitoring_pipeline.alerting.rolling import rolling
from monitoring_pipeline_tests.alerting.drift.streams import placed

QUANTILES = ndtri(np.arange(1, 20) / 20)  # of a normal column's 20 bins; the two bins beyond them are empty


def shares(location=0.0, scale=1.0):
    inside = np.diff(ndtr((QUANTILES - location) / scale), prepend=0.0, append=1.0)
    return np.concatenate(([0.0], inside, [0.0]))


def measured(q, missing=0.0, n=1e6):
    """Contrasts of one window with shares ``q`` against a normal reference with 5 % missing."""
    counts = np.stack((shares() * 1e6, q * n))[None]
    batch = placed("numerical", counts, np.array([[0.05 / 0.95 * 1e6, missing / (1 - missing) * n]]), 1)
    of = basis(batch)
    return contrasts(of, batch.windows[:, 1:], batch.windows_missing[:, 1:])


@pytest.mark.parametrize("d", [-0.3, 0.1, 0.2])
def test_a_shift_of_d_deviations_is_location_of_098_d_and_psi_of_about_its_square(d):
    found, p, q = measured(shares(d), 0.05), shares(), shares(d)
    assert found.z[0, 0, LOCATION] == pytest.approx(0.98 * d, rel=0.03)
    used = p > 0
    psi = ((q - p)[used] * np.log(q[used] / p[used])).sum()
    assert psi == pytest.approx(d * d, rel=0.15)
    assert found.shape[0, 0] < 0.1 * psi
    assert abs(found.z[0, 0, MISSING]) < 1e-9


def test_a_wider_column_moves_spread_alone():
    found = measured(shares(0, 1.2), 0.05)
    assert found.z[0, 0, SPREAD] > 0.15
    assert abs(found.z[0, 0, LOCATION]) < 0.005


def test_the_scores_are_orthonormal_under_the_reference_even_with_empty_bins():
    random = np.random.default_rng(1)
    p = random.dirichlet(np.ones(12), 5)
    p[:, [0, 4, -1]] = 0
    p /= p.sum(axis=1, keepdims=True)
    scores = polynomial_scores(p)
    np.testing.assert_allclose(
        np.einsum("uk,uik,ujk->uij", p, scores, scores), np.tile(np.eye(2), (5, 1, 1)), atol=1e-9
    )
    np.testing.assert_allclose(np.einsum("uk,ujk->uj", p, scores), 0, atol=1e-9)


def test_two_bins_have_a_location_and_no_spread():
    scores = polynomial_scores(np.array([[0.25, 0.75]]))
    np.testing.assert_allclose((np.array([0.25, 0.75]) * scores**2).sum(axis=2), [[1, 0]], atol=1e-9)


def test_the_sampling_variance_is_at_most_one_over_n():
    random, n, p = np.random.default_rng(2), 300, np.array([0.002, 0.02, 0.478, 0.49, 0.01])
    counts = random.multinomial(n, p, 20_000)
    batch = placed("numerical", np.concatenate((p[None, None] * 1e9, counts[None]), axis=1), np.zeros((1, 20_001)), 1)
    z = contrasts(basis(batch), batch.windows[:, 1:], batch.windows_missing[:, 1:]).z[0]
    assert (z.var(axis=0) * n <= 1.03).all()
    np.testing.assert_allclose(z[:, [LOCATION, SPREAD]].var(axis=0) * n, 1, rtol=0.04)
    rare = share_contrast(counts / n, p)
    assert (rare.var(axis=0) * n <= 1.03).all()
    assert (rare.var(axis=0)[2:4] * n > 0.95).all()


def test_shape_is_chi_square_of_what_location_and_spread_leave():
    random, n, k = np.random.default_rng(3), 5_000, 10
    p = np.full(k, 1 / k)
    counts = random.multinomial(n, p, 4_000)
    batch = placed("numerical", np.concatenate((p[None, None] * 1e9, counts[None]), axis=1), np.zeros((1, 4_001)), 1)
    of = basis(batch)
    shape = contrasts(of, batch.windows[:, 1:], batch.windows_missing[:, 1:]).shape[0] * n
    assert of.freedom[0] == k - 3
    assert shape.mean() == pytest.approx(k - 3, rel=0.03)


def test_shares_that_the_reference_lacks_have_finite_contrasts():
    z = share_contrast(np.array([0.02, 0.0, 1.0]), np.array([0.0, 0.0, 1.0]))
    np.testing.assert_allclose(z, [2 * np.arcsin(np.sqrt(0.02)), 0, 0])


def test_outside_is_what_lies_beyond_the_reference_on_either_side():
    q = 0.97 * shares()
    q[0], q[-1] = 0.01, 0.02
    found = measured(q, 0.05)
    assert found.change[0, 0, OUTSIDE] == pytest.approx(0.03)
    assert np.isinf(found.change[0, 0, LOCATION])


def test_a_window_without_rows_has_no_contrast():
    batch = placed("categorical", np.array([[[5.0, 3.0, 0.0], [0.0, 0.0, 0.0]]]), np.zeros((1, 2)), 1)
    found = contrasts(basis(batch), batch.windows[:, 1:], batch.windows_missing[:, 1:])
    assert not found.z.any() and not found.shape.any() and not found.rows.any()


def test_rolling_sums_hold_at_most_h_windows():
    values = np.arange(12.0).reshape(2, 6)
    for h in (1, 2, 7):
        expected = [[row[max(t - h + 1, 0) : t + 1].sum() for t in range(6)] for row in values]
        np.testing.assert_allclose(rolling(values, h), expected)
