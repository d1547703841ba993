"""How much of the monitor's budget of false incidents a window may spend, and who of many may claim it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LARGEST_LEVEL = 0.05
DAYS_A_MONTH = 30.0


def windows_a_month(window_seconds: float) -> float:
    """Windows of this length in 30 days."""
    return DAYS_A_MONTH * 86_400 / window_seconds


def level(budget: float, share: float, windows: float) -> float:
    """Chance of a false incident that one window may spend."""
    return min(budget * share / windows, LARGEST_LEVEL)


def benjamini_hochberg(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """q-values along the last axis (Benjamini and Hochberg 1995); NaN is not judged and stays NaN."""
    m = (~np.isnan(p)).sum(axis=-1, keepdims=True)
    order = np.argsort(p, axis=-1)
    rank = np.arange(1, p.shape[-1] + 1)
    ranked = np.nan_to_num(np.take_along_axis(p, order, -1) * m / rank, nan=np.inf)
    ranked = np.minimum.accumulate(ranked[..., ::-1], axis=-1)[..., ::-1]
    q = np.empty_like(p)
    np.put_along_axis(q, order, np.minimum(ranked, 1), -1)
    return np.where(np.isnan(p), np.nan, q)
