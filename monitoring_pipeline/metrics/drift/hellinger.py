"""Hellinger distance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc

from monitoring_pipeline.metrics.drift.comparison import Comparison, Measured

Floats = NDArray[np.float64]


def hellinger(p: Floats, q: Floats) -> Floats:
    """sqrt(1 - sum_i sqrt(p_i q_i)) over the last axis, in [0, 1].

    Computed as sqrt(sum_i (sqrt p_i - sqrt q_i)²/2), the same number for shares that sum to 1, exact near 0.

    >>> float(hellinger(np.array([0.5, 0.5]), np.array([0.9, 0.1])).round(6))
    0.32492

    Reference: Hellinger (1909); Le Cam, Asymptotic Methods in Statistical Decision Theory (1986).
    """
    return np.sqrt(np.sum((np.sqrt(p) - np.sqrt(q)) ** 2, axis=-1) / 2)


def measure(pair: Comparison) -> Measured:
    """p from 8 H² nm/(n+m) ~ chi²(k-1), the Freeman-Tukey statistic of two samples; empty bins taken as half a row.

    Reference: Pardo, Statistical Inference Based on Divergence Measures (2006), phi(x) = 4(1 - sqrt x).
    """
    statistic = 8 * pair.harmonic * hellinger(*pair.half_filled) ** 2
    return Measured(hellinger(pair.p, pair.q), p_value=chdtrc(pair.freedom, statistic))
