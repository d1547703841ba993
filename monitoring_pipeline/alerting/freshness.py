"""Freshness: whether rows have stopped inside the window that is still open.

With ``expected`` rows over the window, arriving as gamma-mixed Poisson counts of shape k, no row comes in the last
``gap`` with probability p = (1 + λ gap / k)^-k, λ = expected / length. Beyond the window the silence is an outage,
which volume keeps alarmed until rows return. ``expected`` and k are those of ``volume``: ``VolumeTests.expected`` and
``arrival_shape(expected, variance)``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from monitoring_pipeline.alerting.budget import Floats, benjamini_hochberg
from monitoring_pipeline.alerting.status import Texts, statuses


@dataclass(frozen=True)
class FreshnessVerdicts:
    """(S,) ``status``, ``p`` and ``q`` of each series; NaN and ``abstained`` where nothing is expected yet."""

    status: Texts
    p: Floats
    q: Floats


def gap_p(gap: Floats, length: float, expected: Floats, shape: Floats) -> Floats:
    """P(no row in the last ``gap`` seconds of ``length``), NaN where ``expected`` is. A longer gap counts as
    ``length``: more than the window is not this module's to judge.

    >>> gap_p(np.array([0.0, 360.0]), 3600.0, np.array([100.0, 100.0]), np.array([5.0, 5.0])).round(5).tolist()
    [1.0, 0.00412]
    """
    share = np.clip(np.asarray(gap, float) / length, 0.0, 1.0)
    return np.exp(-shape * np.log1p(np.asarray(expected, float) * share / shape))


def judge(gap: Floats, length: float, expected: Floats, shape: Floats, level: float) -> FreshnessVerdicts:
    """Verdicts of the S series of a monitor, one family. ``gap``: seconds since the last row, at most since the
    window began; ``length`` of a window in seconds; ``level``: ``budget.level("freshness", length)``, since a gap is
    looked for once a window."""
    p = gap_p(gap, length, expected, shape)
    q = benjamini_hochberg(p)
    return FreshnessVerdicts(statuses(q, level), p, q)
