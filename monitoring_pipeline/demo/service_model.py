"""The demo's models as a prediction service uses them: one request in, one answer out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from monitoring_pipeline.demo import models
from monitoring_pipeline.demo.flights import BOOLEAN, CATEGORICAL, FEATURES, NUMERICAL
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
        return self.model.pipeline

    def with_pipeline(self, pipeline: Any) -> ServiceModel:
        """The same model and threshold over a pipeline that answers alike, such as an instrumented copy."""
        return replace(self, model=replace(self.model, pipeline=pipeline))

    def frame(self, rows: list[Mapping[str, Any]]) -> pd.DataFrame:
        """Requests as the pipeline takes them: what is absent or null is missing, a flag is then false.

        Raises ValueError when a number is none.
        """
        frame = pd.DataFrame(rows, columns=list(self.features), dtype="object")
        frame[list(BOOLEAN)] = frame[list(BOOLEAN)].eq(True)
        frame[list(CATEGORICAL)] = frame[list(CATEGORICAL)].where(frame[list(CATEGORICAL)].notna(), np.nan)
        return frame.astype(dict.fromkeys(NUMERICAL, "float64") | dict.fromkeys(BOOLEAN, "bool"))

    def predict(self, rows: list[Mapping[str, Any]]) -> list[Answer]:
        """One answer per request."""
        predicted = self.model.predict(self.frame(rows))
        scores = predicted["score"].tolist() if "score" in predicted else [None] * len(predicted)
        return [Answer(*pair) for pair in zip(predicted["prediction"].tolist(), scores, strict=True)]


def load_service_model(home: Path, name: models.Name = "late15") -> ServiceModel:
    """The champion the demo trained under ``home``, its artifact verified. Raises UserError when there is none."""
    prepared = read_prepared(home, fast=True)
    if prepared is None:
        raise UserError(f"{home}: the demo has not been prepared here; run `monitoring-pipeline demo` first")
    card = next(card for card in prepared.cards if card.monitor == name)
    return ServiceModel(card.model_version, FEATURES, models.load(Path(card.artifact_uri), card.artifact_sha256))
