"""The false-alarm budget: how many false incidents a month are allowed, shared out over what is judged.

A monitor declares one number, N false incidents a month. Each kind of verdict gets a fixed share of it, and within a
kind all hypotheses of a window (columns x segments) are one family for Benjamini and Hochberg: when nothing has
changed, P(any alarm in a window) <= level, so that W windows a month raise at most W * level = N * share alarms.
Fixed shares do as well as one weighted family and are easier to explain: what one kind spends, no other lacks.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from monitoring_pipeline.monitors.alarms import Alarms

Floats = NDArray[np.float64]
Kind = Literal["drift", "performance", "volume", "coverage", "freshness"]
SECONDS_A_MONTH = 30 * 86_400.0
LARGEST_LEVEL = 0.05  # of a window, however large the budget: beyond it an alarm says nothing


def level(alarms: Alarms, kind: Kind, window_seconds: float) -> float:
    """Largest q-value that alarms in the family ``kind`` of one window of this length; 0: nothing does."""
    return levels(alarms.budget, getattr(alarms.shares, kind), windows_a_month(window_seconds))


def windows_a_month(window_seconds: float) -> float:
    """How many windows of this length 30 days hold, at least 1: a longer window is judged no more often than monthly.

    >>> windows_a_month(86_400), windows_a_month(3_600)
    (30.0, 720.0)
    """
    if not window_seconds > 0:
        raise ValueError(f"a window of {window_seconds} seconds")
    return max(SECONDS_A_MONTH / window_seconds, 1.0)


def levels(budget: float, share: float, windows_a_month: float) -> float:
    """Largest q-value that alarms: budget * share / windows a month, at most ``LARGEST_LEVEL``.

    0 when the budget or the share is 0; then nothing may alarm, not even p = 0 (see ``alarms``).

    >>> levels(1, 0.25, 30), levels(1000, 0.5, 30), levels(0, 0.5, 30)
    (0.008333333333333333, 0.05, 0.0)
    """
    if budget < 0 or share < 0 or windows_a_month <= 0:
        raise ValueError(f"a level of budget {budget}, share {share} and {windows_a_month} windows a month")
    return min(budget * share / windows_a_month, LARGEST_LEVEL)


def benjamini_hochberg(p: Floats) -> Floats:
    """q-values of (..., M) p-values, each last axis a family of its own; NaN where p is NaN, which is not counted.

    q <= level rejects what the step-up procedure of Benjamini and Hochberg (J. R. Stat. Soc. B 57, 1995) rejects at
    that level: q_(i) = min over j >= i of m p_(j) / j, with m the number of p-values that are there.

    >>> benjamini_hochberg(np.array([0.01, np.nan, 0.04, 0.03]))
    array([0.03,  nan, 0.04, 0.04])
    """
    p = np.asarray(p, float)
    if np.any((p < 0) | (p > 1)):
        raise ValueError("p-values must lie in [0, 1]")
    order = np.argsort(p, axis=-1, kind="stable")  # NaN last
    ranked = np.take_along_axis(p, order, axis=-1)
    family = np.sum(~np.isnan(p), axis=-1, keepdims=True)
    scaled = ranked * family / np.arange(1, p.shape[-1] + 1)
    smallest = np.minimum.accumulate(np.nan_to_num(scaled, nan=np.inf)[..., ::-1], axis=-1)[..., ::-1]
    q = np.empty_like(p)
    np.put_along_axis(q, order, np.where(np.isnan(ranked), np.nan, smallest), axis=-1)
    return np.minimum(q, 1.0)


def alarms(q: Floats, level: float) -> NDArray[np.bool_]:
    """Which q-values alarm at this level: none where q is NaN, none at all at level 0."""
    return (np.asarray(q) <= level) & (level > 0)
