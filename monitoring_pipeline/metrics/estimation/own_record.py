"""How far estimates were from what was realized later, beyond chance: it widens the estimates that follow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

from monitoring_pipeline.metrics.performance.intervals import Estimate, Z

WINDOWS = 12
LEAST_WINDOWS = 4
LEAST_COVERAGE = 0.5


@dataclass(frozen=True)
class Past:
    """An earlier window: what was estimated, what is realized, the labelled share in [0, 1]."""

    estimated: Mapping[str, Estimate]
    realized: Mapping[str, Estimate]
    coverage: float


def widened(estimates: Mapping[str, Estimate], past: Sequence[Past]) -> dict[str, Estimate]:
    """The estimates with intervals for chance and for the excess error of ``past`` windows, at most the last 12.

    excess² = mean of (estimate - realized)² less the variance that chance explains: that of the estimate, and
    (1 - coverage) times that of the realized value, whose rows are only part of the window's; at least 0. It is added
    to the variance of the estimate. Fewer than 4 windows with labels of half of their rows add nothing.
    """
    known = [one for one in past if one.coverage >= LEAST_COVERAGE][-WINDOWS:]
    return {name: _wider(e, excess(name, known)) for name, e in estimates.items()}


def excess(metric: str, past: Sequence[Past]) -> float:
    """Root of the mean squared error beyond chance, in units of the metric; 0 with fewer than 4 windows."""
    beyond = []
    for one in past:
        e, r = one.estimated.get(metric), one.realized.get(metric)
        if e is None or r is None or e.value is None or r.value is None:
            continue
        beyond.append((e.value - r.value) ** 2 - _variance(e) - (1 - one.coverage) * _variance(r))
    return sqrt(max(sum(beyond) / len(beyond), 0.0)) if len(beyond) >= LEAST_WINDOWS else 0.0


def _variance(e: Estimate) -> float:
    return 0.0 if e.low is None or e.high is None else ((e.high - e.low) / (2 * Z)) ** 2


def _wider(e: Estimate, by: float) -> Estimate:
    if e.value is None or e.low is None or e.high is None or not by:
        return e
    below, above = (sqrt(side**2 + (Z * by) ** 2) for side in (e.value - e.low, e.high - e.value))
    return Estimate(e.value, e.value - below, e.value + above, e.n)
