"""Figures of a confusion matrix, and the matrix at any threshold of the score."""

from __future__ import annotations

from math import sqrt

import numpy as np
from numpy.typing import NDArray

from monitoring_pipeline.metrics.performance.intervals import Estimate, Z, normal, undefined, wilson
from monitoring_pipeline.profiles.outcome import OutcomeProfile

Floats = NDArray[np.float64]
ALL_CELLS_UP_TO = 10  # classes; beyond, only the cells that hold rows become figures


def confusion_of(outcome: OutcomeProfile, positive_threshold: float = 0.5) -> Floats:
    """(K+1, K) rows by outcome and predicted class; the last row holds outcomes of classes the layout does not know.

    Rows without a prediction of a known class are left out. If that leaves none and the task is binary with a score,
    a row is predicted positive when its score exceeds ``positive_threshold``.
    """
    matrix = outcome.confusion[:, :-1].astype(float)
    if not matrix.any() and outcome.layout.task == "binary" and outcome.layout.scored:
        matrix = np.vstack([confusion_at(outcome, positive_threshold)[0], np.zeros((1, 2))])
    return matrix


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
    figures = binary_figures(np.vstack([matrix, np.zeros((1, 2))]))
    return {"threshold": Estimate(edge, edge, edge, int(matrix.sum())), **figures}


def binary_figures(matrix: Floats) -> dict[str, Estimate]:
    """Figures of the positive class (the second), then those over both classes."""
    tn, fp, fn, tp = matrix[0, 0], matrix[0, 1], matrix[1, 0], matrix[1, 1]
    n = tn + fp + fn + tp
    per_class = _f1_per_class(matrix)
    return {
        **_overall(matrix),
        "precision": wilson(tp, tp + fp),
        "recall": wilson(tp, tp + fn),
        "f1": per_class[1],
        **_averages(matrix),
        "positive_rate": wilson(tp + fn, n),
        "predicted_positive_rate": wilson(tp + fp, n),
    }


def multiclass_figures(matrix: Floats, classes: tuple[str, ...]) -> dict[str, Estimate]:
    """Figures over all classes, then one against the rest for each."""
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
    """Counts of the matrix, each with the interval of its share times n. Outcomes of unknown classes appear when
    there are any.
    """
    n = float(matrix.sum())
    out: dict[str, Estimate] = {}
    if n <= 0:
        return out
    for a, row in enumerate(matrix.tolist()):
        for b, count in enumerate(row):
            known = a < len(classes)
            if count or (known and len(classes) <= ALL_CELLS_UP_TO):
                share = wilson(count, n)
                assert share.low is not None and share.high is not None
                name = f"confusion[actual={classes[a] if known else 'other'},predicted={classes[b]}]"
                out[name] = Estimate(count, min(share.low * n, count), max(share.high * n, count), int(n))
    return out


def _overall(matrix: Floats) -> dict[str, Estimate]:
    n = float(matrix.sum())
    return {
        "accuracy": wilson(float(np.trace(matrix)), n),
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
    square = matrix[:-1]
    support = square.sum(axis=1)
    there = support > 0
    n = int(matrix.sum())
    if there.sum() < 2:
        return undefined(n)
    recall = np.diagonal(square)[there] / support[there]
    smooth = _smoothed(square[there])
    share = np.diagonal(_smoothed(square))[there] / smooth.sum(axis=1)
    variance = np.sum(share * (1 - share) / smooth.sum(axis=1)) / there.sum() ** 2
    return normal(float(recall.mean()), float(variance), n, 0.0, 1.0)


def _f1_per_class(matrix: Floats) -> list[Estimate]:
    """2 tp / (2 tp + fp + fn) with the delta-method interval; undefined when the class neither occurs nor is predicted.

    Reference: Takahashi et al., Confidence interval for micro-averaged F1 and macro-averaged F1 scores, Appl. Intell.
    52 (2022).
    """
    tp = np.diagonal(matrix).copy()
    wrong = matrix.sum(axis=0) + matrix.sum(axis=1)[:-1] - 2 * tp
    add = Z * Z / 4  # the smoothing of ``_smoothed`` for the four cells of one class against the rest
    a, w = tp + add, wrong + 2 * add
    s = 2 * a + w
    variance = a * (2 * w / s**2) ** 2 + w * (2 * a / s**2) ** 2
    total = 2 * tp + wrong
    n = int(matrix.sum())
    return [
        normal(2 * t / d, v, n, 0.0, 1.0) if d > 0 else undefined(n)
        for t, d, v in zip(tp.tolist(), total.tolist(), variance.tolist(), strict=True)
    ]


def _averages(matrix: Floats) -> dict[str, Estimate]:
    """Macro and weighted precision, recall and F1 over the classes that occur or are predicted, as scikit-learn
    averages them.

    A class without predictions adds a precision of 0. Intervals by the delta method on the multinomial of all cells.
    """
    square, n = matrix[:-1], int(matrix.sum())
    actual, predicted = square.sum(axis=1), square.sum(axis=0) + matrix[-1]
    there = (actual + predicted) > 0
    names = [f"{m}_{a}" for m in ("precision", "recall", "f1") for a in ("macro", "weighted")]
    if not there.any() or actual.sum() == 0:
        return {name: undefined(n) for name in names}
    smooth = _smoothed(matrix)
    values, smooth_values, gradients = _class_figures(matrix), _class_figures(smooth), _class_figures_gradients(smooth)
    support, total = smooth[:-1].sum(axis=1), float(smooth.sum())
    weights = {"macro": there / there.sum(), "weighted": actual / actual.sum()}
    out = {}
    for metric in ("precision", "recall", "f1"):
        for average, w in weights.items():
            # d value / d cell: through the class's own row, column and diagonal, and through its weight
            on_row, on_column, on_diagonal = (g * w for g in gradients[metric])
            if average == "weighted":
                figures = smooth_values[metric]
                on_row = on_row + (figures - float(figures @ support) / support.sum()) / support.sum()
            slope = np.append(on_row, 0.0)[:, None] + on_column
            np.fill_diagonal(slope, slope.diagonal() + on_diagonal)
            centre = float(np.vdot(smooth, slope)) / total
            variance = float(np.vdot(smooth, (slope - centre) ** 2))
            out[f"{metric}_{average}"] = normal(float(values[metric] @ w), variance, n, 0.0, 1.0)
    return out


def _class_figures(matrix: Floats) -> dict[str, Floats]:
    """Precision, recall and F1 of each class, 0 where undefined."""
    tp, actual, predicted = np.diagonal(matrix), matrix[:-1].sum(axis=1), matrix.sum(axis=0)
    return {
        "precision": tp / np.where(predicted > 0, predicted, 1.0),
        "recall": tp / np.where(actual > 0, actual, 1.0),
        "f1": 2 * tp / np.where(actual + predicted > 0, actual + predicted, 1.0),
    }


def _class_figures_gradients(matrix: Floats) -> dict[str, tuple[Floats, Floats, Floats]]:
    """Per figure, its slope by a cell of the class's row, of its column, and the extra on its diagonal. All counts
    positive.
    """
    tp, actual, predicted = np.diagonal(matrix), matrix[:-1].sum(axis=1), matrix.sum(axis=0)
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
    square = np.hstack([matrix, np.zeros((matrix.shape[0], 1))])
    n = int(matrix.sum())
    value, _ = _correlation(square)
    if value is None:
        return undefined(n)
    used = (square.sum(axis=0) + square.sum(axis=1)) > 0
    smooth = _smoothed(square[used][:, used])
    _, slope = _correlation(smooth)
    return normal(value, float(np.sum(smooth * slope * slope)), n, -1.0, 1.0)


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
