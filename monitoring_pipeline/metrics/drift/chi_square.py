"""Pearson's chi-square test of the current counts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc

from monitoring_pipeline.metrics.drift.comparison import Comparison, Measured

Floats = NDArray[np.float64]
LEAST_EXPECTED = 5.0  # rows of a bin; with fewer, its term is no chi-square (Cochran, Biometrics 10, 1954)


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


def pooled(reference: Floats, current: Floats) -> tuple[Floats, Floats]:
    """Both counts (C, B) with bins of fewer than ``LEAST_EXPECTED`` rows taken together, and into the smallest of the
    others where they are still fewer. Expected is a bin's share of both sides, on the smaller side.

    >>> counts = pooled(np.array([[500.0, 500.0, 0.0]]), np.array([[50.0, 49.0, 1.0]]))
    >>> [side.tolist() for side in counts]
    [[[500.0, 500.0, 0.0]], [[50.0, 50.0, 0.0]]]
    """
    n, m = current.sum(axis=-1), reference.sum(axis=-1)
    total = np.maximum(n + m, 1.0)
    expected = (reference + current) * (np.minimum(n, m) / total)[:, None]
    small = (expected < LEAST_EXPECTED) & (reference + current > 0)
    large = expected >= LEAST_EXPECTED
    alone = (np.where(small, expected, 0.0).sum(axis=-1) >= LEAST_EXPECTED) | ~large.any(axis=-1)
    smallest = np.argmin(np.where(large, expected, np.inf), axis=-1)
    into = np.where(alone, np.argmax(small, axis=-1), smallest)[:, None]
    here = np.arange(expected.shape[-1]) == into
    together = [np.where(small, side, 0.0).sum(axis=-1)[:, None] for side in (reference, current)]
    a, b = (np.where(small, 0.0, side) + here * rest for side, rest in zip((reference, current), together, strict=True))
    return a, b


def statistic(reference: Floats, current: Floats) -> Floats:
    """Evidently's statistic of counts (C, B); NaN where a side has no row.

    It is infinite, its p exactly 0, as soon as one row stands in a bin new to the reference; there the test of
    homogeneity takes its place, which weighs how many such rows there are.
    """
    n, m = current.sum(axis=-1), reference.sum(axis=-1)
    there = (n > 0) & (m > 0)
    n, m = np.where(there, n, np.nan)[:, None], np.where(there, m, np.nan)[:, None]
    value = chi_square(np.where(there[:, None], reference, np.nan), current)
    other = homogeneity(reference / m, current / n, (n * m / (n + m))[:, 0], (reference + current) / (n + m))
    return np.where(there, np.where(np.isinf(value), other, value), np.nan)


def measure(pair: Comparison) -> Measured:
    """Evidently's statistic and Cramér's V as its effect; p by the bins that hold enough rows for the test, which is
    Evidently's where all do.
    """
    reference, current = pooled(pair.reference_counts, pair.current_counts)
    value = statistic(reference, current)
    freedom = np.count_nonzero(reference + current, axis=-1) - 1
    p_value = np.where(freedom > 0, chdtrc(np.maximum(freedom, 1), value), np.where(np.isnan(value), np.nan, 1.0))
    return Measured(
        statistic(pair.reference_counts, pair.current_counts), p_value=p_value, effect=cramers_v(pair.p, pair.q)
    )
