"""Metrics after each iteration of a training, where the estimator tells or can be asked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from sklearn.metrics import log_loss, mean_squared_error
from sklearn.pipeline import Pipeline

from monitoring_pipeline.retraining.contract import Curve, Split, TrainingSet

MOST_ROWS = 5000  # the newest: a curve shows where learning stops, not the third digit


def curves_of(model: Any, train: TrainingSet, held_out: TrainingSet | None) -> list[Curve]:
    """What the estimator recorded while it was fitted (``loss_curve_``, ``train_score_``, ``validation_score_``), else
    the loss of its staged predictions on the newest rows of both sets. Empty for an estimator without iterations.
    """
    final = model[-1] if isinstance(model, Pipeline) else model
    found = list(_recorded(final))
    if found or not (hasattr(final, "staged_predict_proba") or hasattr(final, "staged_predict")):
        return found
    sets: list[tuple[Split, TrainingSet]] = [("train", train)]
    sets += [("validation", held_out)] if held_out is not None and len(held_out) else []
    return [curve for split, rows in sets for curve in _staged(model, final, split, rows)]


def _recorded(final: Any) -> Iterator[Curve]:
    loss = "log_loss" if hasattr(final, "predict_proba") else "loss"
    attributes: tuple[tuple[str, Split, str], ...] = (
        ("loss_curve_", "train", loss), ("validation_scores_", "validation", "score"),
        ("train_score_", "train", "score"), ("validation_score_", "validation", "score"),
    )  # fmt: skip
    for attribute, split, metric in attributes:
        values = getattr(final, attribute, None)
        if values is not None and len(values):
            yield Curve(split, metric, [float(value) for value in values])


def _staged(model: Any, final: Any, split: Split, rows: TrainingSet) -> Iterable[Curve]:
    features, outcome = rows.features[-MOST_ROWS:], rows.outcome[-MOST_ROWS:]
    if isinstance(model, Pipeline):
        features = model[:-1].transform(features)
    if hasattr(final, "staged_predict_proba"):
        known = outcome.isin(final.classes_).to_numpy()
        if not known.any():
            return
        labels = list(final.classes_)
        values = [log_loss(outcome[known], p[known], labels=labels) for p in final.staged_predict_proba(features)]
        yield Curve(split, "log_loss", values)
    else:
        values = [float(np.sqrt(mean_squared_error(outcome, p))) for p in final.staged_predict(features)]
        yield Curve(split, "rmse", values)
