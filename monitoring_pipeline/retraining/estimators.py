"""scikit-learn estimators by declaration alone: the columns are prepared as their declared kinds need."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from monitoring_pipeline.errors import DeclarationError, RetrainError
from monitoring_pipeline.monitors.declaration import Monitor
from monitoring_pipeline.monitors.retraining import Estimator
from monitoring_pipeline.retraining.contract import TrainedModel, TrainingSet, TrainRequest

MAX_CATEGORIES = 200  # boosting takes 255 bins at most; the rare rest is one category
MAX_COLUMNS = 50  # one-hot columns of a feature; the rare rest is one column
WHY_NOT_WARM = (
    "`warm_start` on other rows makes new bins and reads its old trees through them (measured on the demo: ROC AUC .716"
    " instead of .735); remove it. `mode: stateful` with an estimator that has `partial_fit` continues a model"
)
BOOSTING = (HistGradientBoostingClassifier, HistGradientBoostingRegressor)


def estimator_class(path: str) -> type:
    """The class that ``sklearn.module.Class`` names. Raises DeclarationError."""
    module, _, name = path.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name, None)
    except ImportError as error:
        raise DeclarationError(f"{path!r}: {module!r} cannot be imported ({error}); correct the path") from error
    if not (inspect.isclass(found) and issubclass(found, ClassifierMixin | RegressorMixin)):
        raise DeclarationError(f"{path!r} is no classifier or regressor of scikit-learn; correct the path")
    return found


def misfits(monitor: Monitor) -> Iterable[tuple[tuple[str, ...], str]]:
    """What is wrong with ``retrain.estimator`` and its search, as (where below ``retrain``, what and the remedy)."""
    policy = monitor.retrain
    if policy.estimator is None:
        return
    try:
        cls = estimator_class(policy.estimator.class_)
    except DeclarationError as error:
        yield ("estimator", "class"), str(error)
        return
    kind, name = (RegressorMixin, "regressor") if monitor.task == "regression" else (ClassifierMixin, "classifier")
    if not issubclass(cls, kind):
        yield ("estimator", "class"), f"{cls.__name__} is no {name}, and the task is {monitor.task}"
        return
    tried = policy.training.search.space if policy.training.search else {}
    wrong = [*_wrong_parameters(cls, policy.estimator.parameters, ("estimator", "parameters"))]
    wrong += _wrong_parameters(cls, tried, ("training", "search", "space"))
    yield from wrong
    if policy.training.mode == "stateful" and not hasattr(cls, "partial_fit"):
        yield (
            ("training", "mode"),
            f"stateful needs an estimator with `partial_fit`, and {cls.__name__} has none; use SGDClassifier,"
            " MLPClassifier, their regressors, or mode: stateless",
        )
    if not wrong:
        yield from _unable(monitor, cls, policy.estimator)


def _wrong_parameters(
    cls: type, given: Mapping[str, Any], where: tuple[str, ...]
) -> Iterable[tuple[tuple[str, ...], str]]:
    known = sorted(inspect.signature(cls).parameters)
    for name in given:
        if name not in known:
            yield where, f"{cls.__name__} has no parameter {name!r}; it has: {', '.join(known)}"
        elif name == "warm_start" and given[name]:
            yield where, WHY_NOT_WARM


def _unable(monitor: Monitor, cls: type, declared: Estimator) -> Iterable[tuple[tuple[str, ...], str]]:
    try:
        instance = cls(**declared.parameters)
    except TypeError as error:
        yield ("estimator", "parameters"), f"{cls.__name__} cannot be made of them: {error}"
        return
    schema = monitor.schema_
    if (schema.score or schema.class_scores) and not hasattr(instance, "predict_proba"):
        yield (
            ("estimator",),
            f"the monitor declares scores, and {cls.__name__} gives no probabilities with these parameters (for"
            " SGDClassifier write loss: log_loss)",
        )


def train(declared: Estimator, training: TrainingSet, request: TrainRequest) -> TrainedModel:
    """Fit the declared estimator behind the preparation of its columns. Raises what scikit-learn raises."""
    cls = estimator_class(declared.class_)
    parameters = {**declared.parameters, **request.parameters}
    if parameters.get("warm_start"):
        raise RetrainError(WHY_NOT_WARM)
    pipeline = pipeline_of(cls, parameters, training, request.seed)
    pipeline.fit(training.features, training.outcome)
    return TrainedModel(pipeline, parameters=parameters, algorithm=cls.__name__)


def pipeline_of(cls: type, parameters: Mapping[str, Any], training: TrainingSet, seed: int) -> Pipeline:
    """Preparation and estimator, not fitted. ``random_state`` is the seed unless it is declared."""
    given = dict(parameters)
    if "random_state" in inspect.signature(cls).parameters:
        given.setdefault("random_state", seed)
    boosting = issubclass(cls, BOOSTING)
    if boosting and training.categorical:
        first = len(training.numerical)
        given.setdefault("categorical_features", list(range(first, first + len(training.categorical))))
    return Pipeline([("prepare", preparation(training, boosting)), ("model", cls(**given))])


def preparation(training: TrainingSet, boosting: bool) -> ColumnTransformer:
    """Boosting over histograms takes missing values and codes of categories as they are. Every other estimator is given
    imputed, standardized numbers and one column per category.

    A category that the training rows lack is as a missing one, or as the rare ones.
    """
    if boosting:
        encode = OrdinalEncoder(
            handle_unknown="use_encoded_value", unknown_value=np.nan, encoded_missing_value=np.nan,
            max_categories=MAX_CATEGORIES,
        )  # fmt: skip
        steps = [("numerical", "passthrough"), ("categorical", encode), ("boolean", "passthrough")]
    else:
        scale = Pipeline([
            ("fill", SimpleImputer(strategy="median", keep_empty_features=True)), ("scale", StandardScaler()),
        ])  # fmt: skip
        encode = OneHotEncoder(
            handle_unknown="infrequent_if_exist", max_categories=MAX_COLUMNS, sparse_output=False, dtype=np.float64
        )
        fill = SimpleImputer(strategy="constant", fill_value=0.5, keep_empty_features=True)
        steps = [("numerical", scale), ("categorical", encode), ("boolean", fill)]
    columns = {"numerical": training.numerical, "categorical": training.categorical, "boolean": training.boolean}
    return ColumnTransformer([(name, step, list(columns[name])) for name, step in steps if columns[name]])
