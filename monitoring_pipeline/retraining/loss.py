"""Whether a declared estimator optimises what its challengers are compared by."""

from __future__ import annotations

import inspect
from typing import Any

from monitoring_pipeline.errors import DeclarationError
from monitoring_pipeline.monitors.declaration import Monitor
from monitoring_pipeline.retraining.estimators import estimator_class
from monitoring_pipeline.retraining.measuring import metric_of

SQUARED, ABSOLUTE, CHANCE, MARGIN = "squared error", "absolute error", "log loss", "a margin"
OF_LOSS = {
    "squared_error": SQUARED, "friedman_mse": SQUARED, "absolute_error": ABSOLUTE, "epsilon_insensitive": ABSOLUTE,
    "log_loss": CHANCE, "gini": CHANCE, "entropy": CHANCE, "hinge": MARGIN, "squared_hinge": MARGIN,
}  # fmt: skip
OF_METRIC = {
    "rmse": SQUARED, "r2": SQUARED, "mae": ABSOLUTE, "mape": ABSOLUTE, "log_loss": CHANCE, "brier": CHANCE,
    "roc_auc": CHANCE, "pr_auc": CHANCE, "expected_calibration_error": CHANCE,
}  # fmt: skip
REMEDY = {
    SQUARED: "write `metric: rmse`, or `parameters: {loss: absolute_error}` where the estimator has it",
    ABSOLUTE: "write `metric: mae`, or `parameters: {loss: squared_error}`",
    CHANCE: "write `metric: log_loss`",
    MARGIN: "write `parameters: {loss: log_loss}`",
}


def note_on_metric(monitor: Monitor) -> str | None:
    """What to know where the estimator optimises one thing and ``retrain.metric`` measures another.

    None when they agree or nobody can tell: of a user's trainer nothing is known. A refit may then make the metric
    worse though the model fits better: on the flights squared loss made MAE worse and RMSE better.
    """
    estimator = monitor.retrain.estimator
    if estimator is None:
        return None
    try:
        optimised = loss_of(estimator_class(estimator.class_), estimator.parameters, monitor.task)
    except DeclarationError:
        return None  # `validate` says so elsewhere
    metric = metric_of(monitor)
    asked = OF_METRIC.get(metric.removesuffix("_macro").removesuffix("_weighted"))
    if optimised is None or asked is None or asked == optimised:
        return None
    name = estimator.class_.rpartition(".")[2]
    return (
        f"retrain.metric: challengers are compared by {metric}, and {name} optimises {optimised}: a refit may make it"
        f" worse; {REMEDY[optimised]}"
    )


def loss_of(cls: type, parameters: dict[str, Any], task: str) -> str | None:
    """What an estimator with these parameters optimises; None when it is not known."""
    arguments = inspect.signature(cls).parameters
    for name in ("loss", "criterion"):
        if name in arguments:
            given = parameters.get(name, arguments[name].default)
            return OF_LOSS.get(given)
    return SQUARED if task == "regression" else CHANCE
