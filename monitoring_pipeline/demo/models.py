"""The demo's two models: gradient boosting behind imputers and encoders, fitted on the first quarter of 2013.

Every third day of the quarter is held out of the fit and becomes the reference: an in-sample reference would flatter
the model and every later figure would look degraded beside it. Whole days, because flights of one day share weather and
queues.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import joblib
import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.metrics import brier_score_loss, mean_absolute_error, r2_score, roc_auc_score, root_mean_squared_error
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OrdinalEncoder

from monitoring_pipeline.demo.flights import BOOLEAN, CATEGORICAL, FEATURES, NUMERICAL
from monitoring_pipeline.demo.model_card import ModelCard
from monitoring_pipeline.errors import UserError

Name = Literal["late15", "arr_delay"]
RETRAINED: Name = "late15"  # which of them the demo also retrains
NAMES: tuple[Name, ...] = ("late15", "arr_delay")
TRAIN_START = datetime(2013, 1, 1, tzinfo=UTC)
TRAIN_END = datetime(2013, 4, 1, tzinfo=UTC)  # and the first moment of the replay
VERSION = "2013-q1"
SEED = 20130401
HYPERPARAMETERS: dict[str, Any] = {
    "max_iter": 60,
    "learning_rate": 0.1,
    "max_leaf_nodes": 24,
    "min_samples_leaf": 100,
    "l2_regularization": 1.0,
    "random_state": SEED,
}


@dataclass(frozen=True)
class FlightModel:
    """A fitted pipeline that takes FEATURES as they are logged, missing values included.

    ``threshold``: score from which a flight is called late (binary only).
    """

    name: Name
    pipeline: Pipeline
    threshold: float | None = None

    def predict(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Columns ``prediction`` (binary: 0 or 1; regression: minutes) and, if binary, ``score`` in [0, 1]."""
        features = frame[list(FEATURES)]
        if self.threshold is None:
            return pd.DataFrame({"prediction": self.pipeline.predict(features)}, index=frame.index)
        score = self.pipeline.predict_proba(features)[:, 1]
        return pd.DataFrame(
            {"prediction": (score >= self.threshold).astype("int64"), "score": score}, index=frame.index
        )


def held_out(event_time: pd.Series) -> pd.Series:
    """True for every third UTC day since the start of training: the reference. Three and seven share no divisor, so all
    weekdays are in it alike."""
    return (event_time - TRAIN_START).dt.days % 3 == 2


def training_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """Labelled flights of the first quarter that the models are fitted on."""
    quarter = _quarter(frame)
    return quarter[~held_out(quarter["event_time"])]


def reference_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """Labelled flights of the first quarter that the models are not fitted on."""
    quarter = _quarter(frame)
    return quarter[held_out(quarter["event_time"])]


def _quarter(frame: pd.DataFrame) -> pd.DataFrame:
    inside = (frame["event_time"] >= TRAIN_START) & (frame["event_time"] < TRAIN_END)
    return frame[inside & frame["label_time"].notna()]


def fit(name: Name, rows: pd.DataFrame) -> FlightModel:
    """Fit one model. Deterministic: the same rows give the same trees. About four seconds on 50,000 rows."""
    classifier = name == "late15"
    pipeline = unfitted(classifier, HYPERPARAMETERS)
    outcome = rows[name].astype("int64") if classifier else rows[name]
    pipeline.fit(rows[list(FEATURES)], outcome)
    if not classifier:
        return FlightModel(name, pipeline)
    # As many flights are called late as were late: the counts of the prediction then speak of the base rate.
    score = pipeline.predict_proba(rows[list(FEATURES)])[:, 1]
    return FlightModel(name, pipeline, float(np.quantile(score, 1 - outcome.mean())))


def unfitted(classifier: bool, hyperparameters: Mapping[str, Any]) -> Pipeline:
    """Gradient boosting behind imputers and encoders, with these arguments."""
    boosting = HistGradientBoostingClassifier if classifier else HistGradientBoostingRegressor
    categorical = [len(NUMERICAL) + index for index in range(len(CATEGORICAL))]
    model = boosting(categorical_features=categorical, **hyperparameters)
    return Pipeline([("prepare", _preparation()), ("model", model)])


def _preparation() -> ColumnTransformer:
    encode = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan, max_categories=200)
    fill = SimpleImputer(strategy="constant", fill_value="missing")
    return ColumnTransformer(
        [
            ("numerical", SimpleImputer(strategy="median"), list(NUMERICAL)),
            ("categorical", Pipeline([("fill", fill), ("encode", encode)]), list(CATEGORICAL)),
            ("boolean", "passthrough", list(BOOLEAN)),
        ]
    )


def evaluate(model: FlightModel, rows: pd.DataFrame) -> dict[str, float]:
    """Figures on labelled rows, by scikit-learn."""
    predicted = model.predict(rows)
    outcome = rows[model.name]
    if model.threshold is None:
        return {
            "mae": float(mean_absolute_error(outcome, predicted["prediction"])),
            "rmse": float(root_mean_squared_error(outcome, predicted["prediction"])),
            "r2": float(r2_score(outcome, predicted["prediction"])),
        }
    return {
        "roc_auc": float(roc_auc_score(outcome, predicted["score"])),
        "brier": float(brier_score_loss(outcome, predicted["score"])),
        "base_rate": float(outcome.mean()),
    }


def save(model: FlightModel, path: Path) -> str:
    """Write the artifact under a temporary name, rename it; returns its SHA-256."""
    buffer = io.BytesIO()
    joblib.dump({"name": model.name, "pipeline": model.pipeline, "threshold": model.threshold}, buffer, compress=3)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_bytes(buffer.getvalue())
    temporary.replace(path)
    return hashlib.sha256(buffer.getvalue()).hexdigest()


def load(path: Path, sha256: str) -> FlightModel:
    """The model of an artifact whose bytes are those recorded; a pickle of unknown origin is never opened.

    Raises UserError when the file is missing or differs.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(
            f"{path}: the model cannot be read ({error.strerror}); run `monitoring-pipeline demo` first"
        ) from error
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise UserError(
            f"{path}: its SHA-256 is {found}, not the recorded {sha256}; the file was changed and is not loaded"
        )
    return FlightModel(**joblib.load(io.BytesIO(content)))


def card(model: FlightModel, path: Path, sha256: str, fitted: pd.DataFrame, reference: pd.DataFrame) -> ModelCard:
    """What there is to say of a fitted model. ``trained_at`` is the end of the quarter: the replay plays in 2013."""
    hyperparameters = {**HYPERPARAMETERS, **({} if model.threshold is None else {"threshold": model.threshold})}
    return ModelCard(
        monitor=model.name,
        model_version=VERSION,
        role="champion",
        algorithm=type(model.pipeline.named_steps["model"]).__name__,
        trained_at=TRAIN_END - timedelta(minutes=1),
        train_start=TRAIN_START,
        train_end=TRAIN_END,
        n_fitted=len(fitted),
        n_reference=len(reference),
        hyperparameters=hyperparameters,
        training_metrics=evaluate(model, reference),
        artifact_uri=str(path),
        artifact_sha256=sha256,
    )
