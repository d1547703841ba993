"""Rows scored by a model: the columns that the monitor declares, checked before anyone uses them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from monitoring_pipeline.errors import RetrainError
from monitoring_pipeline.monitors.declaration import Monitor
from monitoring_pipeline.retraining.model import Model
from monitoring_pipeline.retraining.rows import features_of, score_column

Floats = NDArray[np.float64]


def score(model: Model, frame: pd.DataFrame, monitor: Monitor) -> pd.DataFrame:
    """``frame``'s rows scored, as the service would log them: the declared prediction, score and class-score columns.

    Index as ``frame``. Classes are text as the log writes them. Raises as ``outputs``.
    """
    found, schema = outputs(model, frame, monitor), monitor.schema_
    columns = {}
    if schema.prediction:
        columns[schema.prediction] = found["prediction"]
        if monitor.task == "binary":
            columns[schema.prediction] = found["prediction"].map({0.0: model.classes[0], 1.0: model.classes[1]})
    if schema.score:
        columns[schema.score] = found["score"]
    columns |= {column: found[score_column(name)] for name, column in schema.class_scores.items()}
    return pd.DataFrame(columns, index=frame.index)


def outputs(model: Model, frame: pd.DataFrame, monitor: Monitor) -> pd.DataFrame:
    """The same under the names and in the values of labelled rows (``rows.frame_of``): ``prediction`` (binary 1 or 0),
    ``score`` or ``score[<class>]``.

    Raises RetrainError when the model raises, returns another number of rows, or a value that is missing, infinite or,
    for a score, outside [0, 1].
    """
    features = _typed(features_of(frame, monitor), monitor)
    if monitor.task == "regression":
        return pd.DataFrame({"prediction": _numbers(model.estimator.predict, features, "prediction")}, frame.index)
    scores = _class_scores(model, features, monitor)
    if monitor.task == "multiclass":
        return _multiclass(model, features, monitor, scores)
    if scores is None:
        return pd.DataFrame({"prediction": _positive(model, _labels(model, features), monitor)}, frame.index)
    positive = scores[monitor.schema_.positive_class]
    called = (positive >= model.threshold).astype(np.float64)
    return pd.DataFrame({"prediction": called, "score": positive}, frame.index)


def _typed(features: pd.DataFrame, monitor: Monitor) -> pd.DataFrame:
    """As the model was trained: text as object and numbers as float64, NaN where missing, also in a column without any
    value, which a frame holds under another type."""
    text = set(monitor.schema_.categorical)
    columns = {}
    for name, column in features.items():
        known = column.notna()
        columns[name] = column.astype(object).where(known, np.nan) if name in text else column.astype(np.float64)
    return pd.DataFrame(columns, index=features.index, columns=features.columns)


def _multiclass(
    model: Model, features: pd.DataFrame, monitor: Monitor, scores: dict[str, Floats] | None
) -> pd.DataFrame:
    if scores is None:
        return pd.DataFrame({"prediction": _labels(model, features)}, features.index)
    names = np.array(list(scores), dtype=object)
    best = names[np.column_stack(list(scores.values())).argmax(axis=1)] if len(features) else names[:0]
    declared = monitor.schema_.class_scores or scores
    none = np.zeros(len(features))  # a class that the model has never seen
    columns = {score_column(name): scores.get(name, none) for name in declared}
    return pd.DataFrame({"prediction": best, **columns}, features.index)


def _class_scores(model: Model, features: pd.DataFrame, monitor: Monitor) -> dict[str, Floats] | None:
    """By class as the log writes it; None when the model has no ``predict_proba`` and the monitor declares no score."""
    schema = monitor.schema_
    predict = getattr(model.estimator, "predict_proba", None)
    if predict is None:
        if schema.score or schema.class_scores:
            raise RetrainError(
                f"{monitor.name}: {_named(model)} has no `predict_proba`, and the monitor declares scores; use a model"
                " that gives probabilities (for SGDClassifier: loss: log_loss)"
            )
        return None
    found = _checked(_called(predict, features), len(features), "score")
    if found.ndim == 1 and monitor.task == "binary":
        found = np.column_stack([1 - found, found])
    names = _names_of_columns(model, monitor, found)
    if len(found) and (found.min() < -1e-9 or found.max() > 1 + 1e-9):
        row = int(np.flatnonzero(((found < -1e-9) | (found > 1 + 1e-9)).any(axis=1))[0])
        raise RetrainError(f"{monitor.name}: {_named(model)} scores row {row} outside [0, 1]: {found[row].tolist()}")
    return {name: np.clip(found[:, i], 0, 1) for i, name in enumerate(names)}


def _names_of_columns(model: Model, monitor: Monitor, found: Floats) -> list[str]:
    own = getattr(model.estimator, "classes_", None)
    own = list(model.classes) if own is None else [_label(model, one, monitor) for one in np.asarray(own).tolist()]
    if found.ndim != 2 or found.shape[1] != len(own):
        raise RetrainError(
            f"{monitor.name}: `predict_proba` of {_named(model)} returns an array of shape {found.shape} for"
            f" {len(own)} classes; return a column per class"
        )
    if monitor.task == "binary" and monitor.schema_.positive_class not in own:
        raise RetrainError(
            f"{monitor.name}: the classes of {_named(model)} are {own}; the positive one must be 1, or"
            f" {monitor.schema_.positive_class!r}"
        )
    return own


def _label(model: Model, value: Any, monitor: Monitor) -> str:
    """A class of the estimator as the log writes it; of a binary one 1 and 0 stand for positive and negative."""
    text = str(int(value)) if isinstance(value, bool | float) and float(value).is_integer() else str(value)
    if monitor.task == "binary" and text in ("0", "1") and not set(model.classes) >= {str(value)}:
        return model.classes[int(text)]
    return text


def _labels(model: Model, features: pd.DataFrame) -> NDArray[np.object_]:
    found = np.asarray(_called(model.estimator.predict, features))
    if found.shape != (len(features),):
        raise RetrainError(f"`predict` of {_named(model)} returns shape {found.shape} for {len(features)} rows")
    if pd.isna(found).any():
        raise RetrainError(f"`predict` of {_named(model)} returns no class for {int(pd.isna(found).sum())} rows")
    return np.array([str(one) for one in found.tolist()], dtype=object)


def _positive(model: Model, labels: NDArray[np.object_], monitor: Monitor) -> Floats:
    names = {one: _label(model, one, monitor) for one in set(labels.tolist())}
    return np.array([names[one] == monitor.schema_.positive_class for one in labels.tolist()], dtype=np.float64)


def _numbers(predict: Callable[[pd.DataFrame], Any], features: pd.DataFrame, what: str) -> Floats:
    found = _checked(_called(predict, features), len(features), what)
    if found.ndim != 1:
        raise RetrainError(f"`predict` returns an array of shape {found.shape}; return one number a row")
    return found


def _called(predict: Callable[[pd.DataFrame], Any], features: pd.DataFrame) -> Any:
    if not len(features):
        raise RetrainError("there is no row to score")
    try:
        return predict(features)
    except Exception as error:  # a model runs any code
        raise RetrainError(
            f"the model cannot score {len(features)} rows: {type(error).__name__}: {error}; it is given a frame of the"
            " declared features"
        ) from error


def _checked(found: Any, n_rows: int, what: str) -> Floats:
    try:
        numbers = np.asarray(found, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise RetrainError(f"the model's {what}s are not numbers: {error}") from error
    if numbers.ndim == 0 or len(numbers) != n_rows:
        raise RetrainError(f"the model returns {what}s of shape {numbers.shape} for {n_rows} rows")
    bad = ~np.isfinite(numbers.reshape(n_rows, -1)).all(axis=1)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise RetrainError(
            f"{int(bad.sum())} of {n_rows} {what}s are not finite numbers, the first in row {row}; a challenger must"
            " score every row, also with missing values"
        )
    return numbers


def _named(model: Model) -> str:
    return type(model.estimator).__name__
