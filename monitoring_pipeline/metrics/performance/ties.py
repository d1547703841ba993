"""Whether the rows of a score bin all have the same score, by what the sums of the rows give away."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from monitoring_pipeline.profiles.outcome import OutcomeProfile

Floats = NDArray[np.float64]
CLIP = 1e-15  # of the probability in a log loss, as the engines clip it
DIGITS = 1e-11  # a row's share of a sum that must agree; single-precision scores that differ do so by 1e-8


def one_score_a_bin(outcome: OutcomeProfile) -> bool:
    """True where every score of a labelled row is known to be the mean of its bin: a model that answers one value, or
    a few (a tree, a rounded score).

    Then, and but for coincidence only then, all stored sums (squared error, log loss and their squares) are what one
    score a bin gives to the last digits, short of the rounding of a sum of n numbers. False where the profile cannot
    tell.
    """
    n, counts = outcome.n_scored, outcome.labelled_counts.astype(float)
    if n == 0 or not outcome.layout.scored or (counts.sum(axis=1) != n).any():
        return False
    score = np.clip(outcome.labelled_sums / np.where(counts > 0, counts, 1.0), 0.0, 1.0)
    binary = outcome.layout.task == "binary"
    expected = (_binary if binary else _of_classes)(n, counts, outcome.positive_counts.astype(float), score)
    known = ~np.isnan(expected)
    allowed = (DIGITS + n * 2.0**-55) * np.maximum(np.abs(outcome.sums), n)
    return bool((np.abs(outcome.sums - expected) <= allowed)[known].all())


def _binary(_: int, counts: Floats, positive: Floats, score: Floats) -> Floats:
    """(4,) sums in the order of ``CLASSIFICATION_SUMS``."""
    negative = counts - positive
    hit, miss = (-np.log(np.clip(p, CLIP, 1 - CLIP)) for p in (score, 1 - score))
    return np.array(
        [
            float((positive * (1 - score) ** k + negative * score**k).sum()) for k in (2, 4)
        ] + [float((positive * hit**k + negative * miss**k).sum()) for k in (1, 2)]
    )  # fmt: skip


def _of_classes(n: int, counts: Floats, positive: Floats, score: Floats) -> Floats:
    """The same of several classes; NaN for the squares of a row's error, which crosses classes. An outcome of a class
    without a score has the probability 0.
    """
    squared = float((counts * score**2 + positive * (1 - 2 * score)).sum())
    hit = -np.log(np.clip(score, CLIP, 1 - CLIP))
    others, worst = n - float(positive.sum()), -np.log(CLIP)
    return np.array([squared, np.nan] + [float((positive * hit**k).sum()) + others * worst**k for k in (1, 2)])
