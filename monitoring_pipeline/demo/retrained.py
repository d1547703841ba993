"""The log of the retrained model, written as the year goes by: each row is scored by the version in service then."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.metrics import roc_auc_score

from monitoring_pipeline.demo import models
from monitoring_pipeline.demo.flights import BOOLEAN, CATEGORICAL

NAME = "late15_retrained"
STATIC = models.RETRAINED
Scorer = Callable[[pd.DataFrame], pd.DataFrame]
"""Rows with FEATURES -> ``prediction`` (0 or 1) and ``score``, with the same index."""


def as_fitted(rows: pd.DataFrame) -> pd.DataFrame:
    """Flags as numbers and unknown categories as NaN, whether the rows were logged or come from the lake."""
    unknown = rows[list(CATEGORICAL)].astype("object")
    return rows.assign(**rows[list(BOOLEAN)].astype("float64"), **unknown.where(unknown.notna(), np.nan))


def static_data(home: Path) -> Path:
    """What the model without retraining left behind."""
    return home / "demo" / "data" / STATIC


def retrained_data(home: Path) -> Path:
    """What the retrained one leaves behind."""
    return home / "demo" / "retrained"


@dataclass(frozen=True)
class Served:
    """From when on (UTC) a version answered; ``scorer`` None: the first one, whose answers are logged already."""

    since: datetime
    model_version: str
    scorer: Scorer | None


def write_until(home: Path, until: date, served: Sequence[Served]) -> int:
    """Writes the files of the log and of the label feed of all days before ``until`` that are not there yet.

    ``served``: the versions in the order they answered. Returns the number of new files of the log.
    """
    source, target = static_data(home), retrained_data(home)
    for path in _before(source / "ground_truth", until):
        copy = target / path.relative_to(source)
        if not copy.is_file():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy.with_suffix(".tmp"))
            copy.with_suffix(".tmp").replace(copy)
    fresh = [p for p in _before(source / "predictions", until) if not (target / p.relative_to(source)).is_file()]
    for path in fresh:
        _rescore(path, target / path.relative_to(source), served)
    return len(fresh)


def forget(home: Path) -> None:
    """Everything that was written: the year begins anew."""
    shutil.rmtree(retrained_data(home), ignore_errors=True)


def _before(directory: Path, until: date) -> list[Path]:
    """Files of days before ``until``, in order."""
    found = sorted(directory.glob("date=*/*.parquet"))
    return [path for path in found if date.fromisoformat(path.parent.name.removeprefix("date=")) < until]


def _rescore(source: Path, target: Path, served: Sequence[Served]) -> None:
    """The file as the service would have written it: every row answered by the version of its time."""
    table = pq.read_table(source, partitioning=None)
    rows = table.to_pandas()
    since = np.array([pd.Timestamp(one.since).value for one in served])
    moments = rows["event_time"].astype("datetime64[ns, UTC]").astype("int64").to_numpy()
    which = np.maximum(np.searchsorted(since, moments, side="right") - 1, 0)
    for number in np.unique(which):
        one, here = served[number], which == number
        if one.scorer is not None:
            answers = one.scorer(as_fitted(rows[here]))
            rows.loc[here, ["prediction", "score"]] = answers[["prediction", "score"]].to_numpy()
            rows.loc[here, "model_version"] = one.model_version
    rows["prediction"] = rows["prediction"].astype("int64")
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_suffix(".tmp")
    pq.write_table(pa.Table.from_pandas(rows, schema=table.schema, preserve_index=False), temporary, compression="zstd")
    temporary.replace(target)


@dataclass(frozen=True)
class MonthCompared:
    """AUC of one month's flights with an outcome, by the first model and by the versions that were in service."""

    month: date
    static: float
    retrained: float
    n: int


def by_month(home: Path) -> list[MonthCompared]:
    """The same flights, month by month, each with the last of its outcomes and the first of its answers."""
    outcomes = _read(static_data(home) / "ground_truth", ["prediction_id", STATIC, "label_time"])
    outcome = outcomes.sort_values("label_time", kind="stable").groupby("prediction_id")[STATIC].last()
    static, retrained = (_answers(data / "predictions") for data in (static_data(home), retrained_data(home)))
    both = static.join(retrained["score"], rsuffix="_retrained", how="inner").join(outcome, how="inner")
    found = []
    for month, group in both.groupby(both["event_time"].dt.tz_localize(None).dt.to_period("M")):
        of_static, of_retrained = (
            float(roc_auc_score(group[STATIC], group[name])) for name in ("score", "score_retrained")
        )
        found.append(MonthCompared(date(month.year, month.month, 1), of_static, of_retrained, len(group)))
    return found


def _answers(directory: Path) -> pd.DataFrame:
    rows = _read(directory, ["prediction_id", "event_time", "score"])
    return rows.dropna(subset=["prediction_id"]).drop_duplicates("prediction_id").set_index("prediction_id")


def _read(directory: Path, columns: list[str]) -> pd.DataFrame:
    files = sorted(directory.glob("date=*/*.parquet"))
    return pa.concat_tables([pq.read_table(path, columns=columns, partitioning=None) for path in files]).to_pandas()


def evaluation_days(start: date, end: date, every: timedelta = timedelta(days=14)) -> list[date]:
    """The days at whose beginning the policy is asked: ``every`` so often after ``start``, and at ``end``."""
    days = [start + every * n for n in range(1, (end - start) // every + 1)]
    return days if days and days[-1] == end else [*days, end]
