"""Total variation distance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from monitoring_pipeline.metrics.drift.comparison import Comparison, Measured

Floats = NDArray[np.float64]


def total_variation(p: Floats, q: Floats) -> Floats:
    """sum_i |p_i - q_i| / 2 over the last axis: the share of rows that changed bin, in [0, 1].

    >>> float(total_variation(np.array([0.5, 0.5]), np.array([0.9, 0.1])).round(6))
    0.4

    Reference: Levin and Peres, Markov Chains and Mixing Times (2017), chapter 4.
    """
    return np.sum(np.abs(p - q), axis=-1) / 2


def measure(pair: Comparison) -> Measured:
    """p is an upper bound that holds at any size: with N = nm/(n+m), t = TV - sqrt((k-1)/N)/2, p <= exp(-2 N t²) for
    t > 0.

    Without drift E TV <= sqrt((k-1)/N)/2 (Jensen, then Cauchy-Schwarz over the bins), and one row moves TV by at most
    1/n or 1/m. Reference: McDiarmid, On the method of bounded differences, Surveys in Combinatorics (1989).
    """
    value = total_variation(pair.p, pair.q)
    size = np.where(pair.harmonic > 0, pair.harmonic, np.nan)
    excess = np.maximum(value - np.sqrt(pair.freedom / size) / 2, 0.0)
    return Measured(value, p_value=np.exp(-2 * size * excess * excess))
