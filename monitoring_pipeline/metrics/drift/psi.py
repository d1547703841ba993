"""Population stability index."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc

from monitoring_pipeline.metrics.drift.comparison import Comparison, Measured

Floats = NDArray[np.float64]


def psi(p: Floats, q: Floats) -> Floats:
    """sum_i (p_i - q_i) ln(p_i / q_i) over the last axis, in nats; bins where both are 0 take no part.

    >>> float(psi(np.array([0.5, 0.5]), np.array([0.4, 0.6])).round(6))
    0.040547

    Reference: Siddiqi, Credit Risk Scorecards (2006); it is the symmetric divergence of Jeffreys (1946).
    """
    return np.sum((p - q) * _log_ratio(p, q), axis=-1)


def measure(pair: Comparison) -> Measured:
    """PSI of zero-filled shares, as Evidently defines it; p from PSI nm/(n+m) ~ chi²(k-1), empty bins taken as half a
    row.

    Reference: Yurdakul and Naranjo, Statistical properties of the population stability index, J. Risk Model
    Validation 14 (2020).
    """
    value = psi(*pair.filled)
    return Measured(value, p_value=chdtrc(pair.freedom, pair.harmonic * psi(*pair.half_filled)))


def _log_ratio(p: Floats, q: Floats) -> Floats:
    both = (p > 0) & (q > 0)
    return np.log(np.where(both, p, 1.0)) - np.log(np.where(both, q, 1.0))
