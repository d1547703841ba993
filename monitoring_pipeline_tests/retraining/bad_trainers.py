"""Trainers of users, good and bad, named by import path in the declarations of the tests."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import Any

import numpy as np

from monitoring_pipeline.retraining import TrainedModel, TrainingSet, TrainRequest


def good(training: TrainingSet, request: TrainRequest) -> TrainedModel:
    """Uses numbers only, says how it goes, and prints a good deal."""
    print("hello from the trainer")
    os.write(1, b"\xff\xfe not text\n" * 100)
    request.progress(iteration=1, loss=0.5)
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    numbers = make_column_transformer((SimpleImputer(), list(training.numerical)))
    model = make_pipeline(numbers, LogisticRegression()).fit(training.features, training.outcome)
    return TrainedModel(model, threshold=0.4, parameters={"C": 1.0})


def leaves_a_process(training: TrainingSet, request: TrainRequest) -> TrainedModel:
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(97)"])
    return good(training, request)


def raises(training: TrainingSet, request: TrainRequest) -> TrainedModel:
    raise KeyError("no such column")


def hangs(training: TrainingSet, request: TrainRequest) -> TrainedModel:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("about to wait", flush=True)
    while True:
        time.sleep(60)


def allocates(training: TrainingSet, request: TrainRequest) -> TrainedModel:
    kept = []
    while True:
        kept.append(np.ones(1 << 20))


def kills_itself(training: TrainingSet, request: TrainRequest) -> TrainedModel:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def exits(training: TrainingSet, request: TrainRequest) -> TrainedModel:
    sys.exit("enough")


def leaves_quietly(training: TrainingSet, request: TrainRequest) -> TrainedModel:
    os._exit(0)


def returns_text(training: TrainingSet, request: TrainRequest) -> Any:
    return "a model"


def returns_no_model(training: TrainingSet, request: TrainRequest) -> TrainedModel:
    return TrainedModel(model=object())


class Own:
    """A model of the user's, which skops does not know."""

    def __init__(self, score: float) -> None:
        self.score = score

    def predict(self, features: Any) -> Any:
        return np.zeros(len(features), int)

    def predict_proba(self, features: Any) -> Any:
        return np.full((len(features), 2), [1 - self.score, self.score])


def own(training: TrainingSet, request: TrainRequest) -> TrainedModel:
    return TrainedModel(Own(0.25))


def nan_scores(training: TrainingSet, request: TrainRequest) -> TrainedModel:
    return TrainedModel(Own(float("nan")))


def wild_scores(training: TrainingSet, request: TrainRequest) -> TrainedModel:
    return TrainedModel(Own(1.5))


def cannot_take_missing_values(training: TrainingSet, request: TrainRequest) -> TrainedModel:
    from sklearn.linear_model import LogisticRegression

    kept = training.features["x"].notna()
    return TrainedModel(LogisticRegression().fit(training.features.loc[kept, ["x"]], training.outcome[kept]))


def constant(training: TrainingSet, request: TrainRequest) -> TrainedModel:
    from sklearn.dummy import DummyClassifier

    return TrainedModel(DummyClassifier(strategy="prior").fit(training.features, training.outcome))


def one_argument(training: TrainingSet) -> TrainedModel:
    raise AssertionError


def returns_an_estimator(training: TrainingSet, request: TrainRequest) -> str:
    raise AssertionError
