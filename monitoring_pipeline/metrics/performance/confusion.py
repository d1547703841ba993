"""Metrics of a confusion matrix, and the matrix at any threshold of the score.

A matrix has the shape (K+1, K) or (K+1, K+1): outcomes by predicted class. The last row holds outcomes of classes the
layout does not know. There is a last column only when there are predictions of such classes. Either is one more
class that is never right, so that every metric is what scikit-learn computes from the class names, with all unknown
outcomes under one name and all unknown predictions under another.
"""

from __future__ import annotations

from math import sqrt

import numpy as np
from numpy.typing import NDArray

from monitoring_pipeline.metrics.performance.intervals import Estimate, Z, normal, undefined, wilson
from monitoring_pipeline.profiles.outcome import OutcomeProfile

Floats = NDArray[np.float64]
ALL_CELLS_UP_TO = 10  # classes; beyond, only the cells that hold rows get metrics


def confusion_of(outcome: OutcomeProfile, positive_threshold: float = 0.5) -> Floats:
    """(K+1, K) or (K+1, K+1) labelled rows by outcome and predicted class, as the module describes.

    Rows without any prediction are left out. If that leaves none and the task is binary with a score, a row is
    predicted positive when its score exceeds ``positive_threshold``. Profiles that do not tell a missing prediction
    from one of an unknown class, (K+1, K+1) instead of (K+1, K+2), count both as unknown; there, no prediction of a
    known class means that only scores are logged.
    """
    k = len(outcome.layout.classes)
    matrix = outcome.confusion[:, : k + 1].astype(float)
    told_apart = outcome.confusion.shape[1] > k + 1
    scored = outcome.layout.task == "binary" and bool(outcome.layout.scored)
    if scored and not (matrix if told_apart else matrix[:, :k]).any():
        return np.vstack([confusion_at(outcome, positive_threshold)[0], np.zeros((1, 2))])
    return matrix if matrix[:, k].any() else matrix[:, :k]


def confusion_at(outcome: OutcomeProfile, threshold: float) -> tuple[Floats, float]:
    """((2, 2) matrix [[tn, fp], [fn, tp]], edge used): positive means score > edge, the layout's edge nearest to
    ``threshold``.

    Exact when ``threshold`` is one of the layout's edges. Binary only; raises ValueError without a score.
    """
    if outcome.layout.task != "binary" or not outcome.layout.scored:
        raise ValueError("a confusion matrix at a threshold needs a binary monitor with a score")
    edges = np.asarray(outcome.layout.score_edges)
    if edges.size == 0:
        raise ValueError("the layout has no score edges")
    at = int(np.argmin(np.abs(edges - threshold)))
    labelled, positive = outcome.labelled_counts[0], outcome.positive_counts[0]
    fn, tp = float(positive[: at + 1].sum()), float(positive[at + 1 :].sum())
    below, above = float(labelled[: at + 1].sum()), float(labelled[at + 1 :].sum())
    return np.array([[below - fn, above - tp], [fn, tp]]), float(edges[at])


def classification_at(outcome: OutcomeProfile, threshold: float) -> dict[str, Estimate]:
    """Every threshold metric of a binary classifier at ``threshold`` on its score; key ``threshold`` is the edge
    really used.
    """
    matrix, edge = confusion_at(outcome, threshold)
    found = binary_metrics(np.vstack([matrix, np.zeros((1, 2))]))
    return {"threshold": Estimate(edge, edge, edge, int(matrix.sum())), **found}


def binary_metrics(matrix: Floats) -> dict[str, Estimate]:
    """Metrics of the positive class (the second), then those over both classes."""
    hits, actual, predicted, n = matrix[1, 1], matrix[1].sum(), matrix[:, 1].sum(), matrix.sum()
    return {
        **_overall(matrix),
        "precision": wilson(hits, predicted),
        "recall": wilson(hits, actual),
        "f1": _f1_per_class(matrix)[1],
        **_averages(matrix),
        "positive_rate": wilson(actual, n),
        "predicted_positive_rate": wilson(predicted, n),
    }


def multiclass_metrics(matrix: Floats, classes: tuple[str, ...]) -> dict[str, Estimate]:
    """Metrics over all classes, then one against the rest for each."""
    found = {**_overall(matrix), **_averages(matrix)}
    actual, predicted = matrix.sum(axis=1).tolist(), matrix.sum(axis=0).tolist()
    n = float(matrix.sum())
    for k, (name, f1) in enumerate(zip(classes, _f1_per_class(matrix), strict=True)):
        hits = float(matrix[k, k])
        found[f"precision[class={name}]"] = wilson(hits, predicted[k])
        found[f"recall[class={name}]"] = wilson(hits, actual[k])
        found[f"f1[class={name}]"] = f1
        found[f"positive_rate[class={name}]"] = wilson(actual[k], n)
        found[f"predicted_positive_rate[class={name}]"] = wilson(predicted[k], n)
    return found


def cells(matrix: Floats, classes: tuple[str, ...]) -> dict[str, Estimate]:
    """Counts of the matrix, each with the interval of its share times n. Cells of unknown classes (``other``) appear
    when they hold rows.
    """
    n, k = float(matrix.sum()), len(classes)
    names = (*classes, "other")
    out: dict[str, Estimate] = {}
    if n <= 0:
        return out
    for a, row in enumerate(matrix.tolist()):
        for b, count in enumerate(row):
            if count or (a < k and b < k and k <= ALL_CELLS_UP_TO):
                share = wilson(count, n)
                assert share.low is not None and share.high is not None
                name = f"confusion[actual={names[a]},predicted={names[b]}]"
                out[name] = Estimate(count, min(share.low * n, count), max(share.high * n, count), int(n))
    return out


def _known(matrix: Floats) -> int:
    """K, the classes of the layout."""
    return matrix.shape[0] - 1


def _overall(matrix: Floats) -> dict[str, Estimate]:
    n = float(matrix.sum())
    return {
        "accuracy": wilson(float(np.trace(matrix[:-1, : _known(matrix)])), n),
        "balanced_accuracy": _balanced_accuracy(matrix),
        "mcc": _mcc(matrix),
    }


def _smoothed(matrix: Floats) -> Floats:
    """Counts for a variance: Z² rows spread over all cells, so that a perfect or tiny matrix is not certain.

    Reference: Agresti and Coull, Approximate is better than exact, The American Statistician 52 (1998), who add as
    many.
    """
    return matrix + Z * Z / matrix.size


def _balanced_accuracy(matrix: Floats) -> Estimate:
    """Mean recall of the classes that occur among the outcomes (scikit-learn's definition); undefined with fewer than
    two.
    """
    known = matrix[:-1]
    support = known.sum(axis=1)
    there = support > 0
    n, n_classes = int(matrix.sum()), int(there.sum()) + bool(matrix[-1].any())  # recall of unknown classes is 0
    if n_classes < 2:
        return undefined(n)
    recall = np.diagonal(known)[there] / support[there]
    smooth = _smoothed(known[there])
    share = np.diagonal(_smoothed(known))[there] / smooth.sum(axis=1)
    variance = np.sum(share * (1 - share) / smooth.sum(axis=1)) / n_classes**2
    return normal(float(recall.sum() / n_classes), float(variance), n, 0.0, 1.0, float(support[there].min()) - 1)


def _f1_per_class(matrix: Floats) -> list[Estimate]:
    """2 tp / (2 tp + fp + fn) with the delta-method interval; undefined when the class neither occurs nor is predicted.

    Reference: Takahashi et al., Confidence interval for micro-averaged F1 and macro-averaged F1 scores, Appl. Intell.
    52 (2022).
    """
    tp, actual, predicted = _per_class(matrix)
    wrong = predicted + actual - 2 * tp
    add = Z * Z / 4  # the smoothing of ``_smoothed`` for the four cells of one class against the rest
    a, w = tp + add, wrong + 2 * add
    s = 2 * a + w
    variance = a * (2 * w / s**2) ** 2 + w * (2 * a / s**2) ** 2
    n = int(matrix.sum())
    return [
        normal(2 * t / (2 * t + w), v, n, 0.0, 1.0, t + w - 1) if t + w > 0 else undefined(n)
        for t, w, v in zip(tp.tolist(), wrong.tolist(), variance.tolist(), strict=True)
    ]


def _averages(matrix: Floats) -> dict[str, Estimate]:
    """Macro and weighted precision, recall and F1 over the classes that occur or are predicted, as scikit-learn
    averages them.

    A class without predictions adds a precision of 0, an unknown class 0 to each. Intervals by the delta method on the
    multinomial of all cells.
    """
    k, n = _known(matrix), int(matrix.sum())
    _, actual, predicted = _per_class(matrix)
    there = (actual + predicted) > 0
    if n == 0:
        return {f"{m}_{a}": undefined(n) for m in ("precision", "recall", "f1") for a in ("macro", "weighted")}
    n_classes = there.sum() + bool(matrix[-1].any()) + bool(matrix[:, k:].any())
    weights = {"macro": there / n_classes, "weighted": actual / matrix.sum()}
    smooth = _smoothed(matrix)
    values, gradients = _class_values(matrix), _class_gradients(smooth)
    out = {}
    for metric in ("precision", "recall", "f1"):
        for average, w in weights.items():
            slope = _slope(smooth, *(g * w for g in gradients[metric]))
            if average == "weighted":
                slope += _slope_of_weights(smooth, _class_values(smooth)[metric], bool(matrix[-1].any()))
            centre = float(np.vdot(smooth, slope)) / float(smooth.sum())
            variance = float(np.vdot(smooth, (slope - centre) ** 2))
            out[f"{metric}_{average}"] = normal(float(values[metric] @ w), variance, n, 0.0, 1.0, n - 1)
    return out


def _slope(smooth: Floats, on_row: Floats, on_column: Floats, on_diagonal: Floats) -> Floats:
    """d value / d cell, shaped as the matrix: through the class's own row, column and diagonal."""
    k = _known(smooth)
    slope = np.zeros_like(smooth)
    slope[:k] += on_row[:, None]
    slope[:, :k] += on_column
    slope[np.arange(k), np.arange(k)] += on_diagonal
    return slope


def _slope_of_weights(smooth: Floats, values: Floats, unknown_outcomes: bool) -> Floats:
    """(K+1, 1) d value / d cell through the weights of the classes, their shares of the outcomes."""
    support = smooth.sum(axis=1) if unknown_outcomes else smooth[:-1].sum(axis=1)
    values = np.append(values, 0.0)
    average = float(values[: support.size] @ support) / support.sum()
    slope = np.zeros((smooth.shape[0], 1))
    slope[: support.size, 0] = (values[: support.size] - average) / support.sum()
    return slope


def _per_class(matrix: Floats) -> tuple[Floats, Floats, Floats]:
    """(K,) correct predictions, outcomes and predictions of each known class."""
    return np.diagonal(matrix[:-1]).copy(), matrix[:-1].sum(axis=1), matrix.sum(axis=0)[: _known(matrix)]


def _class_values(matrix: Floats) -> dict[str, Floats]:
    """Precision, recall and F1 of each class, 0 where undefined."""
    tp, actual, predicted = _per_class(matrix)
    return {
        "precision": tp / np.where(predicted > 0, predicted, 1.0),
        "recall": tp / np.where(actual > 0, actual, 1.0),
        "f1": 2 * tp / np.where(actual + predicted > 0, actual + predicted, 1.0),
    }


def _class_gradients(matrix: Floats) -> dict[str, tuple[Floats, Floats, Floats]]:
    """Per metric, its slope by a cell of the class's row, of its column, and the extra on its diagonal. All counts
    positive.
    """
    tp, actual, predicted = _per_class(matrix)
    both = actual + predicted
    none = np.zeros_like(tp)
    return {
        "precision": (none, -tp / predicted**2, 1 / predicted),
        "recall": (-tp / actual**2, none, 1 / actual),
        "f1": (-2 * tp / both**2, -2 * tp / both**2, 2 / both),
    }


def _mcc(matrix: Floats) -> Estimate:
    """Matthews correlation (c s - sum p_k t_k) / sqrt((s² - sum p²)(s² - sum t²)), delta-method interval, in [-1, 1].

    c correct of s rows, t_k rows of class k, p_k predicted as k. Undefined when all outcomes or all predictions are
    one class. Reference: Gorodkin, Comparing two K-category assignments by a K-category correlation coefficient
    (2004).
    """
    k, n = _known(matrix), int(matrix.sum())
    square = np.zeros((k + 2, k + 2))  # unknown outcomes and unknown predictions are two more classes
    square[: k + 1, :k], square[: k + 1, k + 1 :] = matrix[:, :k], matrix[:, k:].sum(axis=1, keepdims=True)
    value, _ = _correlation(square)
    if value is None:
        return undefined(n)
    used = (square.sum(axis=0) + square.sum(axis=1)) > 0
    smooth = _smoothed(square[used][:, used])
    _, slope = _correlation(smooth)
    return normal(value, float(np.sum(smooth * slope * slope)), n, -1.0, 1.0, n - 2)


def _correlation(square: Floats) -> tuple[float | None, Floats]:
    s, c = float(square.sum()), float(np.trace(square))
    t, p = square.sum(axis=1), square.sum(axis=0)
    a, b = s * s - float(p @ p), s * s - float(t @ t)
    if a <= 0 or b <= 0:
        return None, square
    root = sqrt(a) * sqrt(b)
    value = (c * s - float(p @ t)) / root
    by_cell = c + s * np.eye(len(t)) - t[None, :] - p[:, None]
    slope = by_cell / root - value * ((s - p)[None, :] / a + (s - t)[:, None] / b)
    return min(max(value, -1.0), 1.0), slope
