"""Jensen-Shannon distance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc, rel_entr

from monitoring_pipeline.metrics.drift.comparison import Comparison, Measured

Floats = NDArray[np.float64]


def jensen_shannon(p: Floats, q: Floats) -> Floats:
    """sqrt(KL(p || m)/2 + KL(q || m)/2) with m = (p + q)/2 over the last axis; natural logarithm, in [0, sqrt(ln 2)].

    >>> float(jensen_shannon(np.array([1.0, 0.0]), np.array([0.0, 1.0])).round(6))
    0.832555

    Reference: Endres and Schindelin, A new metric for probability distributions, IEEE Trans. Inf. Theory 49 (2003).
    """
    middle = (p + q) / 2
    return np.sqrt(np.maximum(np.sum(rel_entr(p, middle) + rel_entr(q, middle), axis=-1) / 2, 0.0))


def measure(pair: Comparison) -> Measured:
    """p from 8 JS² nm/(n+m) ~ chi²(k-1), empty bins taken as half a row.

    Reference: Menéndez, Pardo, Pardo and Pardo, The Jensen-Shannon divergence, J. Franklin Institute 334B (1997).
    """
    statistic = 8 * pair.harmonic * jensen_shannon(*pair.half_filled) ** 2
    return Measured(jensen_shannon(pair.p, pair.q), p_value=chdtrc(pair.freedom, statistic))
