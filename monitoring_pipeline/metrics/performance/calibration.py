"""Whether a score means what it says: Brier score, log loss, calibration error and bias, reliability curve."""

from __future__ import annotations

from math import ceil

import numpy as np
from numpy.typing import NDArray

from monitoring_pipeline.metrics.performance.intervals import Estimate, around, mean, undefined, wilson
from monitoring_pipeline.profiles.outcome import OutcomeProfile

Floats = NDArray[np.float64]
BINS = 10  # of equal width
RESAMPLES = 200
SEED = 20130101
FEW = 30  # rows; fewer may all have one outcome and so seem to be sure of it


def calibration_metrics(outcome: OutcomeProfile) -> dict[str, Estimate]:
    """``brier``, ``log_loss``, ``expected_calibration_error``; binary also ``calibration_bias``,
    ``reliability[bin=i]`` and ``mean_score[bin=i]``; of several classes ``calibration_bias[class=k]``.

    ``calibration_bias``: the mean score minus the share of positives, above 0 where the model promises too much; it
    tells the direction, which the calibration error does not. Bins 0 to 9 are (i/10, (i+1)/10]; only those with
    labelled rows appear. With several classes the calibration error is the mean over classes (Kull et al., Beyond
    temperature scaling, NeurIPS 2019), and Brier the sum over classes.
    """
    found = proper_scores(outcome) | {"expected_calibration_error": undefined(outcome.n_scored)}
    if not outcome.layout.scored:
        return found
    counts, positives, scores = (
        _tenths(outcome, m) for m in (outcome.labelled_counts, outcome.positive_counts, outcome.labelled_sums)
    )
    if counts.sum() > 0:
        found["expected_calibration_error"] = _calibration_error(counts, positives, scores)
    found |= _biases(outcome)
    if outcome.layout.task == "binary":
        for i in np.flatnonzero(counts[0] > 0).tolist():
            found[f"reliability[bin={i}]"] = wilson(positives[0, i], counts[0, i])
            m = float(scores[0, i] / counts[0, i])
            found[f"mean_score[bin={i}]"] = Estimate(m, m, m, int(counts[0, i]))
    return found


def proper_scores(outcome: OutcomeProfile) -> dict[str, Estimate]:
    """``log_loss`` and ``brier``: least where a score is the chance of the outcome."""
    squared, squared2, loss, loss2 = outcome.sums.tolist()
    n = outcome.n_scored
    return {"log_loss": mean(loss, loss2, n, 0.0), "brier": mean(squared, squared2, n, 0.0)}


def _biases(outcome: OutcomeProfile) -> dict[str, Estimate]:
    """Σ (score - outcome) / n of each scored class, with the interval of a mean.

    Binary: its second moment is the Brier score's sum. Of several classes that is not kept by class: within a bin
    every score is taken as the bin's mean, Σ_b n_b ((s_b - r_b)² + r_b (1 - r_b)). Of up to ``FEW`` rows
    the variance is at least that of outcomes at the rates the scores promise, Σ_b n_b s_b (1 - s_b), of more rows a
    share of it that fades: five rows without a positive one are not sure.
    """
    n, s = outcome.labelled_counts.astype(float), outcome.labelled_sums
    positives = outcome.positive_counts.astype(float)
    rows = np.maximum(n, 1.0)
    score, rate = s / rows, positives / rows
    squares = (n * ((score - rate) ** 2 + rate * (1 - rate))).sum(axis=1)
    binary = outcome.layout.task == "binary"
    if binary:
        squares[0] = outcome.sums[0]
    total, size = s.sum(axis=1) - positives.sum(axis=1), n.sum(axis=1)
    size = np.maximum(size, 1.0)
    promised = np.maximum(n * score * (1 - score), 0.0).sum(axis=1) * np.minimum(1.0, FEW / size)
    squares = np.maximum(squares, promised + total**2 / size)
    names = ("",) if binary else tuple(f"[class={name}]" for name in outcome.layout.scored)
    return {
        f"calibration_bias{name}": mean(float(total[k]), float(squares[k]), int(n[k].sum()))
        for k, name in enumerate(names)
    }


def _tenths(outcome: OutcomeProfile, matrix: NDArray) -> Floats:
    """(C, BINS) from (C, B): a score bin belongs to the tenth its upper edge lies in, exact when the tenths are
    edges.
    """
    upper = np.append(np.asarray(outcome.layout.score_edges, float), 1.0)
    tenth = np.clip(np.ceil(np.clip(upper, 0.0, 1.0) * BINS - 1e-9).astype(int) - 1, 0, BINS - 1)
    out = np.zeros((matrix.shape[0], BINS))
    for row, values in zip(out, matrix, strict=True):
        row += np.bincount(tenth, weights=values, minlength=BINS)
    return out


def _calibration_error(counts: Floats, positives: Floats, scores: Floats) -> Estimate:
    """sum_b |positives_b - sum of scores_b| / n. The true error lies within sum_b |positives_b - expected_b| / n of
    it, which is chance alone; the interval reaches as far as that does in 97.5 % of draws.

    Drawn are the positives of each bin as binomial, once at the rate its scores promise and once at its own rate (with
    one more row at the promised one, since 0 of 3 does not prove a rate of 0); the larger chance counts. The error of a
    calibrated score is above 0 by chance: its interval starts at 0. Seeded: the same counts give the same interval.

    Reference: Naeini, Cooper and Hauskrecht (AAAI 2015) for the error.
    """
    n = counts.sum(axis=1)
    value = float(np.mean(np.abs(positives - scores).sum(axis=1) / n))
    promised = np.clip(scores / np.where(counts > 0, counts, 1.0), 0.0, 1.0)
    chance = max(_chance(counts, rate) for rate in (promised, (positives + promised) / (counts + 1)))
    return around(value, value - chance, value + chance, int(n[0]), 0.0, 1.0)


def _chance(counts: Floats, rate: Floats) -> float:
    """97.5 % point of sum_b |positives_b - counts_b rate_b| / n, the mean over classes."""
    random = np.random.default_rng(SEED)
    drawn = random.binomial(counts.astype(np.int64), rate, size=(RESAMPLES, *counts.shape))
    off = np.mean(np.abs(drawn - counts * rate).sum(axis=2) / counts.sum(axis=1), axis=1)
    return float(np.sort(off)[ceil(0.975 * RESAMPLES) - 1])
