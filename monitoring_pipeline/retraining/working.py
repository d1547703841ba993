"""What the training process does, once it is confined: search, fit, check that the model scores, measure, keep it."""

from __future__ import annotations

import importlib.metadata
import json
import platform
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from monitoring_pipeline.errors import RetrainError
from monitoring_pipeline.metrics.performance import Estimate, higher_is_better
from monitoring_pipeline.monitors.declaration import Monitor
from monitoring_pipeline.retraining.artifacts import dumped, open_artifact, parsed
from monitoring_pipeline.retraining.contract import Curve, TrainedModel, TrainRequest
from monitoring_pipeline.retraining.measuring import metric_of, metrics_of_rows, value_of
from monitoring_pipeline.retraining.model import Model, threshold_of
from monitoring_pipeline.retraining.rows import as_training_set, feature_column
from monitoring_pipeline.retraining.scoring import outputs
from monitoring_pipeline.retraining.search import Found, Rows, Trial, search
from monitoring_pipeline.retraining.trainers import trained

PACKAGES = ("monitoring-pipeline", "scikit-learn", "numpy", "scipy", "pandas", "skops", "joblib")
CHECKED_ROWS = 500  # that must be scored equally by the model as it is loaded again

Result = dict[str, Any]


def train_here(directory: Path, report: Callable[..., None]) -> Result:
    """Do the task of a directory; the result as JSON values. Raises RetrainError."""
    task = json.loads((directory / "task.json").read_text())
    monitor = Monitor.model_validate(task["monitor"])
    fitted, held_out = (read_rows(directory / f"{name}.parquet", monitor) for name in ("fitted", "held_out"))
    request = TrainRequest(
        monitor.name, monitor.task, monitor.retrain.training.seed, metric_of(monitor), tuple(task["classes"]),
        parent=_parent(task["parent"], monitor), progress=partial(report, event="progress"),
    )  # fmt: skip
    found = _search(monitor, fitted, request, report)
    if found is not None:
        request = replace(request, parameters=found.parameters)
    training = as_training_set(monitor, fitted)
    made = trained(monitor.retrain, training, request)
    report(event="fitted", rows=len(training))
    model = model_of(made, monitor, request.classes)
    measured = _metrics(monitor, model, fitted, held_out)
    content, artifact_format = dumped(model, monitor.retrain.training.trust_pickle)
    _check_stored(model, parsed(content, artifact_format, True), monitor, fitted)
    (directory / "model.bin").write_bytes(content)
    from monitoring_pipeline.retraining.curves import curves_of  # brings scikit-learn

    curves = [*made.curves, *curves_of(made.model, training, as_training_set(monitor, held_out))]
    return {
        "format": artifact_format, "algorithm": made.algorithm or type(made.model).__name__,
        "parameters": _plain({**made.parameters, "threshold": model.threshold} if monitor.schema_.score
                             else made.parameters),
        "metric": request.metric, "metrics": measured + _validation(request.metric, found),
        "curves": [asdict(curve) for curve in _usable(curves)],
        "trials": [_plain(asdict(trial)) for trial in (found.trials if found else ())],
        "continued": request.parent is not None, "environment": environment(monitor),
    }  # fmt: skip


def read_rows(path: Path, monitor: Monitor) -> pd.DataFrame:
    """Labelled rows as ``rows.frame_of`` made them: text as object with NaN, numbers as float64."""
    frame = pq.read_table(path).to_pandas()
    schema = monitor.schema_
    text = {feature_column(name) for name in (*schema.categorical, *monitor.segment_columns)}
    text |= {"prediction_id", "model_version"} | ({"outcome", "prediction"} if monitor.task == "multiclass" else set())
    for name in text & set(frame.columns):
        column = frame[name].astype(object)
        frame[name] = column.where(column.notna(), np.nan)
    return frame


def model_of(made: TrainedModel, monitor: Monitor, classes: tuple[str, ...]) -> Model:
    """What a trainer returned, as it is kept and scored."""
    threshold = threshold_of(made.model, made.threshold)
    return Model(made.model, monitor.task, monitor.schema_.features, classes, threshold)


def environment(monitor: Monitor) -> dict[str, str]:
    """Versions of Python, the system and the packages a training rests on, the trainer's own among them."""
    names = set(PACKAGES)
    if monitor.retrain.trainer:
        top = monitor.retrain.trainer.partition(":")[0].partition(".")[0]
        names |= set(importlib.metadata.packages_distributions().get(top, ()))
    versions = {"python": platform.python_version(), "platform": platform.platform()}
    for name in sorted(names):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:  # run from a checkout
            continue
    return versions


def _parent(given: Mapping[str, Any] | None, monitor: Monitor) -> Any:
    if given is None:
        return None
    trusted = monitor.retrain.training.trust_pickle
    return open_artifact(given["uri"], given["sha256"], given["format"], trusted).estimator


def _search(monitor: Monitor, rows: pd.DataFrame, request: TrainRequest, report: Callable[..., None]) -> Found | None:
    declared = monitor.retrain.training.search
    if declared is None:
        return None
    better = higher_is_better(request.metric)

    def evaluate(parameters: Mapping[str, Any], fitted: Rows, validated: Rows) -> float:
        some = as_training_set(monitor, rows.iloc[fitted].reset_index(drop=True))
        made = trained(monitor.retrain, some, replace(request, parameters=parameters))
        later = rows.iloc[validated].reset_index(drop=True)
        scored = outputs(model_of(made, monitor, request.classes), later, monitor)
        return value_of(monitor, request.classes, later["outcome"], scored, request.metric)[0]

    def told(trial: Trial) -> None:
        report(event="trial", trial=trial.trial, state=trial.state, value=trial.value, rung=trial.rung)

    return search(declared, rows, evaluate, better is not False, told)


def _metrics(monitor: Monitor, model: Model, fitted: pd.DataFrame, held_out: pd.DataFrame) -> list[Result]:
    """Rows of ``training_metric``: train, and test on the held-out days."""
    rows = []
    for split, frame in (("train", fitted), ("test", held_out)):
        if len(frame):
            scored = outputs(model, frame, monitor)
            found = metrics_of_rows(monitor, model.classes, frame["outcome"], scored)
            rows += [_metric(split, name, one) for name, one in found.items() if one.value is not None]
    return rows


def _metric(split: str, name: str, one: Estimate) -> Result:
    return {"split": split, "metric": name, "value": one.value, "ci_low": one.low, "ci_high": one.high, "n": one.n}


def _validation(metric: str, found: Found | None) -> list[Result]:
    """The metric on the folds of the search: of the best of many trials, so it flatters."""
    if found is None:
        return []
    return [_metric("validation", metric, Estimate(found.value, None, None, found.n_validated))]


def _check_stored(model: Model, again: Model, monitor: Monitor, rows: pd.DataFrame) -> None:
    some = rows[-CHECKED_ROWS:]
    one, other = outputs(model, some, monitor), outputs(again, some, monitor)
    if not one.equals(other):
        raise RetrainError(
            f"the model {type(model.estimator).__name__} scores rows otherwise once it is stored and loaded; what it"
            " scores by must be part of it"
        )


def _usable(curves: list[Curve]) -> list[Curve]:
    """One curve for each split and metric, the trainer's own first, whose values are numbers."""
    found: dict[tuple[str, str], Curve] = {}
    for curve in curves:
        if curve.split not in ("train", "validation") or not curve.metric:
            raise RetrainError(
                f"the trainer returned a curve of split {curve.split!r} and metric {curve.metric!r}; the split is train"
                " or validation, and the metric has a name"
            )
        if len(curve.values) and np.isfinite(np.asarray(curve.values, dtype=float)).all():
            found.setdefault((curve.split, curve.metric), replace(curve, values=[float(v) for v in curve.values]))
    return list(found.values())


def _plain(value: Any) -> Any:
    """As JSON values: what is none, such as an infinite number, is written as text."""
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    plain = value is None or isinstance(value, str | bool | int) or (isinstance(value, float) and np.isfinite(value))
    return value if plain else str(value)
