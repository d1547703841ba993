"""Categories that appear and categories that disappear."""

from __future__ import annotations

import numpy as np

from monitoring_pipeline.metrics.drift.comparison import Comparison, Measured
from monitoring_pipeline.metrics.drift.missing_share import two_proportions


def measure_unseen(pair: Comparison) -> Measured:
    """Share of the current values outside the layout's categories, in [0, 1]; the effect is its growth over the
    reference's.

    The reference itself has such values when it had more categories than the layout keeps. p by the two-proportion z.
    """
    last = np.array([c.counts.size - 1 for c in pair.reference])
    rows = np.arange(last.size)
    before, now = pair.p[rows, last], pair.q[rows, last]
    p_value = two_proportions(before, now, pair.n_reference, pair.n_current)
    return Measured(now, p_value=p_value, effect=np.maximum(now - before, 0.0))


def measure_vanished(pair: Comparison, alpha: float = 0.001) -> Measured:
    """Reference share of the categories without a row in a window big enough to expect one, in [0, 1].

    A category of reference share s is missed by n rows with probability (1 - s)^n; it counts as vanished when that is
    below ``alpha``. p is the least such probability times the number of categories (Bonferroni).
    """
    last = np.array([c.counts.size - 1 for c in pair.reference])
    named = np.arange(pair.width) < last[:, None]
    with np.errstate(divide="ignore"):
        missed = np.exp(pair.n_current[:, None] * np.log1p(-np.minimum(pair.p, 1.0)))
    gone = named & (pair.reference_counts > 0) & (pair.current_counts == 0) & (missed < alpha)
    value = np.where(pair.n_current > 0, np.sum(np.where(gone, pair.p, 0.0), axis=1), np.nan)
    value = np.where(pair.n_reference > 0, value, np.nan)
    tried = np.sum(pair.reference_counts > 0, axis=1)
    return Measured(value, p_value=np.minimum(np.min(np.where(gone, missed, 1.0), axis=1) * tried, 1.0))
