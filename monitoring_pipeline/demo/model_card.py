"""What there is to say of a trained model, as plain values: the warehouse records it as a model version."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class ModelCard:
    """What is recorded of a model version: plain values, times aware and UTC."""

    monitor: str
    model_version: str
    role: str
    algorithm: str
    trained_at: datetime
    train_start: datetime
    train_end: datetime
    n_fitted: int
    n_reference: int
    hyperparameters: Mapping[str, Any]
    training_metrics: Mapping[str, float]
    artifact_uri: str
    artifact_sha256: str
