"""`validate` notes where challengers are compared by what their estimator does not optimise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from monitoring_pipeline.retraining.loss import note_on_metric
from monitoring_pipeline_tests.toy import Task, Toy

BOOSTING = "sklearn.ensemble.HistGradientBoosting"
LINEAR = "sklearn.linear_model."


@pytest.mark.parametrize(
    ("task", "estimator", "parameters", "metric", "said"),
    [
        (
            "regression",
            f"{BOOSTING}Regressor",
            {},
            None,
            "compared by mae, and HistGradientBoostingRegressor optimises",
        ),
        ("regression", f"{BOOSTING}Regressor", {}, "rmse", None),
        ("regression", f"{BOOSTING}Regressor", {"loss": "absolute_error"}, None, None),
        ("regression", f"{BOOSTING}Regressor", {"loss": "absolute_error"}, "rmse", "write `metric: mae`"),
        ("regression", f"{LINEAR}Ridge", {}, "mae", "optimises squared error"),
        ("regression", f"{BOOSTING}Regressor", {"loss": "poisson"}, None, None),
        ("binary", f"{LINEAR}LogisticRegression", {}, None, None),
        ("binary", f"{LINEAR}SGDClassifier", {}, None, "optimises a margin"),
        ("binary", f"{LINEAR}SGDClassifier", {"loss": "log_loss"}, None, None),
        ("binary", f"{LINEAR}SGDClassifier", {}, "accuracy", None),
        ("binary", f"{LINEAR}Absent", {}, None, None),
    ],
)
def test_a_metric_that_is_not_the_loss_is_noted(
    tmp_path: Path, task: Task, estimator: str, parameters: dict[str, Any], metric: str | None, said: str | None
) -> None:
    retrain = {"estimator": {"class": estimator, "parameters": parameters}, "metric": metric}
    found = note_on_metric(Toy(tmp_path, task).declare(retrain=retrain))
    assert found is None if said is None else found is not None and said in found, found


def test_of_a_user_s_trainer_nothing_is_said(tmp_path: Path) -> None:
    assert note_on_metric(Toy(tmp_path, "regression").declare(retrain={"trainer": "a:b"})) is None
