"""Sums over trailing windows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from monitoring_pipeline.alerting.budget import Floats


def rolling(x: Floats, h: int) -> Floats:
    """Sums of the last h entries (fewer at the start) along axis 1, from sums of 1, 2, 4, … entries: no difference of
    large totals loses digits, and later entries change nothing.

    >>> rolling(np.array([[1.0, 2, 3, 4]]), 3)
    array([[1., 3., 6., 9.]])
    """
    total, power, size, done = np.zeros_like(x), x, 1, 0
    while h:
        if h & 1:
            total = total + _later(power, done)
            done += size
        h >>= 1
        if h:
            power = power + _later(power, size)
            size *= 2
    return total


class Counted:
    """Sums of counts over trailing windows at a few places: of whole numbers differences of totals are exact."""

    def __init__(self, counts: Floats) -> None:
        self._totals = np.zeros((counts.shape[0], counts.shape[1] + 1, *counts.shape[2:]))
        np.cumsum(counts, axis=1, out=self._totals[:, 1:])

    def last(self, h: int, at: NDArray[np.intp]) -> Floats:
        """The last h entries (fewer at the start) along axis 1 up to each position of ``at``.

        >>> Counted(np.array([[1.0, 2, 3, 4]])).last(3, np.array([1, 3]))
        array([[3., 9.]])
        """
        return self._totals[:, at + 1] - self._totals[:, np.maximum(at + 1 - h, 0)]


def _later(x: Floats, by: int) -> Floats:
    """x moved ``by`` entries along axis 1, zeros in front."""
    moved = np.zeros_like(x)
    moved[:, by:] = x[:, : max(x.shape[1] - by, 0)]
    return moved
