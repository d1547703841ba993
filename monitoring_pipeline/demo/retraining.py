"""The trainer of the demo's monitors: the models of the first quarter, fitted anew on the rows of a training set."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from monitoring_pipeline.demo.models import HYPERPARAMETERS, unfitted
from monitoring_pipeline.demo.retrained import STATIC, as_fitted, static_data
from monitoring_pipeline.retraining import TrainedModel, TrainingSet, TrainRequest
from monitoring_pipeline.settings import Settings


def train_with_history(training: TrainingSet, request: TrainRequest) -> TrainedModel:
    """``train`` on the rows that the static model was fitted on, too: a monitor's log begins after them.

    They are of other days than the reference, so that no held-out row is among them.
    """
    history = as_fitted(pd.read_parquet(static_data(Settings().home) / "history.parquet"))
    features = pd.concat([history[list(training.features)], training.features], ignore_index=True)
    outcome = pd.concat([history[STATIC], training.outcome], ignore_index=True)
    times = pd.concat([history["event_time"], training.event_time], ignore_index=True)
    return train(replace(training, features=features, outcome=outcome, event_time=times), request)


def train(training: TrainingSet, request: TrainRequest) -> TrainedModel:
    """Gradient boosting with the hyperparameters of the static model, or those that a search tries.

    About five seconds on 80,000 flights. As many flights are called late as were late in the training set.
    """
    parameters: dict[str, Any] = {**HYPERPARAMETERS, **request.parameters}
    classifier = request.task == "binary"
    model = unfitted(classifier, parameters).fit(training.features, training.outcome)
    algorithm = type(model[-1]).__name__
    if not classifier:
        return TrainedModel(model, parameters=parameters, algorithm=algorithm)
    score = model.predict_proba(training.features)[:, 1]
    threshold = float(np.quantile(score, 1 - training.outcome.mean()))
    return TrainedModel(model, threshold, parameters, algorithm)
