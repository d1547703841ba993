"""The demo's models as a prediction service uses them: one request in, one answer out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from monitoring_pipeline.demo import models
from monitoring_pipeline.demo.flights import BOOLEAN, CATEGORICAL, FEATURES
from monitoring_pipeline.demo.preparation import read_prepared
from monitoring_pipeline.errors import UserError


@dataclass(frozen=True)
class Answer:
    """``prediction``: 0 or 1 (late15), minutes (arr_delay). ``score`` in [0, 1]; None for arr_delay."""

    prediction: float | int
    score: float | None


@dataclass(frozen=True)
class ServiceModel:
    """A model in service.

    ``pipeline`` is a scikit-learn Pipeline with the steps ``prepare`` (a ColumnTransformer with the branches numerical:
    SimpleImputer, categorical: fill and encode, boolean) and ``model``. It takes a DataFrame of ``features``, in order.
    """

    model_version: str
    features: tuple[str, ...]
    model: models.FlightModel

    @property
    def pipeline(self) -> Any:
        """The fitted scikit-learn pipeline."""
        return self.model.pipeline

    def with_pipeline(self, pipeline: Any) -> ServiceModel:
        """The same model and threshold over a pipeline that answers alike, such as an instrumented copy."""
        return replace(self, model=replace(self.model, pipeline=pipeline))

    def frame(self, rows: list[Mapping[str, Any]]) -> pd.DataFrame:
        """Requests as the pipeline takes them: what is absent or null is missing, a flag is then false.

        Raises ValueError when a number is none; a text is not parsed into one.
        """
        return request_frame(self.features, rows)

    def predict(self, rows: list[Mapping[str, Any]]) -> list[Answer]:
        """One answer per request."""
        predicted = self.model.predict(self.frame(rows))
        scores = predicted["score"].tolist() if "score" in predicted else [None] * len(predicted)
        return [Answer(*pair) for pair in zip(predicted["prediction"].tolist(), scores, strict=True)]


def request_frame(features: Sequence[str], rows: list[Mapping[str, Any]]) -> pd.DataFrame:
    """As ``ServiceModel.frame``."""
    return pd.DataFrame({name: _column(name, [row.get(name) for row in rows]) for name in features})


def _column(name: str, values: list[Any]) -> NDArray[Any] | pd.Series:
    """Made one by one: a frame of mixed rows takes pandas ten times as long to convert."""
    if name in BOOLEAN:
        return np.array([value is not None and value == 1 for value in values], bool)
    if name in CATEGORICAL:
        return pd.Series([np.nan if value is None else value for value in values], dtype="object")
    if wrong := [value for value in values if not (value is None or isinstance(value, int | float))]:
        raise ValueError(f"{name}: {str(wrong[0])[:100]!r} is not a number")
    return np.array(values, np.float64)


def load_service_model(home: Path, name: models.Name = "late15") -> ServiceModel:
    """The champion the demo trained under ``home``, its artifact verified. Raises UserError when there is none."""
    prepared = read_prepared(home, fast=True)
    if prepared is None:
        raise UserError(f"{home}: the demo has not been prepared here; run `monitoring-pipeline demo` first")
    card = next(card for card in prepared.cards if card.monitor == name)
    return ServiceModel(card.model_version, FEATURES, models.load(Path(card.artifact_uri), card.artifact_sha256))
