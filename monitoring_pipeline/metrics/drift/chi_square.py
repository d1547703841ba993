"""Pearson's chi-square test of the current counts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc

from monitoring_pipeline.metrics.drift.comparison import Comparison, Measured

Floats = NDArray[np.float64]


def chi_square(reference: Floats, current: Floats) -> Floats:
    """sum_i (c_i - E_i)² / E_i over the last axis with E_i = r_i n_current / n_reference (counts, not shares).

    Infinite where the current window has rows in a bin the reference has none in.

    >>> float(chi_square(np.array([50.0, 50.0]), np.array([12.0, 8.0])))
    0.8

    Reference: Pearson (1900); Evidently 0.7.23 ``chisquare_stattest.py``.
    """
    ratio = current.sum(axis=-1, keepdims=True) / reference.sum(axis=-1, keepdims=True)
    expected = reference * ratio
    terms = (current - expected) ** 2 / np.where(expected > 0, expected, 1.0)
    return np.sum(np.where(expected > 0, terms, np.where(current > 0, np.inf, 0.0)), axis=-1)


def homogeneity(p: Floats, q: Floats, harmonic: Floats, pooled: Floats) -> Floats:
    """nm/(n+m) sum_i (p_i - q_i)² / pooled_i: Pearson's statistic of the 2 x k table, finite for new categories too.

    >>> pooled = (100 * np.array([1.0, 0.0]) + 50 * np.array([0.9, 0.1])) / 150
    >>> float(homogeneity(np.array([1.0, 0.0]), np.array([0.9, 0.1]), np.array(100 * 50 / 150), pooled).round(6))
    10.344828

    Reference: Pearson, On the probability that two independent distributions of frequency are really samples from the
    same population, Biometrika 8 (1911).
    """
    return harmonic * np.sum((p - q) ** 2 / np.where(pooled > 0, pooled, 1.0), axis=-1)


def cramers_v(p: Floats, q: Floats) -> Floats:
    """sqrt(sum_i (p_i - q_i)² / (p_i + q_i) / 2): Cramér's V of the 2 x k table of shares, in [0, 1] whatever the
    sizes.

    Of shares rather than counts, because V of counts shrinks as one side outgrows the other, with the same drift.

    >>> float(cramers_v(np.array([1.0, 0.0]), np.array([0.0, 1.0])))
    1.0

    Reference: Cramér, Mathematical Methods of Statistics (1946), section 21.9.
    """
    total = p + q
    return np.sqrt(np.sum((p - q) ** 2 / np.where(total > 0, total, 1.0), axis=-1) / 2)


def measure(pair: Comparison) -> Measured:
    """Evidently's statistic with k-1 degrees of freedom and Cramér's V as its effect.

    Evidently's statistic is infinite, its p exactly 0, as soon as one row stands in a bin new to the reference; there
    the test of homogeneity takes its place, which weighs how many such rows there are.
    """
    value = chi_square(np.where(pair.n_reference > 0, pair.reference_counts.T, np.nan).T, pair.current_counts)
    total = np.maximum(pair.n_reference + pair.n_current, 1.0)[:, None]
    pooled = (pair.reference_counts + pair.current_counts) / total
    value = np.where(np.isinf(value), homogeneity(pair.p, pair.q, pair.harmonic, pooled), value)
    value = np.where(pair.n_current > 0, value, np.nan)
    return Measured(value, p_value=chdtrc(pair.freedom, value), effect=cramers_v(pair.p, pair.q))
