"""The project's performance metrics of scored rows in memory: what a training, a fold of a search, a held-out day has.

The rows are counted into an outcome profile of fine bins, so that the metrics, their names and their intervals are
those of the monitored windows.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from monitoring_pipeline.errors import RetrainError
from monitoring_pipeline.metrics.performance import Estimate, higher_is_better, measure_outcome
from monitoring_pipeline.metrics.performance.headline import HEADLINE
from monitoring_pipeline.monitors.declaration import Monitor
from monitoring_pipeline.profiles.layout import OutcomeLayout
from monitoring_pipeline.profiles.outcome import OutcomeProfile
from monitoring_pipeline.retraining.rows import score_column

BINS = 1000  # the ROC area of the bins is within 1/2000 of the rows'
LEAST_PROBABILITY = 1e-15

Floats = NDArray[np.float64]


def metric_of(monitor: Monitor) -> str:
    """What challengers of a monitor are tuned and compared by: declared, or the headline metric of its task."""
    scored = monitor.schema_.score or monitor.schema_.class_scores
    default = HEADLINE[monitor.task] if monitor.task != "binary" or scored else "balanced_accuracy"
    return monitor.retrain.metric or default


def metrics_of_rows(
    monitor: Monitor, classes: tuple[str, ...], outcome: pd.Series, outputs: pd.DataFrame
) -> dict[str, Estimate]:
    """Every metric with its 95 % interval. ``outcome`` as in labelled rows, ``outputs`` as of ``scoring.outputs``."""
    if monitor.task == "regression":
        profile = _regression(outcome.to_numpy(float), outputs["prediction"].to_numpy(float))
    else:
        profile = _classification(monitor, classes, outcome, outputs)
    return measure_outcome(profile)


def value_of(
    monitor: Monitor, classes: tuple[str, ...], outcome: pd.Series, outputs: pd.DataFrame, metric: str
) -> tuple[float, bool]:
    """(the metric, whether higher is better). Raises RetrainError when there is no such metric, or no value of it."""
    found, better = metrics_of_rows(monitor, classes, outcome, outputs), higher_is_better(metric)
    if metric not in found or better is None:
        known = [name for name in found if higher_is_better(name) is not None and "[" not in name]
        raise RetrainError(f"retrain.metric: {metric!r} cannot tell models apart; one of {', '.join(known)}")
    value = found[metric].value
    if value is None or math.isnan(value):
        raise RetrainError(f"{metric} of {len(outcome)} rows is undefined: one class only, or too few rows")
    return value, better


def _classification(
    monitor: Monitor, classes: tuple[str, ...], outcome: pd.Series, outputs: pd.DataFrame
) -> OutcomeProfile:
    binary = monitor.task == "binary"
    actual = outcome.to_numpy(int) if binary else _codes(outcome, classes)
    predicted = outputs["prediction"].to_numpy(int) if binary else _codes(outputs["prediction"], classes)
    k = len(classes)
    confusion = np.bincount(actual * (k + 2) + predicted, minlength=(k + 1) * (k + 2)).reshape(k + 1, k + 2)
    scored = _scored(classes, outputs)
    scores = np.column_stack(list(scored.values())) if scored else np.zeros((len(outcome), 0))
    hits = np.column_stack([actual == classes.index(name) for name in scored]) if scored else scores.astype(bool)
    edges = _edges(scores, np.arange(1, 10) / 10) if scored else np.array([])
    layout = OutcomeLayout(monitor.task, classes, tuple(scored), tuple(edges.tolist()))
    counts = [_by_bin(scores[:, i], hits[:, i], edges) for i in range(len(scored))]
    rows, positives, sums = (
        (np.array(each) for each in zip(*counts, strict=True)) if counts else (np.zeros((0, 0)),) * 3
    )
    n = len(outcome)
    return OutcomeProfile(
        layout, n, n, n if scored else 0, 0, rows.astype(np.int64), sums, rows.astype(np.int64),
        positives.astype(np.int64), sums, confusion, np.zeros(0, np.int64), _losses(scores, hits, binary),
    )  # fmt: skip


def _scored(classes: tuple[str, ...], outputs: pd.DataFrame) -> dict[str, Floats]:
    """Scores by class, in the order of the classes; binary: of the positive one."""
    if "score" in outputs:
        return {classes[1]: outputs["score"].to_numpy(float)}
    found = {name: outputs[score_column(name)].to_numpy(float) for name in classes if score_column(name) in outputs}
    return found if len(found) == len(classes) else {}


def _codes(labels: pd.Series, classes: tuple[str, ...]) -> NDArray[np.int64]:
    """Number of each row's class; one that is not known has the number after the last."""
    codes = {name: i for i, name in enumerate(classes)}
    return np.array([codes.get(one, len(classes)) for one in labels.tolist()], dtype=np.int64)


def _edges(values: Floats, always: Floats) -> Floats:
    """Interior edges by quantiles, and ``always`` these."""
    quantiles = np.quantile(values, np.arange(1, BINS) / BINS) if values.size else np.array([])
    return np.unique(np.concatenate([quantiles, always]))


def _by_bin(score: Floats, hit: NDArray[np.bool_], edges: Floats) -> tuple[Floats, Floats, Floats]:
    """Rows, positives and sum of scores of each right-closed bin."""
    at, n = np.searchsorted(edges, score, side="left"), len(edges) + 1
    return (
        np.bincount(at, minlength=n).astype(np.float64),
        np.bincount(at, weights=hit, minlength=n).astype(np.float64),
        np.bincount(at, weights=score, minlength=n).astype(np.float64),
    )


def _losses(scores: Floats, hits: NDArray[np.bool_], binary: bool) -> Floats:
    """``CLASSIFICATION_SUMS`` of all rows."""
    if not scores.shape[1]:
        return np.zeros(4)
    squared = ((scores - hits) ** 2).sum(axis=1)
    chance = np.where(hits[:, 0], scores[:, 0], 1 - scores[:, 0]) if binary else (scores * hits).sum(axis=1)
    loss = -np.log(np.clip(chance, LEAST_PROBABILITY, 1 - LEAST_PROBABILITY))
    return np.array([squared.sum(), (squared**2).sum(), loss.sum(), (loss**2).sum()])


def _regression(outcome: Floats, prediction: Floats) -> OutcomeProfile:
    e, centre, n = prediction - outcome, float(outcome.mean()), len(outcome)
    d = outcome - centre
    relative = np.abs(e[outcome != 0] / outcome[outcome != 0])
    edges = np.unique(np.quantile(e, np.arange(1, BINS) / BINS))
    counts = np.bincount(np.searchsorted(edges, e, side="left"), minlength=len(edges) + 1)
    sums = [
        e.sum(), np.abs(e).sum(), (e**2).sum(), (e**4).sum(), relative.sum(), (relative**2).sum(),
        d.sum(), (d**2).sum(), (d**3).sum(), (d**4).sum(), (e**2 * d).sum(), (e**2 * d**2).sum(),
    ]  # fmt: skip
    empty, no_counts = np.zeros((0, 0)), np.zeros((0, 0), np.int64)
    return OutcomeProfile(
        OutcomeLayout("regression", error_edges=tuple(edges.tolist()), centre=centre), n, n, n, len(relative),
        no_counts, empty, no_counts, no_counts, empty, no_counts, counts.astype(np.int64), np.array(sums),
    )  # fmt: skip
