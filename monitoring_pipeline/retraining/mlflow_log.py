"""Tells MLflow of each attempt, where ``MLFLOW_TRACKING_URI`` is set and the extra ``mlflow`` is installed.

The warehouse remains the record: what fails here is logged, and neither an attempt nor a promotion fails of it.
"""

from __future__ import annotations

import logging
import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from math import isfinite
from pathlib import Path
from typing import Any

from monitoring_pipeline.retraining import artifacts
from monitoring_pipeline.retraining.context import Attempt, RetrainContext
from monitoring_pipeline.warehouse import training_store
from monitoring_pipeline.warehouse.model_versions import ModelVersion

log = logging.getLogger(__name__)

ALIAS = "champion"
LONGEST_PARAMETER = 6000  # limits of MLflow: characters, and rows of one request
PARAMETERS_A_REQUEST, METRICS_A_REQUEST = 100, 1000
PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}
"""Unless the environment says otherwise: by default a server that is away is asked again for minutes."""


def log_attempt(ctx: RetrainContext, attempt: Attempt, version: ModelVersion) -> str | None:
    """A run of experiment ``monitor`` with parameters, metrics, curves and the artifact, and a version of the
    registered model ``monitor``; of a promoted one with the alias ``champion``. The run's id; None: MLflow was not
    told.
    """
    return _told(ctx, lambda client: _log(client, ctx, attempt, version))


def name_champion(ctx: RetrainContext, model_version: str) -> str | None:
    """The alias ``champion`` moves to this version, after a change by hand; its number in MLflow.

    The alias goes where MLflow does not know the version.
    """
    return _told(ctx, lambda client: _name(client, ctx.monitor.name, model_version))


def _told(ctx: RetrainContext, tell: Callable[[Any], str | None]) -> str | None:
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        return None
    for key, value in PATIENCE.items():
        os.environ.setdefault(key, value)
    try:
        return tell(import_module("mlflow").MlflowClient())
    except ModuleNotFoundError as error:
        remedy = "pip install 'monitoring-pipeline[mlflow]', or unset MLFLOW_TRACKING_URI"
        log.warning("%s: MLflow is not told: %s; %s", ctx.monitor.name, error, remedy)
    except Exception as error:  # noqa: BLE001  whatever a server or its client raises
        log.warning("%s: MLflow was not told: %s: %s", ctx.monitor.name, type(error).__name__, error)
    return None


def _log(client: Any, ctx: RetrainContext, attempt: Attempt, version: ModelVersion) -> str:
    name = ctx.monitor.name
    tags = {
        "monitor": name, "model_version": version.model_version, "trigger": attempt.trigger, "outcome": attempt.state,
        "reason": attempt.reason or "", "champion": attempt.champion_version or "",
        "sha256": version.artifact_sha256 or "", "labels_known_before": attempt.as_of.isoformat(),
    }  # fmt: skip
    known = client.get_experiment_by_name(name)
    experiment = client.create_experiment(name) if known is None else known.experiment_id
    run: str = client.create_run(experiment, run_name=version.model_version, tags=tags).info.run_id
    curves = ctx.warehouse.run(lambda conn: training_store.curves(conn, name, version.model_version))
    _log_numbers(client, run, version, curves)
    _log_artifact(client, run, version)
    client.set_terminated(run)
    _register(client, run, name, tags)
    if attempt.state == "promoted":
        _name(client, name, version.model_version)
    return run


def _log_numbers(
    client: Any, run: str, version: ModelVersion, curves: Mapping[tuple[str, str], Sequence[float]]
) -> None:
    entities, now = import_module("mlflow.entities"), int(time.time() * 1000)
    parameters = [entities.Param(key, str(value)[:LONGEST_PARAMETER]) for key, value in version.hyperparameters.items()]
    numbers = {
        **version.training_metrics, "rows": version.n_rows, "seconds": version.duration_seconds,
        "cpu_seconds": version.cpu_seconds, "peak_memory_bytes": version.peak_rss_bytes,
    }  # fmt: skip
    points = [(key, value, 0) for key, value in numbers.items() if value is not None]
    for (split, metric), values in curves.items():
        points += [(f"{split}/{metric}", value, step) for step, value in enumerate(values)]
    metrics = [entities.Metric(key, float(value), now, step) for key, value, step in points if isfinite(value)]
    for at in range(0, len(parameters), PARAMETERS_A_REQUEST):
        client.log_batch(run, params=parameters[at : at + PARAMETERS_A_REQUEST])
    for at in range(0, len(metrics), METRICS_A_REQUEST):
        client.log_batch(run, metrics=metrics[at : at + METRICS_A_REQUEST])


def _log_artifact(client: Any, run: str, version: ModelVersion) -> None:
    """The verified bytes, under the name they have here."""
    uri = version.artifact_uri or ""
    content = artifacts.verified(uri, version.artifact_sha256 or "")
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / uri.rpartition("/")[2]
        path.write_bytes(content)
        client.log_artifact(run, str(path), "model")


def _register(client: Any, run: str, name: str, tags: Mapping[str, str]) -> None:
    if not client.search_registered_models(filter_string=f"name = '{name}'"):
        client.create_registered_model(name)
    source = f"{client.get_run(run).info.artifact_uri}/model"
    client.create_model_version(name, source=source, run_id=run, tags=dict(tags))


def _name(client: Any, name: str, model_version: str) -> str | None:
    known = client.search_model_versions(f"name = '{name}'")
    numbers = [int(one.version) for one in known if one.tags.get("model_version") == model_version]
    if numbers:
        client.set_registered_model_alias(name, ALIAS, str(max(numbers)))
        return str(max(numbers))
    if known:
        client.delete_registered_model_alias(name, ALIAS)
    return None
