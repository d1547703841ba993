"""The baseline line: P(outcome is positive | score) = logistic(a + b x), x the logit of the score.

Windows are held against the line that the reference shows, not against "calibrated": held against "calibrated", a
model whose odds were off by 1.5 from the start alarms in nearly every window, held against its line in none. That it
is off is said once per model version instead (``calibration_notice``).
"""

from __future__ import annotations

from math import exp, sqrt
from typing import NamedTuple

import numpy as np
from scipy.special import expit

from monitoring_pipeline.alerting.budget import Floats
from monitoring_pipeline.alerting.performance.settings import PerformanceSettings

STEPS = 50
PRECISION = 1e-10
RIDGE = np.array([0.01, 1.0])  # weight of the prior (a, b) = (0, 1): a hundredth of an event, and one


class Line(NamedTuple):
    """logistic(intercept + slope x)."""

    intercept: float
    slope: float


def fit_line(x: Floats, labelled: Floats, positive: Floats) -> Line:
    """Logistic regression on (B,) bins by Newton's method with halved steps.

    A ridge of one event towards (0, 1) keeps it finite where the classes are separated or one is missing; with
    hundreds of events it does not show. No rows give (0, 1). Reference: Platt, Probabilistic outputs for support
    vector machines (1999), with another prior.
    """
    at = np.array([0.0, 1.0])
    value = _loss(at, x, labelled, positive)
    for _ in range(STEPS):
        gradient, hessian = _derivatives(at, x, labelled, positive)
        step = np.linalg.solve(hessian, gradient)
        size = 1.0
        while size > 1e-6 and (new := _loss(at - size * step, x, labelled, positive)) > value:
            size /= 2
        if size <= 1e-6 or float(np.abs(size * step).max()) < PRECISION:
            break
        at, value = at - size * step, new
    return Line(float(at[0]), float(at[1]))


def _loss(at: Floats, x: Floats, labelled: Floats, positive: Floats) -> float:
    odds = at[0] + at[1] * x
    prior = RIDGE[0] * at[0] ** 2 + RIDGE[1] * (at[1] - 1) ** 2
    return float(labelled @ np.logaddexp(0, odds) - positive @ odds) + float(prior) / 2


def _derivatives(at: Floats, x: Floats, labelled: Floats, positive: Floats) -> tuple[Floats, Floats]:
    p = expit(at[0] + at[1] * x)
    w, error = labelled * p * (1 - p), labelled * p - positive
    gradient = np.array([error.sum(), error @ x]) + RIDGE * (at - [0.0, 1.0])
    cross = w @ x
    return gradient, np.array([[w.sum(), cross], [cross, w @ (x * x)]]) + np.diag(RIDGE)


def calibration_notice(line: Line, x: Floats, labelled: Floats, settings: PerformanceSettings) -> str | None:
    """One sentence if the reference (x and labelled rows by bin) is not calibrated beyond the floors, else None.

    Off are: the log odds at the information-weighted mean of x, a + (b - 1) x̄, by ``level.floor``; or b from 1 by
    ``slope.floor``; either by ``notice_z`` standard errors more than chance.
    """
    p = expit(line.intercept + line.slope * x)
    w = labelled * p * (1 - p)
    info = float(w.sum())
    if info <= 0:
        return None
    mean = float(w @ x) / info
    odds = line.intercept + (line.slope - 1) * mean
    spread = float(w @ (x - mean) ** 2)
    off = abs(odds) >= max(settings.level.floor, settings.notice_z / sqrt(info))
    steep = spread > 0 and abs(line.slope - 1) >= max(settings.slope.floor, settings.notice_z / sqrt(spread))
    if not off and not steep:
        return None
    return (
        f"The scores are not calibrated on the reference: the odds of the outcome are {exp(odds):.2f} times what the "
        f"scores say, and their log odds change {line.slope:.2f} times as fast. Windows are compared with the "
        "reference as it is; recalibrate the model if its scores are used as probabilities."
    )
