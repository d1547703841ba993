"""First Wasserstein distance over the layout's bins, in standard deviations of the reference."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from monitoring_pipeline.metrics.drift.comparison import Comparison, Measured
from monitoring_pipeline.profiles.layout import ColumnLayout

Floats = NDArray[np.float64]
LEAST_DEVIATION = 0.001  # Evidently's floor of the norm


def wasserstein(p: Floats, q: Floats, widths: Floats) -> tuple[Floats, Floats, Floats]:
    """(value, low, high) of W = integral |F - G| over bins of the given widths, in the column's unit.

    ``value`` takes rows as spread evenly within their bin. Within a bin F and G only grow, from their known value at
    its left end to that at its right, hence |F - G| lies between max(0, F_left - G_right, G_left - F_right) and
    max(F_right - G_left, G_right - F_left); times the width and summed these are ``low`` and ``high``.

    >>> value, low, high = wasserstein(np.array([1.0, 0.0]), np.array([0.0, 1.0]), np.array([1.0, 1.0]))
    >>> float(value), float(low), float(high)
    (1.0, 0.0, 2.0)

    Reference: Vallender, Calculation of the Wasserstein distance between probability distributions on the line (1974).
    """
    f, g = np.cumsum(p, axis=-1), np.cumsum(q, axis=-1)
    right = g - f
    left = right - (q - p)
    size = np.abs(left) + np.abs(right)
    crossing = (left * right < 0) & (size > 0)
    # the area between a line and zero: a trapezium, or two triangles where it crosses
    area = np.where(crossing, (left * left + right * right) / np.where(size > 0, 2 * size, 1.0), size / 2)
    low = np.maximum(np.maximum(-(left + q), right - q), 0.0)
    high = np.maximum(right + p, -(right - q))
    return np.sum(area * widths, axis=-1), np.sum(low * widths, axis=-1), np.sum(high * widths, axis=-1)


def measure(pair: Comparison) -> Measured:
    """W / max(std(reference), 0.001), Evidently's norm, with a guaranteed bound; no p-value (W has no null
    distribution of its own).

    The outer bins end at the least and greatest value of both sides. |mean - mean| <= W sharpens the lower bound.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        value, low, high = wasserstein(pair.p, pair.q, _widths(pair))
        means = np.array([abs(c.mean - r.mean) for r, c in zip(pair.reference, pair.current, strict=True)])
        low = np.minimum(np.maximum(low, means), high)
        value = np.clip(value, low, high)
        m2 = np.array([r.m2 for r in pair.reference])
        norm = np.maximum(np.sqrt(np.maximum(m2, 0.0) / np.maximum(pair.n_reference, 1.0)), LEAST_DEVIATION)
        bound = np.maximum(value - low, high - value) / norm
        return Measured(value / norm, bound=bound)


def _widths(pair: Comparison) -> Floats:
    lower, upper = _bins(tuple(r.layout for r in pair.reference), pair.width)
    least = np.array([min(r.minimum, c.minimum) for r, c in zip(pair.reference, pair.current, strict=True)])
    greatest = np.array([max(r.maximum, c.maximum) for r, c in zip(pair.reference, pair.current, strict=True)])
    return np.maximum(np.minimum(upper, greatest[:, None]) - np.maximum(lower, least[:, None]), 0.0)


@lru_cache(maxsize=64)
def _bins(layouts: tuple[ColumnLayout, ...], width: int) -> tuple[Floats, Floats]:
    """(C, B) lower and upper ends; bins that only pad have no width."""
    lower, upper = np.full((len(layouts), width), np.inf), np.full((len(layouts), width), np.inf)
    for i, layout in enumerate(layouts):
        lower[i, 0] = -np.inf
        lower[i, 1 : len(layout.edges) + 1] = layout.edges
        upper[i, : len(layout.edges)] = layout.edges
    return lower, upper
