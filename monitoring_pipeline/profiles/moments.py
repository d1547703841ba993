"""Moments of many groups at once: how count, mean and sum of squared distances add up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Moments:
    """Arrays of one shape: number of values, mean, and m2, the sum of squared distances from the mean."""

    n: NDArray[np.int64]
    mean: NDArray[np.float64]
    m2: NDArray[np.float64]

    def plus(self, other: Moments) -> Moments:
        """Elementwise, by Chan, Golub and LeVeque (1979)."""
        total = self.n + other.n
        share = other.n / np.maximum(total, 1)
        delta = other.mean - self.mean
        return Moments(total, self.mean + delta * share, self.m2 + other.m2 + delta * delta * self.n * share)

    def merged(self, starts: NDArray[np.intp]) -> Moments:
        """Along the first axis, each run of rows from one start to the next as one.

        The mean is summed as distances from the run's first mean, so that a large common offset costs no digits.
        """
        lengths = np.diff(np.append(starts, len(self.n)))
        total = np.add.reduceat(self.n, starts, axis=0)
        origin = self.mean[starts]
        moved = self.n * (self.mean - np.repeat(origin, lengths, axis=0))
        mean = origin + np.add.reduceat(moved, starts, axis=0) / np.maximum(total, 1)
        apart = self.mean - np.repeat(mean, lengths, axis=0)
        m2 = np.add.reduceat(self.m2 + self.n * apart * apart, starts, axis=0)
        return Moments(total, np.where(total > 0, mean, 0.0), m2)
