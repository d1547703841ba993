"""Kullback-Leibler divergence of the current window's shares from the reference's."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc, rel_entr

from monitoring_pipeline.metrics.drift.comparison import Comparison, Measured

Floats = NDArray[np.float64]


def kl_divergence(p: Floats, q: Floats) -> Floats:
    """sum_i p_i ln(p_i / q_i) over the last axis, in nats; p the reference, both renormalised to 1.

    >>> float(kl_divergence(np.array([0.5, 0.5]), np.array([0.25, 0.75])).round(6))
    0.143841

    Reference: Kullback and Leibler, On information and sufficiency, Ann. Math. Statist. 22 (1951).
    """
    return np.sum(rel_entr(p / p.sum(axis=-1, keepdims=True), q / q.sum(axis=-1, keepdims=True)), axis=-1)


def measure(pair: Comparison) -> Measured:
    """Zero-filled shares as Evidently takes them; p from 2 KL nm/(n+m) ~ chi²(k-1), empty bins taken as half a row.

    Reference: Pardo, Statistical Inference Based on Divergence Measures (2006), theorem on two samples, phi(x) = x ln
    x.
    """
    value = kl_divergence(*pair.filled)
    return Measured(
        value, p_value=chdtrc(pair.freedom, np.maximum(2 * pair.harmonic * kl_divergence(*pair.half_filled), 0.0))
    )
