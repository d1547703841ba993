"""Challengers from the training set to the registered artifact, and every way in which a trainer can fail."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from monitoring_pipeline.errors import RetrainError
from monitoring_pipeline.retraining.artifacts import load, save
from monitoring_pipeline.retraining.model import Model
from monitoring_pipeline.retraining.scoring import outputs, score
from monitoring_pipeline.retraining.training import train
from monitoring_pipeline.retraining.training_set import labelled_rows
from monitoring_pipeline.settings import Settings
from monitoring_pipeline.warehouse.database import Warehouse
from monitoring_pipeline.warehouse.model_versions import ModelVersion, model_versions, register_version
from monitoring_pipeline_tests.toy import Toy

from .bad_trainers import Own
from .shop import RETRAIN, Shop, at

BOOSTING = {"class": "sklearn.ensemble.GradientBoostingClassifier", "parameters": {"n_estimators": 7}}
TRAINERS = "monitoring_pipeline_tests.retraining.bad_trainers:"


@pytest.fixture
def shop(warehouse: Warehouse, settings: Settings, tmp_path: Path) -> Shop:
    return Shop(warehouse, settings, Toy(tmp_path)).open(range(4), reference_days=6)


def with_trainer(shop: Shop, name: str, **training: Any) -> Shop:
    retrain = {key: value for key, value in RETRAIN.items() if key != "estimator"}
    shop.monitor = shop.toy.declare(retrain=retrain | {"trainer": TRAINERS + name, "training": training})
    return shop


def registered(shop: Shop) -> dict[str, ModelVersion]:
    with shop.warehouse.transaction() as conn:
        return model_versions(conn, shop.monitor.name)


def test_a_declared_estimator_becomes_a_registered_challenger(shop: Shop) -> None:
    shop.monitor = shop.toy.declare(retrain=RETRAIN | {"estimator": BOOSTING})
    version = train(shop.ctx, shop.attempt(4.0, "performance"))
    assert registered(shop) == {"next": version} and version.role == "challenger"
    assert version.algorithm == "GradientBoostingClassifier" and version.artifact_format == "skops"
    assert version.n_rows == 9 * shop.n_rows and version.labels_known_at == at(4) and version.train_end == at(3)
    assert version.cpu_seconds and version.peak_rss_bytes and version.environment["scikit-learn"]
    rows = labelled_rows(shop.ctx, at(0), at(3), at(4))
    found = outputs(load(shop.ctx, version), rows, shop.monitor)
    logged = score(load(shop.ctx, "next"), rows, shop.monitor)
    assert logged["score"].equals(found["score"]) and set(logged["predicted"]) == {"0", "1"}
    metrics = dict(shop.query("select metric, value from monitoring.training_metric_current where split = 'train'"))
    assert 0.6 < metrics["roc_auc"] < 1 and metrics["roc_auc"] == pytest.approx(version.training_metrics["roc_auc"])
    curve = shop.query("select iteration, value from monitoring.training_curve_current order by 1")
    assert [one.iteration for one in curve] == list(range(1, 8)) and curve[0].value > curve[-1].value


BAD = {
    "raises": ({}, r"the trainer raised KeyError: 'no such column' \(.*bad_trainers.py:\d+\)"),
    "hangs": ({"time_limit": "6s"}, r"took longer than 6s .*time_limit.*its last output: .*about to wait"),
    "allocates": ({"memory_limit_mb": 500}, r"needs more than 500 MB.*memory_limit_mb"),
    "kills_itself": ({}, r"ended by SIGKILL .*memory_limit_mb"),
    "exits": ({}, r"sys.exit\('enough'\)"),
    "leaves_quietly": ({}, r"without a result"),
    "nan_scores": ({"trust_pickle": True}, r"scores are not finite numbers, the first in row 0"),
}


@pytest.mark.slow
def test_a_bad_trainer_fails_alone(shop: Shop) -> None:
    """One after the other in one process, as under Dagster: none of them disturbs the next."""
    attempt = shop.attempt(4.0, "performance")
    for trainer, (limits, said) in BAD.items():
        with pytest.raises(RetrainError, match=said):
            train(with_trainer(shop, trainer, **limits).ctx, attempt)
        assert not list((shop.settings.home / "tmp" / "training").iterdir()), trainer
    assert registered(shop) == {} and not list((shop.settings.home / "models").glob("*/*"))


def test_too_few_rows_and_one_class_are_said(shop: Shop) -> None:
    attempt = shop.attempt(4.0, "performance")
    shop.monitor = shop.toy.declare(retrain=RETRAIN | {"guards": {"min_labels": 10_000}})
    with pytest.raises(RetrainError, match=r"has 360 labelled rows, and retrain.guards.min_labels asks for 10000"):
        train(shop.ctx, attempt)
    schema = shop.toy.declaration()["schema"] | {"positive_class": "late"}
    shop.monitor = shop.toy.declare(schema=schema, retrain=RETRAIN)
    with pytest.raises(RetrainError, match=r"one outcome.*positive_class"):
        train(shop.ctx, attempt)


def test_nothing_outlives_a_training_and_its_artifact_is_opened_only_as_registered(shop: Shop) -> None:
    version = train(with_trainer(shop, "leaves_a_process").ctx, shop.attempt(4.0, "performance"))
    running = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert "time.sleep(97)" not in running
    assert load(shop.ctx, version).threshold == 0.4 and version.hyperparameters == {"C": 1.0, "threshold": 0.4}
    path = Path(version.artifact_uri or "")
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(RetrainError, match=r"not the recorded .* was altered and is not loaded"):
        load(shop.ctx, version)
    path.unlink()
    with pytest.raises(RetrainError, match=r"the artifact cannot be read .* choose another version"):
        load(shop.ctx, version)
    path.write_bytes(content)
    assert load(shop.ctx, version).estimator.predict_proba
    with pytest.raises(RetrainError, match="'other' is not registered"):
        load(shop.ctx, replace(version, model_version="other"))
    with pytest.raises(RetrainError, match="registered with another artifact"):
        load(shop.ctx, replace(version, artifact_sha256="0" * 64))
    with shop.warehouse.transaction() as conn:
        register_version(conn, shop.monitor.name, replace(version, pruned_at=at(9)), run_id=None)
    with pytest.raises(RetrainError, match="was deleted on 2024-03-10"):
        load(shop.ctx, version)


def test_a_model_registered_by_hand_is_loaded_and_a_pickle_only_where_it_is_trusted(shop: Shop) -> None:
    model = Model(Own(0.25), "binary", shop.monitor.schema_.features, ("0", "1"))
    kept = save(model, shop.settings, shop.monitor.name, trust_pickle=True)
    assert kept == save(model, shop.settings, shop.monitor.name, trust_pickle=True), "written once"
    version = ModelVersion(
        "1", "champion", artifact_uri=kept.uri, artifact_sha256=kept.sha256, artifact_format=kept.format
    )
    with shop.warehouse.transaction() as conn:
        register_version(conn, shop.monitor.name, version, run_id=None)
    with pytest.raises(RetrainError, match=r"toy, model version '1', .*is a pickle, which runs code .*trust_pickle"):
        load(shop.ctx, version)
    assert load(with_trainer(shop, "own", trust_pickle=True).ctx, "1").estimator.score == 0.25


SGD: dict[str, Any] = {"class": "sklearn.linear_model.SGDClassifier", "parameters": {"loss": "log_loss"}}


@pytest.mark.slow
def test_every_trial_of_a_search_is_a_row(shop: Shop) -> None:
    search = {"method": "halving", "space": {"alpha": [1e-4, 1e-2, -1.0]}, "folds": 2}
    shop.monitor = shop.toy.declare(retrain=RETRAIN | {"estimator": SGD, "training": {"search": search}})
    version = train(shop.ctx, shop.attempt(4.0, "performance"))
    trials = shop.query(
        "select trial, state, hyperparameters, metric, value, fold_values, rung, n_resources, cpu_seconds, error"
        " from monitoring.tuning_trial_current order by trial"
    )
    assert [one.state for one in trials[2:]] == ["failed"] and "alpha" in trials[2].error
    best = next(one for one in trials if one.state == "complete")
    assert (
        version.hyperparameters["alpha"] == best.hyperparameters["alpha"]
        and version.hyperparameters["loss"] == "log_loss"
    )
    assert best.rung == 1 and best.metric == "roc_auc" and len(best.fold_values) == 2 and best.cpu_seconds > 0
    assert best.value == pytest.approx(sum(best.fold_values) / 2) and 0.5 < best.value < 1
    split = shop.query("select value from monitoring.training_metric_current where split = 'validation'")
    assert [one.value for one in split] == [best.value]


@pytest.mark.slow
def test_a_stateful_training_continues_the_champion_on_what_is_new(shop: Shop) -> None:
    stateful = RETRAIN | {"estimator": SGD, "training": {"mode": "stateful"}}
    shop.monitor = shop.toy.declare(retrain=stateful)
    first = train(shop.ctx, shop.attempt(3.0, "performance", name="one"))
    assert first.parent_version is None and first.train_end == at(2)
    second = train(shop.ctx, shop.attempt(4.0, "performance", champion="one", name="two"))
    assert second.parent_version == "one" and second.n_rows == shop.n_rows
    assert (second.train_start, second.train_end) == (at(2), at(3))
    one, two = load(shop.ctx, first).estimator, load(shop.ctx, second).estimator
    assert two[-1].t_ == one[-1].t_ + 5 * shop.n_rows, "five passes over the new rows, and none over the old"
    assert (two[0].transformers_[0][1][0].statistics_ == one[0].transformers_[0][1][0].statistics_).all()
    with pytest.raises(RetrainError, match=r"champion two was trained on rows up to 2024-03-04, and nothing newer"):
        train(shop.ctx, shop.attempt(4.0, "performance", champion="two", name="three"))
