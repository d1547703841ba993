"""Contrasts of a regression: bias and scale, from sums of the errors e = prediction - outcome.

Evidence (S, T, 4): rows, Σe, Σ|e|, Σe². ``least``: rows.

bias   change of the mean error over the reference's root mean squared error; variance var(e) / n in the same unit.
scale  log of the mean absolute error over the reference's; variance (Σe²/n / MAE² - 1) / n by the delta method.

Both variances are the larger of what the window's and what the reference's errors show: a window of few large errors
is not sure of itself. The mean absolute error is used, not the squared one, because a few rows decide the latter.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from monitoring_pipeline.alerting.budget import Floats
from monitoring_pipeline.alerting.performance.contrasts import Contrasts
from monitoring_pipeline.alerting.performance.settings import PerformanceSettings
from monitoring_pipeline.alerting.status import Flags

TINY = 1e-300


@dataclass(frozen=True)
class Errors:
    """``mean``, ``absolute`` and ``square`` (S,): mean error, mean absolute and mean squared error of the reference."""

    mean: Floats
    absolute: Floats
    square: Floats
    able: Flags
    reference_variance: Floats

    @property
    def names(self) -> tuple[str, ...]:
        """Of the contrasts."""
        return ("bias", "scale")

    @property
    def sides(self) -> tuple[int, ...]:
        """Smaller errors are not bad."""
        return (0, 1)

    def rows(self, evidence: Floats) -> Floats:
        """Rows with an error."""
        return evidence[..., 0]

    def contrasts(self, evidence: Floats, settings: PerformanceSettings) -> Contrasts:
        """As the module describes."""
        n = evidence[..., 0]
        rows = np.maximum(n, 1.0)
        mean, absolute, square = (evidence[..., i] / rows for i in (1, 2, 3))
        m0, a0, s0 = (k[:, None] for k in (self.mean, np.maximum(self.absolute, TINY), np.maximum(self.square, TINY)))
        with np.errstate(over="ignore", invalid="ignore"):
            bias = (mean - m0) / np.sqrt(s0)
            variance = np.maximum(square - mean * mean, s0 - m0 * m0) / s0 / rows
            scale = np.log(np.maximum(absolute, TINY) / a0)
            ratio = np.maximum(square / np.maximum(absolute, TINY) ** 2, s0 / a0**2) - 1
        found = np.stack((bias, scale), axis=-1), np.stack((variance, np.maximum(ratio, 0) / rows), axis=-1)
        least = np.array([settings.bias.least, settings.scale.least])
        usable = (n[..., None] >= least) & np.isfinite(found[0]) & np.isfinite(found[1])
        usable[..., 1] &= absolute > 0
        return Contrasts(np.where(usable, found[0], 0.0), np.where(usable, found[1], 1e9), usable)


def against_reference(evidence: Floats, settings: PerformanceSettings) -> Errors:
    """The family of one series (S = 1) from the reference's evidence (4,). A reference without errors is not able."""
    n = max(float(evidence[0]), 1.0)
    mean, absolute, square = (float(k) / n for k in evidence[1:])
    spread = max(square - mean * mean, 0.0)
    usual = np.isfinite([mean, absolute, square]).all() and absolute > 0 and square > 0
    able = np.array([[s.least_reference <= evidence[0] for s in (settings.bias, settings.scale)]]) & bool(usual)
    variance = np.full((1, 2), 1e9)
    if usual:
        variance = np.array([[spread / square / n, max(square / absolute**2 - 1, 0.0) / n]])
    return Errors(np.array([mean]), np.array([absolute]), np.array([square]), able, variance)
