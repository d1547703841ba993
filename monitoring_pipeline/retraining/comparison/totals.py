"""Metrics as functions of sums that days add up to: to leave a day out is to subtract."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from monitoring_pipeline.retraining.comparison.rows import Floats, Ints, Outputs, PairedRows

CLIP = 1e-15
TENTHS = 10
Value = Callable[[Floats], Floats]
"""From sums (..., K) to the metric (...)."""


def sums_of(metric: str, rows: PairedRows, outputs: Outputs) -> tuple[Floats, Value] | None:
    """(sums by day (G, K), the metric of sums); None for a metric that days do not add up to, or of another task."""
    name, _, average = metric.rpartition("_") if metric.endswith(("_macro", "_weighted")) else (metric, "", "")
    value: Value | None = _mean
    sums: Floats | None
    if rows.task == "regression":
        sums, value = _regression(rows, outputs), _OF_ERRORS.get(metric)
    elif metric in ("log_loss", "brier"):
        sums = _loss(metric, rows, outputs)
    elif metric == "expected_calibration_error" and rows.task == "binary":
        sums, value = _reliability(rows, outputs), _calibration_error
    else:
        sums, value = _cells(rows, outputs), _of_confusion(name, average, rows.task == "binary")
    return None if sums is None or value is None else (sums, value)


def _by_day(rows: PairedRows, *columns: Floats) -> Floats:
    """(G, K): the sum of each column (N,) over each day."""
    n_days = int(rows.day.max(initial=-1)) + 1
    return np.column_stack([np.bincount(rows.day, column, n_days) for column in columns])


def _counted(rows: PairedRows, cell: Ints, n_cells: int, weights: Floats | None = None) -> Floats:
    """(G, n_cells): rows of each day in each cell, or the sum of their weights."""
    n_days = int(rows.day.max(initial=-1)) + 1
    flat = np.bincount(rows.day * n_cells + cell, weights, n_days * n_cells)
    return flat.reshape(n_days, n_cells).astype(float)


def _mean(sums: Floats) -> Floats:
    return _share(sums[..., 0], sums[..., 1])


def _share(part: Floats, whole: Floats) -> Floats:
    """part / whole; NaN where whole is 0."""
    return np.divide(part, whole, out=np.full(np.shape(part), np.nan), where=whole != 0)


def _regression(rows: PairedRows, outputs: Outputs) -> Floats:
    """(G, 7): rows, |e|, e², |e| / |y|, y not 0, y, y²; outcomes are counted from their mean, for r2."""
    error, y = outputs.prediction - rows.outcome, rows.outcome
    there = y != 0
    relative = np.divide(np.abs(error), np.abs(y), out=np.zeros(len(y)), where=there)
    centred = y - (y.mean() if len(y) else 0.0)
    ones = np.ones(len(y))
    return _by_day(rows, ones, np.abs(error), error**2, relative, there.astype(float), centred, centred**2)


_OF_ERRORS: dict[str, Value] = {
    "mae": lambda s: _share(s[..., 1], s[..., 0]),
    "rmse": lambda s: np.sqrt(np.maximum(_share(s[..., 2], s[..., 0]), 0.0)),
    "mape": lambda s: _share(s[..., 3], s[..., 4]),
    "r2": lambda s: 1 - _share(s[..., 2], s[..., 6] - _share(s[..., 5] ** 2, s[..., 0])),
}


def _loss(metric: str, rows: PairedRows, outputs: Outputs) -> Floats | None:
    """(G, 2): losses, rows."""
    if outputs.scores is None:
        return None
    truth = rows.outcome.astype(np.intp)
    scores = outputs.scores
    if rows.task == "binary":
        of_truth = np.where(truth == 1, scores[:, 0], 1 - scores[:, 0])
        squared = (1 - of_truth) ** 2
    else:
        of_truth = scores[np.arange(len(truth)), truth]
        squared = ((scores - np.eye(scores.shape[1])[truth]) ** 2).sum(axis=1)
    loss = -np.log(np.clip(of_truth, CLIP, 1 - CLIP)) if metric == "log_loss" else squared
    return _by_day(rows, loss, np.ones(len(truth)))


def _reliability(rows: PairedRows, outputs: Outputs) -> Floats | None:
    """(G, 2 * TENTHS): by tenth of the score, score minus outcome; then rows."""
    if outputs.scores is None:
        return None
    score = outputs.scores[:, 0]
    tenth = np.clip(np.ceil(score * TENTHS - 1e-9).astype(np.intp) - 1, 0, TENTHS - 1)
    off = _counted(rows, tenth, TENTHS, score - rows.outcome)
    return np.hstack((off, _counted(rows, tenth, TENTHS)))


def _calibration_error(sums: Floats) -> Floats:
    return _share(np.abs(sums[..., :TENTHS]).sum(axis=-1), sums[..., TENTHS:].sum(axis=-1))


def _cells(rows: PairedRows, outputs: Outputs) -> Floats:
    """(G, K * (K + 1)): the flattened confusion matrix, true class by predicted one; the last one is `unknown`."""
    n_classes = 2 if rows.task == "binary" else len(rows.classes)
    predicted = np.where(outputs.prediction < 0, n_classes, outputs.prediction).astype(np.intp)
    cell = rows.outcome.astype(np.intp) * (n_classes + 1) + predicted
    return _counted(rows, cell, n_classes * (n_classes + 1))


def _of_confusion(name: str, average: str, binary: bool) -> Value | None:
    """The metric of a flattened confusion matrix."""
    per_class = {"precision": _precision, "recall": _recall, "f1": _f1}.get(name)

    def value(sums: Floats) -> Floats:
        n_classes = int((np.sqrt(1 + 4 * sums.shape[-1]) - 1) / 2)
        matrix = sums.reshape(*sums.shape[:-1], n_classes, n_classes + 1)
        if name == "accuracy":
            return _share(_diagonal(matrix).sum(axis=-1), sums.sum(axis=-1))
        if name == "balanced_accuracy":
            return np.nanmean(_recall(matrix), axis=-1)
        if name == "mcc":
            return _mcc(matrix)
        assert per_class is not None
        each = per_class(matrix)
        if binary:
            return each[..., 1]
        weights = matrix.sum(axis=-1) if average == "weighted" else (matrix.sum(axis=-1) > 0).astype(float)
        return _share((np.nan_to_num(each) * weights).sum(axis=-1), weights.sum(axis=-1))

    whole = name in ("accuracy", "balanced_accuracy", "mcc") and not average
    averaged = per_class is not None and bool(average) != binary
    return value if whole or averaged else None


def _diagonal(matrix: Floats) -> Floats:
    return np.diagonal(matrix[..., :-1], axis1=-2, axis2=-1)


def _recall(matrix: Floats) -> Floats:
    return _share(_diagonal(matrix), matrix.sum(axis=-1))


def _precision(matrix: Floats) -> Floats:
    predicted = matrix[..., :-1].sum(axis=-2)
    return np.where(predicted > 0, np.nan_to_num(_share(_diagonal(matrix), predicted)), 0.0)


def _f1(matrix: Floats) -> Floats:
    both = matrix.sum(axis=-1) + matrix[..., :-1].sum(axis=-2)
    return np.where(both > 0, np.nan_to_num(_share(2 * _diagonal(matrix), both)), 0.0)


def _mcc(matrix: Floats) -> Floats:
    """Matthews correlation for K classes: Gorodkin, Comparing two K-category assignments, Comput. Biol. Chem. 28
    (2004).
    """
    actual, n = matrix.sum(axis=-1), matrix.sum(axis=(-2, -1))
    predicted = matrix.sum(axis=-2)
    agree = _diagonal(matrix).sum(axis=-1) * n - (actual * predicted[..., :-1]).sum(axis=-1)
    spread = (n**2 - (predicted**2).sum(axis=-1)) * (n**2 - (actual**2).sum(axis=-1))
    return _share(agree, np.sqrt(np.maximum(spread, 0.0)))
