"""A challenger of the replay: which rows it is fitted on, what it says of all later ones, how it may degrade."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from monitoring_pipeline.errors import RetrainError
from monitoring_pipeline.monitors import Monitor
from monitoring_pipeline.retraining import scoring
from monitoring_pipeline.retraining.backtest.history import History
from monitoring_pipeline.retraining.contract import TrainRequest
from monitoring_pipeline.retraining.held_out import held_out_days
from monitoring_pipeline.retraining.measuring import metric_of
from monitoring_pipeline.retraining.model import Model, threshold_of
from monitoring_pipeline.retraining.rows import as_training_set
from monitoring_pipeline.retraining.trainers import trained


class Fits(Protocol):
    """Fits a model on labelled rows. Raises RetrainError."""

    def __call__(self, monitor: Monitor, rows: pd.DataFrame, classes: tuple[str, ...]) -> Model: ...


@dataclass(frozen=True)
class Challenger:
    """``cut``: nothing later was known to it; ``train_end``: no event from there on was fitted on.

    ``said``: its outputs for every row of the history (``scoring.outputs``). ``held_out``: its own held-out rows.
    """

    cut: datetime
    train_end: datetime
    n_rows: int
    seconds: float
    said: pd.DataFrame
    held_out: NDArray[np.intp]


def fit_with_trainer(monitor: Monitor, rows: pd.DataFrame, classes: tuple[str, ...]) -> Model:
    """By the declared trainer, in this process: no search, and each time anew."""
    policy = monitor.retrain
    request = TrainRequest(monitor.name, monitor.task, policy.training.seed, metric_of(monitor), classes)
    made = trained(policy, as_training_set(monitor, rows), request)
    return Model(made.model, monitor.task, monitor.schema_.features, classes, threshold_of(made.model, made.threshold))


def challenger(
    history: History, now: datetime, span: tuple[datetime | None, datetime], fits: Fits = fit_with_trainer
) -> Challenger:
    """Fitted on the rows of ``span`` (event times; start None: the first) that were known at ``now`` and mature.

    Raises RetrainError for too few rows, one class, or what the trainer does wrong.
    """
    monitor, (start, end) = history.monitor, span
    inside = history.before(now) & _within(history, start, end) & _mature(history, now)
    rows = history.rows[inside]
    first = start or _first(rows)
    out = rows["event_time"].dt.date.isin(held_out_days(first, end)) if first else pd.Series(False, rows.index)
    fitted = rows[~out].reset_index(drop=True)
    classes = _classes(monitor, fitted)
    began = time.perf_counter()
    model = fits(monitor, fitted, classes)
    seconds = time.perf_counter() - began
    said = scoring.outputs(model, history.rows, monitor)
    return Challenger(now, end, len(fitted), seconds, said, np.flatnonzero(inside)[out.to_numpy()])


def _within(history: History, start: datetime | None, end: datetime) -> NDArray[np.bool_]:
    times = history.rows["event_time"]
    low = True if start is None else (times >= start)
    return np.asarray((times.isna() & (start is None)) | ((times < end) & low))


def _mature(history: History, now: datetime) -> NDArray[np.bool_]:
    """Rows of windows whose labels had come in: those that come first are not like the rest. The reference counts."""
    found = np.ones(len(history.rows), bool)
    for one in history.labels_at(now):
        if not one.mature:
            found[history.between(one.window.start, one.window.end)] = False
    return found


def _first(rows: pd.DataFrame) -> datetime | None:
    earliest: Any = rows["event_time"].min()
    return None if pd.isna(earliest) else earliest.to_pydatetime().astimezone(UTC).replace(hour=0, minute=0, second=0)


def _classes(monitor: Monitor, fitted: pd.DataFrame) -> tuple[str, ...]:
    least = monitor.retrain.guards.min_labels
    if len(fitted) < least:
        raise RetrainError(f"{len(fitted):,} labelled rows to fit on; guards.min_labels asks for {least:,}")
    if monitor.task == "regression":
        return ()
    found = sorted({str(one) for one in fitted["outcome"].tolist()})
    if len(found) < 2:
        raise RetrainError(f"all {len(fitted):,} rows to fit on have one outcome")
    return ("0", monitor.schema_.positive_class) if monitor.task == "binary" else tuple(found)


TRAILING = timedelta(days=7)
DEVIATIONS = 3.0
LEAST_DAYS = 5


@dataclass(frozen=True)
class Line:
    """Below it (turned so that more is better) the trailing week of an imagined champion counts as degraded."""

    value: float


def line_of(found: Challenger, daily: Callable[[NDArray[np.intp]], float], days: pd.Series) -> Line | None:
    """Mean of the metric over its held-out days, less three standard deviations of a mean of seven such days.

    ``daily``: the metric of some rows, more is better. None where there are too few held-out days to tell.
    """
    of_day = days.iloc[found.held_out].groupby(days.iloc[found.held_out].to_numpy()).indices
    values = np.array([daily(found.held_out[at]) for at in of_day.values()])
    values = values[np.isfinite(values)]
    if len(values) < LEAST_DAYS:
        return None
    return Line(float(values.mean() - DEVIATIONS * values.std(ddof=1) / np.sqrt(7)))
