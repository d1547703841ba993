"""The difference of two areas under the ROC curve on the same rows, where rows of one day are alike.

References: DeLong, DeLong and Clarke-Pearson, Comparing the areas under two or more correlated ROC curves, Biometrics
44 (1988); Obuchowski, Nonparametric analysis of clustered ROC curve data, Biometrics 53 (1997); Sun and Xu, Fast
implementation of DeLong's algorithm, IEEE Signal Processing Letters 21 (2014), for placements from ranks.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata

from monitoring_pipeline.retraining.comparison.difference import Difference, root, with_interval
from monitoring_pipeline.retraining.comparison.rows import Bools, Floats, Ints

METHOD = "DeLong by days, t"


def placements(positive: Bools, score: Floats) -> tuple[Floats, Floats]:
    """Of each positive row the share of negative rows it beats, of each negative the share of positives that beat it.

    Ties count one half. The mean of either is the area.
    """
    ahead, behind = score[positive], score[~positive]
    rank = rankdata(score)
    return (
        (rank[positive] - rankdata(ahead)) / len(behind),
        1 - (rank[~positive] - rankdata(behind)) / len(ahead),
    )


def delong(positive: Bools, champion: Floats, challenger: Floats) -> tuple[float, float]:
    """(difference of the areas, its variance) where all rows are independent; NaN without both classes.

    Variance of the difference of placements over the positives / P, plus that over the negatives / N.
    """
    if positive.all() or not positive.any():
        return float("nan"), float("nan")
    (a1, a0), (b1, b0) = placements(positive, champion), placements(positive, challenger)
    d1, d0 = b1 - a1, b0 - a0
    return float(d1.mean()), float(_variance(d1) / len(d1) + _variance(d0) / len(d0))


def by_days(positive: Bools, champion: Floats, challenger: Floats, day: Ints, level: float) -> Difference:
    """The difference with its interval, days taken as the independent units.

    With d the differences of placements, P and N the numbers of both classes, and G days: a day's part is e_g = sum
    over its positives of (d - mean) / P + sum over its negatives of (d - mean) / N, and the variance is
    G / (G - 1) sum e_g². NaN without both classes.
    """
    n, n_days = len(positive), len(np.unique(day))
    if positive.all() or not positive.any():
        nan = float("nan")
        return with_interval(nan, nan, nan, nan, level, n, n_days, METHOD)
    (a1, a0), (b1, b0) = placements(positive, champion), placements(positive, challenger)
    d1, d0 = b1 - a1, b0 - a0
    n_bins = int(day.max()) + 1
    part = np.bincount(day[positive], (d1 - d1.mean()) / len(d1), n_bins)
    part += np.bincount(day[~positive], (d0 - d0.mean()) / len(d0), n_bins)
    variance = float(part @ part) * n_days / max(n_days - 1, 1)
    area_a, area_b = float(a1.mean()), float(b1.mean())
    return with_interval(area_a, area_b, area_b - area_a, root(variance), level, n, n_days, METHOD)


def _variance(values: Floats) -> float:
    return float(values.var(ddof=1)) if len(values) > 1 else float("nan")
