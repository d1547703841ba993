"""Freshness: whether the rows of a window stay away longer than they usually do.

A window's delay is the time from its end until rows of it were first taken in. It is compared, as a logarithm, with the
median delay of earlier windows; dispersion is learnt from the last ones. A window that is late must also be one in
which rows were to be expected: with ``expected`` rows over the window, arriving as gamma-mixed Poisson counts of shape
k, none comes in ``gap`` seconds with probability p = (1 + λ gap / k)^-k, λ = expected / length. The larger of the two
p-values counts. ``expected`` and k are those of ``volume``: ``VolumeTests.expected`` and ``arrival_shape(expected,
variance)``.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.special import stdtr

from monitoring_pipeline.alerting.budget import Floats, benjamini_hochberg
from monitoring_pipeline.alerting.dispersion import DispersionSettings, dispersion
from monitoring_pipeline.alerting.status import Flags, Texts, statuses
from monitoring_pipeline.monitors.alarms import FreshnessAlarms


@dataclass(frozen=True)
class FreshnessSettings:
    """``floor``: share of a window's length that a delay must exceed the usual one by; differences that are small
    against it are no differences. ``least_history`` delays are needed, the last ``memory`` of them count.
    ``accept_above``: a delay with a smaller p-value never becomes usual."""

    floor: float = 0.25
    least_history: int = 14
    memory: int = 60
    accept_above: float = 0.05 / 30
    dispersion: DispersionSettings = field(default_factory=lambda: DispersionSettings(prior_sd=0.5))

    @classmethod
    def declared(cls, alarms: FreshnessAlarms) -> FreshnessSettings:
        """As ``alarms.freshness`` says."""
        return cls(**alarms.model_dump())


@dataclass(frozen=True)
class FreshnessVerdicts:
    """(S,) ``status``, ``p`` and ``q`` of each series; NaN and ``abstained`` where nothing is expected yet."""

    status: Texts
    p: Floats
    q: Floats


def gap_p(gap: Floats, length: float, expected: Floats, shape: Floats) -> Floats:
    """P(no row in ``gap`` seconds of ``length``), NaN where ``expected`` is. A longer gap counts as ``length``.

    >>> gap_p(np.array([0.0, 360.0]), 3600.0, np.array([100.0, 100.0]), np.array([5.0, 5.0])).round(5).tolist()
    [1.0, 0.00412]
    """
    share = np.clip(np.asarray(gap, float) / length, 0.0, 1.0)
    return np.exp(-shape * np.log1p(np.asarray(expected, float) * share / shape))


def judge(gap: Floats, length: float, expected: Floats, shape: Floats, level: float) -> FreshnessVerdicts:
    """Verdicts of S series of a monitor whose window is still open, one family. ``gap``: seconds since the last row, at
    most since the window began; ``length`` of a window in seconds; ``level`` of kind ``freshness``, since a gap is
    looked for once a window."""
    p = gap_p(gap, length, expected, shape)
    q = benjamini_hochberg(p)
    return FreshnessVerdicts(statuses(q, level), p, q)


@dataclass(frozen=True)
class DelayTests:
    """(T,) of the windows of one monitor: ``p``, NaN where not judged, and the ``usual`` delay in seconds."""

    p: Floats
    usual: Floats


def judge_delays(delay: Floats, length: float, none: Floats, settings: FreshnessSettings) -> DelayTests:
    """Tests of (T,) delays in seconds of windows in order, NaN where a window has none: it was taken in long after, or
    is known to be empty. Each is compared with those before it only. ``none`` (T,): P(no row in the window) by
    ``gap_p``, NaN where nothing is known of what to expect."""
    logs = np.log(np.maximum(np.asarray(delay, float), 0.0) + settings.floor * length)
    p, usual, residual = (np.full(len(logs), np.nan) for _ in range(3))
    good = np.zeros(len(logs), bool)
    for t in np.flatnonzero(~np.isnan(logs)).tolist():
        past = np.flatnonzero(good[:t])[-settings.memory :]
        if len(past) >= settings.least_history:
            middle = float(np.median(logs[past]))
            residual[t] = (logs[t] - middle) / np.sqrt(1 + 1.57 / len(past))  # the median varies too
            usual[t] = max(float(np.exp(middle)) - settings.floor * length, 0.0)
            p[t] = 1.0
            if delay[t] > usual[t] + settings.floor * length:
                variance, tail = _dispersion(residual[past], settings)
                p[t] = np.maximum(float(stdtr(tail, -residual[t] / np.sqrt(variance))), none[t])
        good[t] = len(past) < settings.least_history or p[t] > settings.accept_above
    return DelayTests(p, usual)


def _dispersion(residuals: Floats, settings: FreshnessSettings) -> tuple[float, float]:
    known: Flags = np.isfinite(residuals)
    variance, tail = dispersion(np.nan_to_num(residuals)[None], known[None], settings.dispersion)
    return max(float(variance[0]), 1e-4), float(tail[0])
