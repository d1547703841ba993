"""Estimators by declaration alone: columns of each kind, missing and unseen values, what validate refuses, curves."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression, SGDClassifier
from sklearn.metrics import brier_score_loss, f1_score, log_loss, mean_absolute_error, r2_score, roc_auc_score
from threadpoolctl import threadpool_limits

from monitoring_pipeline.errors import DeclarationError, RetrainError
from monitoring_pipeline.monitors import Monitor
from monitoring_pipeline.monitors.retraining import Estimator
from monitoring_pipeline.monitors.trainer import check_contract
from monitoring_pipeline.retraining import estimators, stateful
from monitoring_pipeline.retraining.artifacts import dumped, parsed
from monitoring_pipeline.retraining.contract import TrainedModel, TrainingSet, TrainRequest
from monitoring_pipeline.retraining.curves import curves_of
from monitoring_pipeline.retraining.measuring import metrics_of_rows
from monitoring_pipeline.retraining.model import Model
from monitoring_pipeline.retraining.rows import as_training_set
from monitoring_pipeline.retraining.scoring import outputs, score
from monitoring_pipeline.retraining.trainers import trained
from monitoring_pipeline.retraining.working import model_of
from monitoring_pipeline.settings import Settings
from monitoring_pipeline.stages.prechecks import check_monitor
from monitoring_pipeline_tests.retraining.bad_trainers import Own
from monitoring_pipeline_tests.toy import CLASSES, Task, Toy

TRAINERS = "monitoring_pipeline_tests.retraining.bad_trainers:"


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Threads that wait for each other on a busy machine make small fits ten times slower."""
    with threadpool_limits(1):
        yield


def frame_of_toy(toy: Toy, days: int = 3) -> pd.DataFrame:
    """Labelled rows as the lake hands them out."""
    rows = pd.concat([toy.rows(day) for day in range(days)], ignore_index=True)
    text = rows.assign(
        outcome=rows["y"], event_time=rows["at"].dt.tz_localize("UTC"), returning=rows["returning"] * 1.0
    )
    return text.assign(label_time=text["event_time"] + timedelta(hours=5), channel=rows["channel"].astype(object),
                       region=rows["region"].astype(object))  # fmt: skip


def made(toy: Toy, cls: str, **parameters: Any) -> tuple[Monitor, pd.DataFrame, TrainedModel, Model]:
    monitor, frame = toy.declare(), frame_of_toy(toy)
    request = TrainRequest("toy", toy.task, 7, "m", {"binary": ("0", "1"), "multiclass": CLASSES}.get(toy.task, ()))
    fitted = estimators.train(
        Estimator(**{"class": cls, "parameters": parameters}), as_training_set(monitor, frame), request
    )
    return monitor, frame, fitted, model_of(fitted, monitor, request.classes)


@pytest.mark.parametrize(
    ("task", "cls", "parameters"),
    [
        ("binary", "sklearn.ensemble.HistGradientBoostingClassifier", {"max_iter": 8}),
        ("binary", "sklearn.ensemble.RandomForestClassifier", {"n_estimators": 8}),
        ("binary", "sklearn.ensemble.GradientBoostingClassifier", {"n_estimators": 8}),
        ("binary", "sklearn.linear_model.SGDClassifier", {"loss": "log_loss"}),
        ("binary", "sklearn.neural_network.MLPClassifier", {"hidden_layer_sizes": [8], "max_iter": 60}),
        ("binary", "sklearn.neighbors.KNeighborsClassifier", {}),
        ("multiclass", "sklearn.linear_model.LogisticRegression", {}),
        ("regression", "sklearn.ensemble.HistGradientBoostingRegressor", {"max_iter": 12}),
        ("regression", "sklearn.linear_model.Ridge", {}),
    ],
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_each_kind_learns_is_kept_without_pickle_and_takes_what_it_has_not_seen(
    tmp_path: Path, task: Task, cls: str, parameters: dict[str, Any]
) -> None:
    monitor, frame, _, model = made(Toy(tmp_path, task), cls, **parameters)
    content, kind = dumped(model, trust_pickle=False)
    again = parsed(content, kind, trust_pickle=False)
    strange = frame.assign(channel="kiosk", x=np.nan, returning=np.nan)
    for rows in (frame, strange, strange.assign(channel=np.nan), strange.assign(channel=None)):
        assert outputs(model, rows, monitor).equals(outputs(again, rows, monitor))
    said, outcome = outputs(model, frame, monitor), frame["outcome"]
    found = metrics_of_rows(monitor, model.classes, outcome, said)
    if task == "regression":
        assert found["mae"].value == pytest.approx(mean_absolute_error(outcome, said["prediction"]))
        assert found["r2"].value == pytest.approx(r2_score(outcome, said["prediction"])) and found["r2"].value > 0.5
    elif task == "multiclass":
        assert found["f1_macro"].value == pytest.approx(f1_score(outcome, said["prediction"], average="macro"))
        logged = score(model, frame, monitor)
        assert list(logged) == ["predicted", "p_cat", "p_dog", "p_eel"] and logged["p_cat"].equals(said["score[cat]"])
    else:
        assert found["roc_auc"].value == pytest.approx(roc_auc_score(outcome, said["score"]), abs=1e-3)
        assert found["brier"].value == pytest.approx(brier_score_loss(outcome, said["score"]))
        assert found["log_loss"].value == pytest.approx(
            log_loss(outcome, said["score"].clip(1e-15, 1 - 1e-15)), rel=1e-6
        )
        assert found["roc_auc"].value > 0.65


def test_equal_seeds_give_equal_models(tmp_path: Path) -> None:
    cls = "sklearn.ensemble.RandomForestClassifier"
    monitor, frame, _, one = made(Toy(tmp_path), cls, n_estimators=5)
    other = made(Toy(tmp_path), cls, n_estimators=5)[3]
    unlike = made(Toy(tmp_path), cls, n_estimators=5, random_state=8)[3]
    assert outputs(one, frame, monitor).equals(outputs(other, frame, monitor))
    assert not outputs(one, frame, monitor).equals(outputs(unlike, frame, monitor))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_curves_are_those_recorded_or_staged(tmp_path: Path) -> None:
    def curves(cls: str, **parameters: Any) -> dict[tuple[str, str], int]:
        monitor, frame, first, _ = made(Toy(tmp_path), cls, **parameters)
        rows = as_training_set(monitor, frame)
        found = curves_of(first.model, rows, rows)
        assert all(np.isfinite(one.values).all() for one in found)
        return {(one.split, one.metric): len(one.values) for one in found}

    boosting = "sklearn.ensemble.HistGradientBoostingClassifier"
    assert curves(boosting, max_iter=6) == {("train", "log_loss"): 6, ("validation", "log_loss"): 6}
    early = curves(boosting, max_iter=5, early_stopping=True)
    assert set(early) == {("train", "score"), ("validation", "score")}
    mlp = curves("sklearn.neural_network.MLPClassifier", hidden_layer_sizes=[2], max_iter=4)
    assert mlp == {("train", "log_loss"): 4}
    assert curves("sklearn.linear_model.LogisticRegression") == {}


SGD: dict[str, Any] = {"class": "sklearn.linear_model.SGDClassifier", "parameters": {"loss": "log_loss"}}
BOOST = "sklearn.ensemble.HistGradientBoostingClassifier"


@pytest.mark.parametrize(
    ("declared", "where", "said"),
    [
        ({"estimator": {"class": "sklearn.linear.SGD"}}, "estimator.class", "cannot be imported"),
        ({"estimator": {"class": "sklearn.metrics.f1_score"}}, "estimator.class", "is no classifier or regressor"),
        ({"estimator": {"class": "sklearn.linear_model.Ridge"}}, "estimator.class", "is no classifier, and the"),
        ({"estimator": {"class": BOOST, "parameters": {"depth": 3}}}, "estimator.parameters", "no parameter 'depth'"),
        ({"estimator": {"class": BOOST, "parameters": {"warm_start": True}}}, "estimator.parameters", "old trees thr"),
        ({"estimator": {"class": BOOST}, "training": {"mode": "stateful"}}, "training.mode", "has none; use SGDClass"),
        ({"estimator": {"class": SGD["class"]}}, "estimator", "gives no probabilities .*loss: log_loss"),
        (
            {"estimator": SGD, "training": {"search": {"space": {"gamma": [1]}}}}, "training.search.space",
            "no parameter 'gamma'",
        ),
    ],
)  # fmt: skip
def test_an_estimator_that_cannot_be_trained_is_refused_with_the_remedy(
    tmp_path: Path, declared: dict[str, Any], where: str, said: str
) -> None:
    [(place, sentence)] = estimators.misfits(Toy(tmp_path).declare(retrain={"enabled": True, **declared}))
    assert ".".join(place) == where and re.search(said, sentence)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("one_argument", r"does not take them .*def one_argument\(training, request\) -> TrainedModel"),
        ("returns_an_estimator", r"says that it returns str; a trainer returns a TrainedModel"),
        ("missing", r"has no 'missing'"),
    ],
)
def test_a_trainer_of_another_signature_is_refused(name: str, said: str) -> None:
    with pytest.raises(DeclarationError, match=said):
        check_contract(TRAINERS + name)


@pytest.mark.parametrize(
    ("declared", "where"),
    [({"trainer": TRAINERS + "one_argument"}, "trainer"), ({"estimator": {"class": SGD["class"]}}, "estimator")],
)
def test_validate_says_so(tmp_path: Path, declared: dict[str, Any], where: str) -> None:
    toy = Toy(tmp_path)
    toy.write_reference()
    toy.write_days([0])
    found = check_monitor(toy.declare(retrain={"enabled": True, **declared}), Settings(home=tmp_path))
    assert [one.location for one in found] == [("retrain", where)]


def test_validate_takes_what_can_be_trained(tmp_path: Path) -> None:
    check_contract(TRAINERS + "good")
    check_contract("monitoring_pipeline.demo.retraining:train")
    with pytest.raises(DeclarationError, match="does not take them"):
        check_contract("json:dumps")
    stateful_sgd = {"enabled": True, "estimator": SGD, "training": {"mode": "stateful"}}
    assert not list(estimators.misfits(Toy(tmp_path).declare(retrain=stateful_sgd)))


def test_a_continued_model_learns_a_change_and_keeps_its_columns(tmp_path: Path) -> None:
    toy = Toy(tmp_path)
    monitor, frame, first, _ = made(toy, SGD["class"], loss="log_loss")
    flipped = frame.assign(outcome=1 - frame["outcome"], channel=frame["channel"].mask(frame["x"] > 1, "kiosk"))
    declared = Estimator.model_validate(SGD)
    assert stateful.continues(declared, first.model)
    assert not stateful.continues(Estimator(**{"class": BOOST}), first.model)
    request = TrainRequest("toy", "binary", 7, "roc_auc", ("0", "1"), parent=first.model)
    before = first.model.predict_proba(frame[list(monitor.schema_.features)])
    model = first.model
    for _ in range(6):
        request = TrainRequest("toy", "binary", 7, "roc_auc", ("0", "1"), parent=model)
        model = stateful.proceed(declared, as_training_set(monitor, flipped), request).model
    assert isinstance(model[-1], SGDClassifier) and model[-1].t_ > first.model[-1].t_
    np.testing.assert_array_equal(first.model.predict_proba(frame[list(monitor.schema_.features)]), before)

    def auc(one: Any, rows: pd.DataFrame) -> float:
        return float(roc_auc_score(rows["outcome"], one.predict_proba(rows[list(monitor.schema_.features)])[:, 1]))

    assert auc(first.model, flipped) < 0.4 < 0.6 < auc(model, flipped)


def test_a_class_that_the_parent_never_saw_is_refused(tmp_path: Path) -> None:
    toy = Toy(tmp_path, "multiclass")
    monitor, frame, first, _ = made(toy, SGD["class"], loss="log_loss")
    request = TrainRequest("toy", "multiclass", 7, "f1_macro", CLASSES, parent=first.model)
    rows: TrainingSet = as_training_set(monitor, frame.assign(outcome="fox"))
    with pytest.raises(RetrainError, match=r"classes that the champion was not trained on: 'fox'.*mode: stateless"):
        stateful.proceed(Estimator.model_validate(SGD), rows, request)


def test_a_trainer_that_returns_what_cannot_predict_is_told_so(tmp_path: Path) -> None:
    monitor, rows = Toy(tmp_path).declare(), as_training_set(Toy(tmp_path).declare(), frame_of_toy(Toy(tmp_path), 1))
    request = TrainRequest("toy", "binary", 7, "roc_auc", ("0", "1"))
    for name, said in {
        "returns_text": r"returned str; return .*TrainedModel",
        "returns_no_model": r"type object that cannot predict",
        "raises": r"the trainer raised KeyError: 'no such column' \(.*bad_trainers.py:\d+\)",
    }.items():
        policy = monitor.retrain.model_copy(update={"trainer": TRAINERS + name})
        with pytest.raises(RetrainError, match=said):
            trained(policy, rows, request)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (Own(float("nan")), r"900 of 900 scores are not finite numbers, the first in row 0"),
        (Own(1.5), r"scores row 0 outside \[0, 1\]"),
        (object(), r"has no `predict_proba`, and the monitor declares scores"),
        (LinearRegression(), r"has no `predict_proba`"),
        (LogisticRegression(), r"the model cannot score 900 rows: NotFittedError"),
    ],
)
def test_scores_that_cannot_be_used_are_refused(tmp_path: Path, model: Any, said: str) -> None:
    toy = Toy(tmp_path)
    monitor = toy.declare()
    with pytest.raises(RetrainError, match=said):
        score(Model(model, "binary", monitor.schema_.features, ("0", "1")), frame_of_toy(toy), monitor)


def test_a_class_of_ones_own_is_not_kept_without_trust(tmp_path: Path) -> None:
    model = Model(Own(0.5), "binary", ("x",), ("0", "1"))
    with pytest.raises(RetrainError, match=r"cannot be kept without pickle: .*bad_trainers.Own.*trust_pickle: true"):
        dumped(model, trust_pickle=False)
    content, kind = dumped(model, trust_pickle=True)
    assert kind == "pickle" and parsed(content, kind, trust_pickle=True).estimator.score == 0.5
    with pytest.raises(RetrainError, match=r"is a pickle, which runs code .*trust_pickle: true"):
        parsed(content, kind, trust_pickle=False)


def test_threshold_and_classes_decide_the_prediction(tmp_path: Path) -> None:
    toy = Toy(tmp_path)
    monitor, frame = toy.declare(), frame_of_toy(toy, 1)
    for threshold, said in ((0.3, "1"), (0.300001, "0")):
        model = Model(Own(0.3), "binary", monitor.schema_.features, ("0", "1"), threshold)
        assert set(score(model, frame, monitor)["predicted"]) == {said}
    yes = monitor.model_copy(update={"schema_": monitor.schema_.model_copy(update={"positive_class": "yes"})})
    labelled = LogisticRegression().fit(frame[["amount"]], frame["outcome"].map({1: "yes", 0: "no"}))
    schema = yes.schema_.model_copy(update={"numerical": ("amount",), "categorical": (), "boolean": ()})
    yes = yes.model_copy(update={"schema_": schema})
    found = score(Model(labelled, "binary", ("amount",), ("no", "yes")), frame, yes)
    np.testing.assert_array_equal(found["score"], labelled.predict_proba(frame[["amount"]])[:, 1])
    assert found["predicted"].tolist() == labelled.predict(frame[["amount"]]).tolist()
