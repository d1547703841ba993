"""How much residuals of S series usually vary, robustly: what volume and coverage are judged by.

Vectorised over series; a mask (S, L) says which of the L residuals count.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitoring_pipeline.alerting.budget import Floats

NORMAL_MAD = 0.6745  # median absolute deviation of a standard normal
WINSORISED = 1.03  # what cutting a normal at 3 robust standard deviations takes from its variance, given back


@dataclass(frozen=True)
class DispersionSettings:
    """``prior_sd`` with ``prior_df`` is assumed first and fades out; at most ``memory`` residuals count against it.
    ``least`` residuals replace it at all, ``least_for_tail`` tell the tail, which else has ``usual_tail`` degrees of
    freedom and always between ``least_tail`` and ``most_tail``."""

    prior_sd: float = 0.25
    prior_df: float = 4.0
    memory: int = 60
    least: int = 5
    least_for_tail: int = 40
    usual_tail: float = 8.0
    least_tail: float = 6.0
    most_tail: float = 30.0


def masked_median(values: Floats, mask: NDArray[np.bool_]) -> Floats:
    """Medians along the last axis of what the mask holds, NaN where it holds nothing.

    >>> masked_median(np.array([[1.0, 5.0, 9.0], [2.0, 4.0, 8.0]]), np.array([[1, 1, 1], [1, 1, 0]], bool))
    array([5., 3.])
    """
    if not values.shape[-1]:
        return np.full(values.shape[:-1], np.nan)
    ordered = np.sort(np.where(mask, values, np.inf), axis=-1)
    n = mask.sum(-1, keepdims=True)
    middle = [np.take_along_axis(ordered, np.maximum(at, 0), -1)[..., 0] for at in ((n - 1) // 2, n // 2)]
    return np.where(n[..., 0] > 0, (middle[0] + middle[1]) / 2, np.nan)


def median_factor(n: NDArray[np.integer]) -> Floats:
    """Variance of (a value - the median of n others) over that of a value: 2, 1.5, 1.45, then 1 + 1.57 / n."""
    few = np.array([np.inf, 2.0, 1.5, 1.45])
    return np.where(n <= 3, few[np.minimum(n, 3)], 1 + 1.57 / np.maximum(n, 1))


def dispersion(residuals: Floats, mask: NDArray[np.bool_], settings: DispersionSettings) -> tuple[Floats, Floats]:
    """(S,) variance and degrees of freedom of its t tail, from residuals (S, L).

    The variance is that of residuals cut at three robust standard deviations, shrunk to the prior (to twice what is
    seen, where the prior is larger); the tail follows from the kurtosis, 4 + 6 / excess.
    """
    size = np.where(mask, np.abs(residuals), 0.0)
    n = mask.sum(-1)
    count = np.maximum(n, 1)
    cut = 3 * np.maximum(np.nan_to_num(masked_median(size, mask)) / NORMAL_MAD, 1e-3)
    seen = WINSORISED * (np.minimum(size, cut[:, None]) ** 2).sum(-1) / count
    weight = np.minimum(n, settings.memory)
    prior = np.minimum(settings.prior_sd**2, 2 * seen)
    variance = (settings.prior_df * prior + weight * seen) / (settings.prior_df + weight)
    degrees = np.minimum(_tail(size, count, cut, settings), settings.prior_df + weight)
    enough = n >= settings.least
    return np.where(enough, variance, settings.prior_sd**2), np.where(enough, degrees, settings.prior_df)


def _tail(size: Floats, count: NDArray[np.integer], cut: Floats, settings: DispersionSettings) -> Floats:
    clipped = np.minimum(size, 1.7 * cut[:, None])
    second = np.maximum((clipped**2).sum(-1) / count, 1e-100)
    excess = np.maximum((clipped**4).sum(-1) / count / second**2 - 3, 0.0)
    degrees = np.clip(4 + 6 / (excess + 2.4 / np.sqrt(count)), settings.least_tail, settings.most_tail)
    return np.where(count >= settings.least_for_tail, degrees, settings.usual_tail)
