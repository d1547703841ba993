"""Labelled rows as a frame: features under their declared names, beside them what is known of each row."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from monitoring_pipeline.lake.cleaning import fields_of, renamed_columns
from monitoring_pipeline.lake.names import stored_name
from monitoring_pipeline.monitors.declaration import Monitor
from monitoring_pipeline.retraining.contract import TrainingSet

BESIDE = ("prediction_id", "event_time", "label_time", "label_batch", "model_version", "prediction", "outcome", "score")
"""Columns beside the features. A feature of such a name stands under ``feature_column``."""


def score_column(name: str) -> str:
    """Multiclass: the column of the score of this class."""
    return f"score[{name}]"


def feature_column(name: str) -> str:
    """Under which name a feature or segment column stands in a frame of labelled rows: its own, unless taken."""
    return f"feature:{name}" if name in BESIDE or name.startswith(("score[", "feature:")) else name


def features_of(frame: pd.DataFrame, monitor: Monitor) -> pd.DataFrame:
    """The declared features alone, under their own names and in their order; of labelled rows or of logged ones."""
    names = monitor.schema_.features
    found = frame[[feature_column(n) if feature_column(n) in frame else n for n in names]]
    return found.set_axis(list(names), axis=1)


def frame_of(monitor: Monitor, table: pa.Table) -> pd.DataFrame:
    """Labelled rows of the lake (canonical columns, ``__outcome``, ``__label_time``, ``__batch``) with the columns

    - ``prediction_id``, ``model_version``: text; ``event_time``, ``label_time``: UTC, missing where unknown
    - ``outcome``, ``prediction``: binary 1 for the positive class and 0, multiclass text, regression a number;
      ``prediction`` missing where none was logged; ``score`` or, of several classes, ``score[<class>]`` in [0, 1]
    - features and segment columns: numerical and boolean (1, 0) as float64, categorical as text; NaN where missing
    """
    renamed = renamed_columns(monitor)
    columns: dict[str, object] = {
        "prediction_id": _text(table["__id"]),
        "event_time": _moments(table["__time"]),
        "label_time": _moments(table["__label_time"]),
        "label_batch": table["__batch"].to_numpy(),
        "model_version": _text(table["__version"]),
        "outcome": _labels(monitor, table["__outcome"]),
    }
    classes = sorted(monitor.schema_.class_scores)
    for field in fields_of(monitor):
        if field.name == "__prediction":
            columns["prediction"] = _labels(monitor, table[field.name])
        elif field.name == "__score":
            columns["score"] = _numbers(table[field.name])
        elif field.ours:
            columns[score_column(classes[int(field.name.rpartition("_")[2])])] = _numbers(table[field.name])
        else:
            name = str(field.source)
            stored = table[renamed.get(name) or stored_name(name)]
            kinds = {"number": _numbers, "flag": _flags}
            columns[feature_column(name)] = kinds.get(field.kind, _text)(stored)
    return pd.DataFrame(columns)


def as_training_set(monitor: Monitor, frame: pd.DataFrame) -> TrainingSet:
    """Labelled rows as a trainer sees them."""
    schema = monitor.schema_
    outcome = frame["outcome"].astype("int64") if monitor.task == "binary" else frame["outcome"]
    features = features_of(frame, monitor)
    return TrainingSet(features, outcome, frame["event_time"], schema.numerical, schema.categorical, schema.boolean)


def _numbers(column: pa.ChunkedArray) -> np.ndarray:
    return column.cast(pa.float64()).to_numpy(zero_copy_only=False)


def _flags(column: pa.ChunkedArray) -> np.ndarray:
    return _numbers(pc.equal(column, "true"))


def _text(column: pa.ChunkedArray) -> pd.Series:
    """Object of text with NaN: a frame of pandas 3 would otherwise hold another type than a service passes."""
    return column.dictionary_encode().to_pandas().astype(object)


def _labels(monitor: Monitor, column: pa.ChunkedArray) -> np.ndarray | pd.Series:
    if monitor.task == "regression":
        return _numbers(column)
    if monitor.task == "multiclass":
        return _text(column)
    return _numbers(pc.equal(column, monitor.schema_.positive_class))


def _moments(column: pa.ChunkedArray) -> pd.Series:
    return pd.Series(column.cast(pa.timestamp("us")).to_pandas()).dt.tz_localize("UTC")


def together(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The rows of these frames in their order, numbered anew."""
    given = [frame for frame in frames if len(frame)]
    return pd.concat(given, ignore_index=True) if given else frames[0]
