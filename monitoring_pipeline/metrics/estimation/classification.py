"""Confidence-based performance estimation: what a classifier's calibrated scores lead to expect of its metrics.

A row with calibrated score c is a positive with chance c: of the rows predicted positive sum c are true positives and
sum (1 - c) false ones, of those predicted negative sum c are false negatives. Metrics are those of these expected
counts. Right as long as outcomes follow the scores as they did in the reference: blind to a changed concept, which
shows as the gap to realized performance once outcomes are known.

Reference: Białek et al., Estimating model performance under covariate shift without labels, arXiv:2401.08348 (2024);
NannyML's CBPE, whose values on its car-loan data these match.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitoring_pipeline.metrics.estimation.calibrator import KNOWN, Calibrator, calibrated
from monitoring_pipeline.metrics.performance.confusion import ALL_CELLS_UP_TO, binary_metrics, cells, multiclass_metrics
from monitoring_pipeline.metrics.performance.intervals import Estimate, around, mean, normal
from monitoring_pipeline.metrics.performance.ranking import ranking_metrics
from monitoring_pipeline.profiles.outcome import OutcomeProfile

Floats = NDArray[np.float64]
LEAST = 1e-15  # as realized log loss clips scores


@dataclass(frozen=True)
class ScoreModel:
    """What the reference says of scores: a calibrator and the mean score (B,) of each bin by scored class."""

    calibrators: Sequence[Calibrator]
    scores: Floats
    n_reference: int


def score_model(reference: OutcomeProfile) -> ScoreModel:
    """From the reference's outcomes by score bin. Raises ValueError where a class has no labelled row."""
    labelled, positive = reference.labelled_counts.astype(float), reference.positive_counts.astype(float)
    each = [calibrated(n, k) for n, k in zip(labelled, positive, strict=True)]
    edges = np.clip(np.array([0.0, *reference.layout.score_edges, 1.0]), 0.0, 1.0)
    middle = np.broadcast_to((edges[:-1] + edges[1:]) / 2, labelled.shape)
    scores = np.where(labelled > 0, reference.labelled_sums / np.maximum(labelled, 1), middle)
    return ScoreModel(each, np.clip(scores, LEAST, 1 - LEAST), int(labelled[0].sum()))


def expected_metrics(
    model: ScoreModel, counts: NDArray[np.int64], empty: OutcomeProfile, threshold: float = 0.5
) -> dict[str, Estimate]:
    """Metrics under the names of realized ones; ``counts`` (C, B, P) as part ``prediction_bins`` has them.

    ``n`` is 0: no outcome is behind them. Threshold metrics, ROC AUC, log loss and Brier score of two classes carry
    intervals for the chance in the window's outcomes and in the calibration (``Calibrator.noise``); average precision
    and metrics of several classes the interval of as many realized rows, times sqrt(1 + n / reference rows) for the
    calibration. ``threshold``: of the score, where no prediction is logged. Of several classes each is estimated
    against the rest; expected outcomes of the rows predicted as one class are scaled to their number.
    """
    rows = counts.astype(float)
    if not rows.sum():
        return {}
    if empty.layout.task == "binary":
        found = _binary(model, rows[0], empty, threshold)
    else:
        found = _multiclass(model, rows, empty)
    return {name: replace(e, n=0) for name, e in found.items()}


def _binary(model: ScoreModel, rows: Floats, empty: OutcomeProfile, threshold: float) -> dict[str, Estimate]:
    by_class = _by_predicted(rows, empty.layout.score_edges, threshold)
    calibrator, total = model.calibrators[0], rows.sum(axis=1)
    positive = calibrator.share[:, None] * by_class
    matrix = _matrix(by_class.sum(axis=0), positive.sum(axis=0))
    found = binary_metrics(matrix)
    slopes = _slopes(matrix, found)
    out = {
        name: _with_noise(e, calibrator.noise(by_class, np.broadcast_to(slopes[name], by_class.shape)))
        for name, e in found.items()
    }
    out |= _ranking(model, total[None, :], empty)
    if (area := out["roc_auc"].value) is not None:
        slope = _area_slope(calibrator.share * total, (1 - calibrator.share) * total, area)
        out["roc_auc"] = _with_noise(out["roc_auc"], calibrator.noise(total[:, None], slope[:, None]))
    return out | _losses(calibrator, model.scores[0], total) | cells(matrix, empty.layout.classes)


def _by_predicted(rows: Floats, edges: Sequence[float], threshold: float) -> Floats:
    """(B, 3) rows predicted negative, positive or as another class; by the score where no prediction is logged."""
    if rows[:, :3].any():
        return rows[:, :3]
    at = int(np.argmin(np.abs(np.asarray(edges) - threshold))) if len(edges) else 0
    total, above = rows.sum(axis=1), np.arange(len(rows)) > at
    return np.column_stack([np.where(above, 0, total), np.where(above, total, 0), np.zeros(len(rows))])


def _matrix(total: Floats, positive: Floats) -> Floats:
    """Outcomes by predicted class as ``metrics.performance.confusion`` takes them, of (3,) rows by prediction."""
    matrix = np.vstack([total - positive, positive, np.zeros(3)])
    return matrix if total[2] else matrix[:, :2]


def _slopes(matrix: Floats, found: dict[str, Estimate]) -> dict[str, Floats]:
    """(3,) d metric / d outcome of a row predicted negative, positive or as another class, by differences."""
    out = {name: np.zeros(3) for name in found}
    for j in range(matrix.shape[1]):
        step = min(matrix[0, j], 0.01 * matrix[:, j].sum()) or -min(matrix[1, j], 0.01 * matrix[:, j].sum())
        if not step:
            continue
        moved = matrix.copy()
        moved[:2, j] += (-step, step)
        for name, e in binary_metrics(moved).items():
            before = found[name].value
            if e.value is not None and before is not None:
                out[name][j] = (e.value - before) / step
    return out


def _with_noise(e: Estimate, variance: float) -> Estimate:
    if e.value is None:
        return e
    least = -1.0 if e.low is not None and e.low < 0 else 0.0
    return normal(e.value, variance, e.n, least, 1.0, KNOWN)


def _area_slope(positive: Floats, negative: Floats, area: float) -> Floats:
    """(B,) d AUC / d outcome of a row in each bin, worst scores first."""
    p, n = positive.sum(), negative.sum()
    below = np.cumsum(negative) - negative / 2
    above = p - np.cumsum(positive) + positive / 2
    return np.asarray((below - above) / (p * n) - area * (1 / p - 1 / n))


def _ranking(model: ScoreModel, total: Floats, empty: OutcomeProfile) -> dict[str, Estimate]:
    shares = np.stack([c.share for c in model.calibrators])
    rows: Any = {"labelled_counts": total, "positive_counts": shares * total}  # expected, hence not whole numbers
    expected = replace(empty, **rows)
    wider = sqrt(1 + float(total[0].sum()) / max(model.n_reference, 1))
    return {name: _wider(e, wider, 0.0, 1.0) for name, e in ranking_metrics(expected).items()}


def _wider(e: Estimate, times: float, least: float, most: float) -> Estimate:
    if e.value is None or e.low is None or e.high is None:
        return e
    return around(e.value, e.value - times * (e.value - e.low), e.value + times * (e.high - e.value), e.n, least, most)


def _losses(calibrator: Calibrator, scores: Floats, total: Floats) -> dict[str, Estimate]:
    n, share = float(total.sum()), calibrator.share
    out = {}
    for name, of_one, of_none, most in (
        ("brier", (1 - scores) ** 2, scores**2, 1.0),
        ("log_loss", -np.log(scores), -np.log1p(-scores), 1e308),
    ):
        value = float(total @ (share * of_one + (1 - share) * of_none)) / n
        variance = calibrator.noise(total[:, None], ((of_one - of_none) / n)[:, None])
        out[name] = normal(value, variance, int(n), 0.0, most, KNOWN)
    return out


def _multiclass(model: ScoreModel, rows: Floats, empty: OutcomeProfile) -> dict[str, Estimate]:
    classes, total = empty.layout.classes, rows.sum(axis=2)
    n = float(total[0].sum())
    shares = np.stack([c.share for c in model.calibrators])
    out = _ranking(model, total, empty)
    wider = sqrt(1 + n / max(model.n_reference, 1))
    if rows.shape[2] == len(classes) + 2:
        matrix = _expected_outcomes(shares, rows)
        found = multiclass_metrics(matrix, classes)
        out |= {name: _wider(e, wider, -1.0 if name == "mcc" else 0.0, 1.0) for name, e in found.items()}
        out |= cells(matrix, classes) if len(classes) <= ALL_CELLS_UP_TO else {}
    logs = -np.log(model.scores)
    loss = mean(float(np.sum(total * shares * logs)), float(np.sum(total * shares * logs**2)), int(n), 0.0)
    squared = shares * (1 - 2 * model.scores) + model.scores**2
    brier = float(np.sum(total * squared)) / n
    out["log_loss"] = _wider(loss, wider, 0.0, 1e308)
    out["brier"] = _wider(mean(brier * n, 2 * brier * n, int(n), 0.0), wider, 0.0, 2.0)  # (Brier of a row) <= 2
    return out


def _expected_outcomes(shares: Floats, rows: Floats) -> Floats:
    """(K+1, K) or (K+1, K+1) rows by expected outcome and predicted class; ``rows`` (K, B, K+2)."""
    k = len(shares)
    expected = np.einsum("kb,kbj->kj", shares, rows)[:, : k + 1]
    predicted = rows[0].sum(axis=0)[: k + 1]
    if not predicted[k]:
        expected, predicted = expected[:, :k], predicted[:k]
    scale = predicted / np.maximum(expected.sum(axis=0), 1e-300)
    return np.vstack([expected * scale, np.zeros(len(predicted))])
