"""Change of the share of rows without a value."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr, bdtrc, erfc

from monitoring_pipeline.metrics.drift.comparison import Comparison, Measured
from monitoring_pipeline.profiles.column import ColumnProfile

Floats = NDArray[np.float64]
LEAST_EXPECTED = 5.0  # rows on either side of a share; with fewer expected, z is no normal deviate


def two_proportions(share_a: Floats, share_b: Floats, n_a: Floats, n_b: Floats) -> Floats:
    """Two-sided p of the z test that two shares are one; 1 where both are equal. Where b's rows are too few for it (of
    either side fewer than five expected), not below the exact binomial one of b at a's share, one row of each added.

    >>> two_proportions(np.array([0.1]), np.array([0.2]), np.array([100.0]), np.array([100.0])).round(4).tolist()
    [0.0477]
    >>> two_proportions(np.array([0.01]), np.array([0.2]), np.array([5000.0]), np.array([5.0])).round(4).tolist()
    [0.0999]

    Reference: Fleiss, Levin and Paik, Statistical Methods for Rates and Proportions (2003), section 3.
    """
    n_a, n_b = np.where(n_a > 0, n_a, np.nan), np.where(n_b > 0, n_b, np.nan)
    pooled = (share_a * n_a + share_b * n_b) / (n_a + n_b)
    spread = np.sqrt(np.clip(pooled * (1 - pooled), 0.0, None) * (1 / n_a + 1 / n_b))
    p = erfc(np.abs(share_a - share_b) / np.where(spread > 0, spread, 1.0) / np.sqrt(2))
    few = np.minimum(pooled, 1 - pooled) * n_b < LEAST_EXPECTED
    if few.any():
        p[few] = np.maximum(p[few], _exact(share_a[few], share_b[few], n_a[few], n_b[few]))
    return np.where(share_a == share_b, 1.0, p)


def _exact(share_a: Floats, share_b: Floats, n_a: Floats, n_b: Floats) -> Floats:
    usual = (share_a * n_a + 1) / (n_a + 2)
    k, n = np.round(share_b * n_b), n_b.astype(np.int64)
    above = np.where(k > 0, bdtrc(np.maximum(k - 1, 0), n, usual), 1.0)
    return np.minimum(2 * np.minimum(bdtr(k, n, usual), above), 1.0)


def measure(pair: Comparison) -> Measured:
    """Current minus reference share of rows that are null or NaN, in [-1, 1]; the effect is its size; p by the
    two-proportion z.
    """
    n_reference, before = _missing(pair.reference)
    n_current, now = _missing(pair.current)
    change = now - before
    return Measured(change, p_value=two_proportions(before, now, n_reference, n_current), effect=np.abs(change))


def _missing(profiles: Sequence[ColumnProfile]) -> tuple[Floats, Floats]:
    n = np.array([c.n for c in profiles], float)
    missing = np.array([c.n_missing + c.n_nan for c in profiles], float)
    return n, missing / np.where(n > 0, n, np.nan)
