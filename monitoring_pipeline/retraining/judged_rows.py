"""The rows that judge champion against challenger: mature, newest, and seen by neither in training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from monitoring_pipeline.errors import RetrainError
from monitoring_pipeline.monitors import Monitor
from monitoring_pipeline.profiles.profile import segment_label
from monitoring_pipeline.retraining import artifacts, scoring
from monitoring_pipeline.retraining.comparison import Outputs, PairedRows
from monitoring_pipeline.retraining.context import Attempt, RetrainContext
from monitoring_pipeline.retraining.model import Model
from monitoring_pipeline.retraining.rows import feature_column, score_column
from monitoring_pipeline.retraining.training_set import labelled_rows, mature_windows
from monitoring_pipeline.warehouse import model_versions
from monitoring_pipeline.warehouse.model_versions import ModelVersion

MOST_SEGMENTS = 200
"""Of one segmentation, those with the most rows."""


@dataclass(frozen=True)
class Span:
    """[start, end) of event time, with the labels that had arrived before ``known_before``; all in UTC."""

    start: datetime
    end: datetime
    known_before: datetime


@dataclass(frozen=True)
class Judged:
    """Rows that both models answered. ``answers``: where what the champion said comes from, in words."""

    rows: PairedRows
    span: Span
    answers: str


def span_of(ctx: RetrainContext, attempt: Attempt, champion: ModelVersion, challenger: ModelVersion) -> Span:
    """Which rows judge: the newest ``promote.compare_on`` of windows mature at the cut, or the windows of the shadow.

    It begins no earlier than where the training of either ended: a champion that was brought back may have seen more.
    """
    promote = ctx.monitor.retrain.promote
    trained = [v.train_end for v in (champion, challenger) if v.train_end is not None]
    if attempt.shadow_until is not None:
        end = attempt.shadow_until
        return Span(max([attempt.as_of - promote.compare_on, *trained]), end, end + ctx.monitor.labels.max_delay)
    mature = mature_windows(ctx, attempt.as_of)
    end = mature[-1].window.end if mature else attempt.as_of
    return Span(max([end - promote.compare_on, *trained]), end, attempt.as_of)


def shadow_ended(ctx: RetrainContext, attempt: Attempt, now: datetime) -> bool:
    """Whether all windows of the shadow were there and mature at ``now`` (UTC)."""
    assert attempt.shadow_until is not None
    if now < attempt.shadow_until:
        return False
    mature = mature_windows(ctx, now)
    return bool(mature) and mature[-1].window.end >= attempt.shadow_until


def judged_rows(ctx: RetrainContext, attempt: Attempt) -> Judged:
    """What both models say of the rows that judge.

    The challenger scores them, and so does a champion whose artifact is here; of any other champion its logged
    predictions count, on the rows it answered. Raises RetrainError when the challenger cannot be loaded or a model does
    not score.
    """
    versions = ctx.warehouse.run(lambda conn: model_versions.model_versions(conn, ctx.monitor.name))
    if attempt.champion_version is None or attempt.champion_version not in versions:
        raise RetrainError(
            f"{ctx.monitor.name} had no champion when this attempt began; there is nothing to compare with"
        )
    champion, challenger = versions[attempt.champion_version], versions[attempt.challenger_version]
    span = span_of(ctx, attempt, champion, challenger)
    model, answers = _loaded(ctx, champion)
    frame = labelled_rows(ctx, span.start, span.end, span.known_before) if span.start < span.end else pd.DataFrame()
    if model is None and len(frame):
        frame = _answered(frame, champion.model_version)
    if frame.empty:
        return Judged(_no_rows(ctx.monitor), span, answers)
    of_champion = frame if model is None else scoring.outputs(model, frame, ctx.monitor)
    of_challenger = scoring.outputs(artifacts.load(ctx, challenger), frame, ctx.monitor)
    return Judged(paired(ctx.monitor, frame, of_champion, of_challenger), span, answers)


def _loaded(ctx: RetrainContext, champion: ModelVersion) -> tuple[Model | None, str]:
    """The champion's model, if it is kept here and whole: a damaged one must not keep its successor out."""
    if champion.artifact_format is None:
        return None, "as logged"
    try:
        return artifacts.load(ctx, champion), "scored by its artifact"
    except RetrainError as error:
        return None, f"as logged, for its artifact cannot be used: {error}"


def _answered(frame: pd.DataFrame, version: str) -> pd.DataFrame:
    """The rows that this version answered when they came."""
    said = [c for c in map(str, frame.columns) if c in ("prediction", "score") or c.startswith("score[")]
    return frame[frame["model_version"] == version].dropna(subset=said).reset_index(drop=True)


def paired(monitor: Monitor, frame: pd.DataFrame, champion: pd.DataFrame, challenger: pd.DataFrame) -> PairedRows:
    """Labelled rows and what both models said of them, under the columns of ``rows.frame_of``, as arrays."""
    classes = _classes(monitor, frame, champion, challenger)
    outcome = frame["outcome"]
    truth = _codes(outcome, classes) if monitor.task == "multiclass" else outcome.to_numpy(np.float64)
    day = np.unique(frame["event_time"].dt.floor("D").to_numpy(), return_inverse=True)[1]
    return PairedRows(
        monitor.task,
        truth,
        _outputs(monitor, champion, classes),
        _outputs(monitor, challenger, classes),
        day.astype(np.intp),
        classes,
        _segments(monitor, frame),
        _groups(monitor, frame),
    )


def _classes(monitor: Monitor, frame: pd.DataFrame, *said: pd.DataFrame) -> tuple[str, ...]:
    """Multiclass: the declared classes, then those met besides."""
    if monitor.task != "multiclass":
        return ()
    met = set(frame["outcome"].astype(str)).union(
        *(one["prediction"].dropna().astype(str) for one in said if "prediction" in one)
    )
    return (*monitor.schema_.class_scores, *sorted(met - set(monitor.schema_.class_scores)))


def _codes(labels: pd.Series, classes: tuple[str, ...]) -> NDArray[np.float64]:
    return pd.Categorical(labels.astype(str), categories=list(classes)).codes.astype(np.float64)


def _outputs(monitor: Monitor, said: pd.DataFrame, classes: tuple[str, ...]) -> Outputs:
    if monitor.task == "regression":
        return Outputs(said["prediction"].to_numpy(np.float64))
    if monitor.task == "binary":
        score = said["score"].to_numpy(np.float64) if "score" in said else None
        called = said["prediction"].to_numpy(np.float64) if "prediction" in said else None
        if called is None:
            assert score is not None  # a monitor declares one of them
            called = (score >= 0.5).astype(np.float64)
        return Outputs(called, None if score is None else score[:, None])
    declared = monitor.schema_.class_scores
    scores = np.zeros((len(said), len(classes))) if declared else None
    if scores is not None:
        for i, name in enumerate(classes):
            if score_column(name) in said:
                scores[:, i] = said[score_column(name)].to_numpy(np.float64)
    if "prediction" in said:
        return Outputs(_codes(said["prediction"], classes), scores)
    assert scores is not None
    return Outputs(scores.argmax(axis=1).astype(np.float64), scores)


def _segments(monitor: Monitor, frame: pd.DataFrame) -> Mapping[str, NDArray[np.str_]]:
    """The segment of each row, by segmentation; those by a number or by the prediction itself are left out."""
    found = {}
    named = {*monitor.schema_.categorical, *monitor.schema_.boolean, *monitor.segment_columns}
    for key in monitor.segment_keys:
        if set(key) <= named:
            found[",".join(key)] = _most_frequent(_labels(monitor, frame, key))
    return found


def _groups(monitor: Monitor, frame: pd.DataFrame) -> Mapping[str, NDArray[np.str_]]:
    """The group of each row, by column of the fairness guard."""
    fairness = monitor.retrain.promote.fairness
    columns = () if fairness is None else fairness.columns
    return {column: _most_frequent(_labels(monitor, frame, (column,))) for column in columns}


def _labels(monitor: Monitor, frame: pd.DataFrame, key: tuple[str, ...]) -> NDArray[np.str_]:
    values = [_values(monitor, frame, column) for column in key]
    return np.array([segment_label(key, row) for row in zip(*values, strict=True)])


def _values(monitor: Monitor, frame: pd.DataFrame, column: str) -> list[str | None]:
    values = frame[feature_column(column)]
    if column in monitor.schema_.boolean:
        return [None if pd.isna(one) else "true" if one else "false" for one in values]
    return [None if pd.isna(one) else str(one) for one in values]


def _most_frequent(labels: NDArray[np.str_]) -> NDArray[np.str_]:
    """The labels; all but the ``MOST_SEGMENTS`` most frequent are one segment, the empty text, which nobody judges."""
    names, counts = np.unique(labels, return_counts=True)
    if len(names) <= MOST_SEGMENTS:
        return labels
    kept = names[np.argsort(-counts, kind="stable")[:MOST_SEGMENTS]]
    return np.where(np.isin(labels, kept), labels, "")


def _no_rows(monitor: Monitor) -> PairedRows:
    nothing, none = np.empty(0), np.empty((0, 1))
    outputs = Outputs(nothing, none if monitor.schema_.score or monitor.schema_.class_scores else None)
    return PairedRows(monitor.task, nothing, outputs, outputs, np.empty(0, np.intp))
