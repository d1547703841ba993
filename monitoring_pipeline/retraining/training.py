"""Training a challenger: training set, child process, artifact, registered version."""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
from sqlalchemy import Connection

from monitoring_pipeline import __version__
from monitoring_pipeline.errors import RetrainError
from monitoring_pipeline.lake.duck import scratch
from monitoring_pipeline.retraining.artifacts import registered, store, verified
from monitoring_pipeline.retraining.child import Limits, Usage, run_child
from monitoring_pipeline.retraining.context import Attempt, RetrainContext
from monitoring_pipeline.retraining.training_set import TrainingRows, training_rows
from monitoring_pipeline.warehouse import profile_store, training_store
from monitoring_pipeline.warehouse.model_versions import ModelVersion, model_versions, register_version

log = logging.getLogger(__name__)


def train(ctx: RetrainContext, attempt: Attempt, rows: TrainingRows | None = None) -> ModelVersion:
    """Train the challenger of an attempt and register it with its artifact, metrics, curves and trials.

    ``rows``: its training set, made here when None. Done over after a crash it registers the same version anew. Raises
    RetrainError when the rows are too few, or whatever the user's trainer does wrong; nothing is registered then.
    """
    rows = rows or training_rows(ctx, attempt)
    classes, parent = _check_rows(ctx, rows.fitted), _parent(ctx, attempt)
    if parent is not None:
        rows = _not_seen(ctx, parent, rows)
    directory = Path(tempfile.mkdtemp(dir=scratch(ctx.settings, "training")))
    try:
        usage, result = _in_child(ctx, rows, classes, parent, directory)
        stored = store((directory / "model.bin").read_bytes(), result["format"], ctx.settings, ctx.monitor.name)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    version = ModelVersion(
        attempt.challenger_version, "challenger",
        trained_at=datetime.now(UTC), train_start=rows.start, train_end=rows.end,
        algorithm=result["algorithm"], hyperparameters=result["parameters"],
        training_metrics=_headlines(result["metrics"]), artifact_uri=stored.uri, artifact_sha256=stored.sha256,
        attempt_id=attempt.attempt_id, parent_version=parent.model_version if parent else None,
        n_rows=len(rows.fitted), labels_known_at=rows.known_before, data_version=rows.data_version,
        artifact_format=stored.format, artifact_bytes=stored.n_bytes, environment=result["environment"],
        duration_seconds=usage.seconds, cpu_seconds=usage.cpu_seconds, peak_rss_bytes=usage.peak_rss_bytes,
    )  # fmt: skip
    ctx.warehouse.run(lambda conn: _register(conn, ctx, version, result))
    return version


def _not_seen(ctx: RetrainContext, parent: ModelVersion, rows: TrainingRows) -> TrainingRows:
    """Of a continued training: the rows after those that its parent was trained on."""
    if parent.train_end is None or parent.train_end <= rows.start:
        return rows
    fitted, held_out = (_after(frame, parent.train_end) for frame in (rows.fitted, rows.held_out))
    if fitted.empty:
        raise RetrainError(
            f"{ctx.monitor.name}: the champion {parent.model_version} was trained on rows up to"
            f" {parent.train_end:%Y-%m-%d}, and nothing newer is mature; wait for labels"
        )
    return replace(rows, start=parent.train_end, fitted=fitted, held_out=held_out)


def _after(frame: pd.DataFrame, moment: datetime) -> pd.DataFrame:
    return frame[frame["event_time"] >= moment].reset_index(drop=True)


def _parent(ctx: RetrainContext, attempt: Attempt) -> ModelVersion | None:
    """The champion that a stateful training continues; None when it cannot be: the first one then trains anew."""
    policy = ctx.monitor.retrain
    if policy.training.mode != "stateful" or attempt.champion_version is None:
        return None
    known = ctx.warehouse.run(lambda conn: model_versions(conn, ctx.monitor.name)).get(attempt.champion_version)
    if known is None or known.artifact_format is None:
        said = "%s: champion %s has no artifact that can be continued; a new model is trained"
        log.warning(said, ctx.monitor.name, attempt.champion_version)
        return None
    estimator = policy.estimator
    if estimator is not None and known.algorithm != estimator.class_.rpartition(".")[2]:
        log.warning("%s: champion %s is another estimator; a new one is trained", ctx.monitor.name, known.algorithm)
        return None
    verified(registered(ctx, known).artifact_uri or "", known.artifact_sha256 or "")
    return known


def _check_rows(ctx: RetrainContext, fitted: pd.DataFrame) -> tuple[str, ...]:
    """The classes, as the log writes them: binary (negative, positive). Raises RetrainError for too few rows."""
    monitor = ctx.monitor
    least = monitor.retrain.guards.min_labels
    if len(fitted) < least:
        raise RetrainError(
            f"{monitor.name}: the training set has {len(fitted)} labelled rows, and retrain.guards.min_labels asks for"
            f" {least}; wait for labels, or lower it"
        )
    if monitor.task == "regression":
        return ()
    found = sorted(set(fitted["outcome"].tolist()))
    if len(found) < 2:
        raise RetrainError(
            f"{monitor.name}: all {len(fitted)} rows of the training set have one outcome; take a longer training"
            " window, or see that ground_truth.outcome and schema.positive_class are declared as the data has them"
        )
    return tuple(found) if monitor.task == "multiclass" else (_negative(ctx), monitor.schema_.positive_class)


def _negative(ctx: RetrainContext) -> str:
    """How the log writes the class that is not positive: as the reference has it, else the counterpart."""
    known = ctx.warehouse.run(lambda conn: profile_store.references(conn, ctx.monitor.name))
    for reference in known.values():
        if len(reference.layout.outcome.classes) == 2:
            return reference.layout.outcome.classes[0]
    positive = ctx.monitor.schema_.positive_class
    counterparts = {"1": "0", "0": "1", "true": "false", "false": "true", "yes": "no", "no": "yes"}
    return counterparts.get(positive, f"not {positive}")


def _in_child(
    ctx: RetrainContext, rows: TrainingRows, classes: tuple[str, ...], parent: ModelVersion | None, directory: Path
) -> tuple[Usage, dict[str, Any]]:
    monitor, training = ctx.monitor, ctx.monitor.retrain.training
    rows.fitted.to_parquet(directory / "fitted.parquet", index=False)
    rows.held_out.to_parquet(directory / "held_out.parquet", index=False)
    task = {"monitor": monitor.model_dump(mode="json", by_alias=True), "classes": classes, "parent": None}
    if parent is not None:
        task["parent"] = {
            "uri": parent.artifact_uri, "sha256": parent.artifact_sha256, "format": parent.artifact_format,
        }  # fmt: skip
    (directory / "task.json").write_text(json.dumps(task))

    def listen(said: Mapping[str, Any]) -> None:
        log.info("%s: %s", monitor.name, ", ".join(f"{key} {value}" for key, value in said.items()))

    usage = run_child(directory, Limits(training.time_limit, training.memory_limit_mb), listen)
    try:
        result: dict[str, Any] = json.loads((directory / "result.json").read_text())
    except (OSError, ValueError) as error:
        raise RetrainError(
            f"{monitor.name}: the trainer ended its process without a result; it must return a TrainedModel"
        ) from error
    if "error" in result:
        raise RetrainError(f"{monitor.name}: {result['error']}")
    return usage, result


def _headlines(metrics: list[dict[str, Any]]) -> dict[str, float]:
    """For ``model_version``: on held-out days where there are some, without classes, cells and bins."""
    split = "test" if any(one["split"] == "test" for one in metrics) else "train"
    return {one["metric"]: one["value"] for one in metrics if one["split"] == split and "[" not in one["metric"]}


def _register(conn: Connection, ctx: RetrainContext, version: ModelVersion, result: Mapping[str, Any]) -> None:
    name = ctx.monitor.name
    register_version(conn, name, version, run_id=ctx.run_id, code_version=__version__)
    made = training_store.Made(name, version.model_version, ctx.run_id, __version__)
    training_store.write_metrics(conn, made, result["metrics"])
    training_store.write_curves(conn, made, result["curves"])
    trials = [{"attempt_id": version.attempt_id, "metric": result["metric"], **one} for one in result["trials"]]
    training_store.write_trials(conn, made, trials)
