"""Whether a score means what it says: Brier score, log loss, calibration error and bias, reliability curve."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from monitoring_pipeline.metrics.performance.intervals import Estimate, around, mean, undefined, wilson
from monitoring_pipeline.profiles.outcome import OutcomeProfile

Floats = NDArray[np.float64]
BINS = 10  # of equal width
RESAMPLES = 200
SEED = 20130101


def calibration_metrics(outcome: OutcomeProfile) -> dict[str, Estimate]:
    """``brier``, ``log_loss``, ``expected_calibration_error``; binary also ``calibration_bias``,
    ``reliability[bin=i]`` and ``mean_score[bin=i]``; of several classes ``calibration_bias[class=k]``.

    ``calibration_bias``: the mean score minus the share of positives, above 0 where the model promises too much; it
    tells the direction, which the calibration error does not. Bins 0 to 9 are (i/10, (i+1)/10]; only those with
    labelled rows appear. With several classes the calibration error is the mean over classes (Kull et al., Beyond
    temperature scaling, NeurIPS 2019), and Brier the sum over classes.
    """
    squared, squared2, loss, loss2 = outcome.sums.tolist()
    n = outcome.n_scored
    found = {
        "log_loss": mean(loss, loss2, n, 0.0),
        "brier": mean(squared, squared2, n, 0.0),
        "expected_calibration_error": undefined(n),
    }
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


def _biases(outcome: OutcomeProfile) -> dict[str, Estimate]:
    """Σ (score - outcome) / n of each scored class, with the normal interval of a mean.

    Binary: its second moment is the Brier score's sum. Of several classes that is not kept by class: within a bin
    every score is taken as the bin's mean, Σ_b n_b ((s_b - r_b)² + r_b (1 - r_b)).
    """
    n, s = outcome.labelled_counts.astype(float), outcome.labelled_sums
    positives = outcome.positive_counts.astype(float)
    if outcome.layout.task == "binary":
        total = float(s.sum() - positives.sum())
        return {"calibration_bias": mean(total, float(outcome.sums[0]), int(n.sum()))}
    rows = np.maximum(n, 1.0)
    rate = positives / rows
    squares = (n * ((s / rows - rate) ** 2 + rate * (1 - rate))).sum(axis=1)
    return {
        f"calibration_bias[class={name}]": mean(
            float(s[k].sum() - positives[k].sum()), float(squares[k]), int(n[k].sum())
        )
        for k, name in enumerate(outcome.layout.scored)
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
    """sum_b |positives_b - sum of scores_b| / n, with a basic bootstrap interval: positives of a bin drawn anew as
    binomial.

    The error of a perfectly calibrated score is above 0 by chance, and so is each resample above the value; the
    basic interval (twice the value minus the resamples' quantiles) takes that bias back. Seeded: the same counts
    give the same interval.

    Reference: Naeini, Cooper and Hauskrecht (AAAI 2015) for the error; Davison and Hinkley, Bootstrap Methods (1997),
    section 5.2.
    """
    n = counts.sum(axis=1)
    value = float(np.mean(np.abs(positives - scores).sum(axis=1) / n))
    rate = positives / np.where(counts > 0, counts, 1.0)
    random = np.random.default_rng(SEED)
    drawn = random.binomial(counts.astype(np.int64), np.clip(rate, 0.0, 1.0), size=(RESAMPLES, *counts.shape))
    resampled = np.sort(np.mean(np.abs(drawn - scores).sum(axis=2) / n, axis=1))
    below, above = resampled[round(0.025 * (RESAMPLES - 1))], resampled[round(0.975 * (RESAMPLES - 1))]
    return around(value, 2 * value - float(above), 2 * value - float(below), int(n[0]), 0.0, 1.0)
