"""Labelled rows scored by a new version, as the lake holds a reference: what the version is compared with later."""

from __future__ import annotations

from datetime import datetime

import pandas as pd
import pyarrow as pa

from monitoring_pipeline.lake.cleaning import canonical_columns, fields_of
from monitoring_pipeline.monitors.declaration import Monitor
from monitoring_pipeline.retraining.context import Attempt, RetrainContext
from monitoring_pipeline.retraining.model import Model
from monitoring_pipeline.retraining.rows import feature_column, score_column
from monitoring_pipeline.retraining.scoring import outputs
from monitoring_pipeline.retraining.training_set import labelled_rows, training_rows
from monitoring_pipeline.warehouse.model_versions import ModelVersion

EPOCH = datetime(1970, 1, 1)  # the constant window of references; the lake holds times in UTC without a zone
_ARROW = {"DOUBLE": pa.float64(), "VARCHAR": pa.string(), "TIMESTAMP": pa.timestamp("us")}


def unseen_rows(ctx: RetrainContext, attempt: Attempt, version: ModelVersion) -> tuple[pd.DataFrame, str]:
    """Labelled rows that the version was not fitted on, and which they are in words; maybe none.

    The held-out days of its training range; where none was held out, the rows from the end of that range on, as known
    at the attempt's cut, or at the end of its shadow.
    """
    held_out = training_rows(ctx, attempt).held_out
    if len(held_out):
        return held_out, "held-out days of the training range"
    start, cut = version.train_end or attempt.as_of, attempt.shadow_until or attempt.as_of
    after = labelled_rows(ctx, start, cut, cut) if start < cut else held_out
    return after, "rows after the training range" if len(after) else "none: all rows were fitted on"


def reference_table(monitor: Monitor, model: Model, frame: pd.DataFrame, version: str) -> pa.Table:
    """Rows of ``rows.frame_of`` scored by ``model`` as rows of ``version``, under the lake's canonical columns.

    ``monitor.reference.outcome`` is set. What the frame holds as NaN is missing, as the null it was read from. Raises
    as ``scoring.outputs``.
    """
    scored = outputs(model, frame, monitor)
    values: dict[str, object] = {
        "__id": frame["prediction_id"],
        "__time": frame["event_time"].dt.tz_localize(None),
        "__window": [EPOCH] * len(frame),
        "__version": [version] * len(frame),
    }
    classes = sorted(monitor.schema_.class_scores)
    for field in fields_of(monitor, monitor.reference.outcome):
        if field.name == "__prediction":
            values[field.name] = _labels(model, scored["prediction"])
        elif field.name == "__outcome":
            values[field.name] = _labels(model, frame["outcome"])
        elif field.name == "__score":
            values[field.name] = scored["score"]
        elif field.ours:
            values[field.name] = scored[score_column(classes[int(field.name.rpartition("_")[2])])]
        else:
            given = frame[feature_column(str(field.source))]
            values[field.name] = _flags(given) if field.kind == "flag" else given
    kinds = canonical_columns(monitor, monitor.reference.outcome)
    arrays = {name: pa.array(values[name], _ARROW[kind], from_pandas=True) for name, kind in kinds.items()}
    return pa.table(arrays)


def _labels(model: Model, column: pd.Series) -> object:
    """As the log writes them: a binary 1 or 0 is a class there."""
    if model.task != "binary":
        return column
    named = column.map({0.0: model.classes[0], 1.0: model.classes[1]})
    return named.astype(object)


def _flags(column: pd.Series) -> object:
    return column.map({1.0: "true", 0.0: "false"})
