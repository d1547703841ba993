"""What share of outcomes the reference shows at a score: monotone in the score, from its binned outcomes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
KNOWN = 1e9  # degrees of freedom of a variance that all of the reference teaches: as good as known


@dataclass(frozen=True)
class Calibrator:
    """Of B score bins: ``share`` (B,) of outcomes, ``block`` (B,) the pooled block a bin belongs to, numbered from 0,
    ``n`` (blocks,) reference rows and ``smooth`` (blocks,) their share with half a row added to both sides."""

    share: Floats
    block: NDArray[np.int64]
    n: Floats
    smooth: Floats

    def noise(self, rows: Floats, slope: Floats) -> float:
        """Variance of a metric for the chance in the window's outcomes and in the reference's, by the delta method.

        ``rows`` (B, J) of the window; ``slope`` (B, J): d metric / d outcome of a row. Outcomes are independent given
        the score: sum rows slope² s (1 - s) of the bins; those of the reference move a block as a whole: sum over
        blocks of (sum rows slope)² s (1 - s) / n, s being ``smooth``.
        """
        spread = (self.smooth * (1 - self.smooth))[self.block]
        of_window = float(spread @ (rows * slope**2).sum(axis=1))
        moved = np.bincount(self.block, (rows * slope).sum(axis=1), len(self.n))
        return of_window + float(np.sum(moved**2 * self.smooth * (1 - self.smooth) / np.maximum(self.n, 1.0)))


def calibrated(labelled: Floats, positive: Floats) -> Calibrator:
    """Isotonic regression of outcomes on score bins by pooling adjacent violators; (B,) labelled rows and positives.

    A bin without labelled rows takes what lies between its neighbours. Raises ValueError without any labelled row.
    Reference: Ayer, Brunk, Ewing, Reid and Silverman, An empirical distribution function for sampling with incomplete
    information, Annals of Mathematical Statistics 26 (1955).
    """
    held = np.flatnonzero(labelled > 0)
    if not held.size:
        raise ValueError("no labelled row to calibrate on")
    pooled: list[tuple[float, float, int]] = []  # rows, positives, bins
    for n, k in zip(labelled[held].tolist(), positive[held].tolist(), strict=True):
        width = 1
        while pooled and pooled[-1][1] * n >= k * pooled[-1][0]:
            before_n, before_k, before_width = pooled.pop()
            n, k, width = n + before_n, k + before_k, width + before_width
        pooled.append((n, k, width))
    rows, hits, widths = (np.array(each) for each in zip(*pooled, strict=True))
    bins = np.arange(len(labelled))
    block = np.repeat(np.arange(len(rows)), widths.astype(int))
    share = np.interp(bins, held, (hits / rows)[block])
    nearest = np.clip(np.searchsorted(held, bins), 0, len(held) - 1)
    return Calibrator(share, block[nearest], rows, (hits + 0.5) / (rows + 1))
