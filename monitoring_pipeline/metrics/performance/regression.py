"""Errors of a predicted number, from power sums and a histogram of the error. Errors are prediction - outcome."""

from __future__ import annotations

from math import ceil, floor, isfinite, sqrt

import numpy as np

from monitoring_pipeline.metrics.performance.intervals import Estimate, Z, around, mean, normal, undefined
from monitoring_pipeline.profiles.outcome import REGRESSION_SUMS, OutcomeProfile

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def regression_metrics(outcome: OutcomeProfile) -> dict[str, Estimate]:
    """``mae``, ``rmse``, ``bias``, ``mape`` (a share, over outcomes other than 0), ``r2``, ``error_p05`` …
    ``error_p95``.

    Units are the outcome's, except mape and r2.
    """
    s = dict(zip(REGRESSION_SUMS, outcome.sums.tolist(), strict=True))
    n = outcome.n_scored
    found = {
        "mae": mean(s["abs_e"], s["e2"], n, 0.0),
        "rmse": _rmse(s, n),
        "mape": mean(s["ape"], s["ape2"], outcome.n_nonzero, 0.0),
        "bias": mean(s["e"], s["e2"], n),
        "r2": _r2(s, n),
    }
    for q in QUANTILES:
        found[f"error_p{round(q * 100):02d}"] = _quantile(outcome, q, s)
    return found


def _rmse(s: dict[str, float], n: int) -> Estimate:
    """sqrt(mean e²); the normal interval of mean e² by its second moment, then the root of its ends."""
    square = mean(s["e2"], s["e4"], n, 0.0)
    if square.value is None:
        return square
    low, high = (None if x is None else sqrt(x) for x in (square.low, square.high))
    return Estimate(sqrt(square.value), low, high, n)


def _r2(s: dict[str, float], n: int) -> Estimate:
    """1 - A/B with A = mean e², B = var(outcome); undefined for a constant outcome.

    Delta method: its influence is -(e² - A)/B + (A/B²)((d - mean d)² - B), whose variance follows from the power sums.
    """
    if n < 2:
        return undefined(n)
    m1, m2, m3, m4 = (s[k] / n for k in ("d", "d2", "d3", "d4"))
    a, b = s["e2"] / n, m2 - m1 * m1
    if not isfinite(a) or not isfinite(b) or b <= 1e-12 * m2:
        return undefined(n)
    square = m1 * m1  # products, because ** raises where a product overflows to infinity
    fourth = m4 - 4 * m1 * m3 + 6 * square * m2 - 3 * square * square
    cross = (s["e2d2"] - 2 * m1 * s["e2d"] + square * s["e2"]) / n
    ratio = a / b
    variance = ((s["e4"] / n - a * a) - 2 * ratio * (cross - a * b) + ratio * ratio * (fourth - b * b)) / (b * b * n)
    if not isfinite(variance):
        return undefined(n)
    return normal(1 - ratio, variance, n, -1e308, 1.0, n - 2)


def _quantile(outcome: OutcomeProfile, q: float, s: dict[str, float]) -> Estimate:
    """Quantile of the error, evenly spread within its bin; in an outer bin, its edge. The interval covers the binning
    too.

    Its ends are the outer edges of the bins that hold the order statistics q n ± Z sqrt(n q (1 - q)); an outer bin
    ends where no error can lie beyond: |e| <= (sum e⁴)^(1/4). So few rows that all may lie on one side of the quantile,
    q^n or (1 - q)^n above 2.5 %, give no interval. Reference: David and Nagaraja, Order Statistics (2003),
    section 7.1.
    """
    counts, edges = outcome.error_counts, outcome.layout.error_edges
    n = int(counts.sum())
    if n == 0 or not edges:
        return undefined(n)
    most = max(s["e4"] ** 0.25, s["e2"] ** 0.5 if s["e4"] == 0 else 0.0) * (1 + 1e-12)
    lower = [min(-most, edges[0]), *edges]
    upper = [*edges, max(most, edges[-1])]
    cumulated = np.cumsum(counts)
    spread = Z * sqrt(n * q * (1 - q))

    def bin_of(rank: int) -> int:
        return int(np.searchsorted(cumulated, min(max(rank, 1), n)))

    rank = 1 + q * (n - 1)
    at = bin_of(round(rank))
    if at == 0:
        value = edges[0]
    elif at == len(edges):
        value = edges[-1]
    else:
        inside = (rank - 0.5 - (int(cumulated[at]) - int(counts[at]))) / int(counts[at])
        value = lower[at] + min(max(inside, 0.0), 1.0) * (upper[at] - lower[at])
    if max(q, 1 - q) ** n > 0.025:
        return Estimate(float(value), None, None, n)
    low, high = lower[bin_of(floor(n * q - spread))], upper[bin_of(ceil(n * q + spread) + 1)]
    return around(float(value), float(low), float(high), n)
