"""The year as a service would have left it behind: prediction logs and label feeds in files, with the dirt they have.

Under ``<home>/demo/data/<monitor>/``: ``predictions/date=<day written>/part-0.parquet``,
``ground_truth/date=<day arrived>/labels.parquet`` and ``reference.parquet``. Days are UTC. What is not clean, each row
chosen by a hash of its id, so that any period of the replay is the same however long the whole is:

- 0.1 % of predictions are logged twice (a client retried): half of them in the same file, half in the next day's
- on every 23rd day the spool is stuck from 21:00 on: those rows are written with the file of two days later
- on 2013-08-14 from 15:00 to 15:10 rows are logged without an id
- 0.2 % of outcomes are first reported wrong and corrected a day later
- 0.05 % of outcomes are for ids that were never predicted (another system's flights)
- cancelled and diverted flights (2.8 %) never get an outcome
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from monitoring_pipeline.demo.flights import CATEGORICAL, FEATURES
from monitoring_pipeline.demo.models import VERSION, FlightModel

RETRIED_SHARE = 0.001
CORRECTED_SHARE = 0.002
FOREIGN_SHARE = 0.0005
STUCK_EVERY_DAYS = 23
STUCK_FROM_HOUR = 21
NO_ID_FROM = datetime(2013, 8, 14, 15, 0, tzinfo=UTC)
NO_ID_UNTIL = datetime(2013, 8, 14, 15, 10, tzinfo=UTC)
_DAY = pd.Timedelta(days=1)


@dataclass(frozen=True)
class Files:
    """What was written: the files and the rows in them."""

    paths: frozenset[Path]
    n_rows: int


def write_reference(model: FlightModel, rows: pd.DataFrame, directory: Path) -> Files:
    """The labelled rows the model was not fitted on, with its predictions and their outcomes."""
    scored = _scored(model, rows).assign(**{model.name: _outcome(model, rows).to_numpy()})
    path = directory / "reference.parquet"
    _write(_table(scored), path)
    return Files(frozenset({path}), len(scored))


def write_history(model: FlightModel, rows: pd.DataFrame, directory: Path) -> Files:
    """The labelled rows that the model was fitted on: a trainer starts from them."""
    kept = rows[["event_time", *FEATURES]].assign(**{model.name: _outcome(model, rows)})
    path = directory / "history.parquet"
    _write(_table(kept), path)
    return Files(frozenset({path}), len(kept))


def write_predictions(model: FlightModel, rows: pd.DataFrame, until: date | None, directory: Path) -> Files:
    """The prediction log of these rows, a file for each day of writing before ``until``."""
    log = _log_with_dirt(_scored(model, rows), rows["event_time"].min().floor("D"))
    return _write_days(log.drop(columns="written"), log["written"], until, directory / "predictions", "part-0.parquet")


def write_ground_truth(model: FlightModel, rows: pd.DataFrame, until: date | None, directory: Path) -> Files:
    """The label feed of these rows, a file for each day of arrival before ``until``."""
    labels = _labels_with_dirt(model, rows[rows["label_time"].notna()])
    return _write_days(labels, labels["label_time"], until, directory / "ground_truth", "labels.parquet")


def _scored(model: FlightModel, rows: pd.DataFrame) -> pd.DataFrame:
    log = rows[["prediction_id", "event_time"]].assign(model_version=VERSION)
    return pd.concat([log, rows[list(FEATURES)], model.predict(rows)], axis=1)


def _log_with_dirt(log: pd.DataFrame, first_day: pd.Timestamp) -> pd.DataFrame:
    """Column ``written``: the moment a row reached its file; ordered by it."""
    day_number = (log["event_time"] - first_day).dt.days
    stuck = (day_number % STUCK_EVERY_DAYS == STUCK_EVERY_DAYS - 1) & (log["event_time"].dt.hour >= STUCK_FROM_HOUR)
    log = log.assign(written=log["event_time"] + stuck.astype("int64") * 2 * _DAY)
    draw = _draw(log["prediction_id"], "retry")
    again = log[draw < RETRIED_SHARE]
    next_day = (draw[draw < RETRIED_SHARE] < RETRIED_SHARE / 2).astype("int64")
    again = again.assign(written=again["written"] + next_day * _DAY)
    nameless = log["event_time"].between(NO_ID_FROM, NO_ID_UNTIL, inclusive="left")
    log = log.assign(prediction_id=log["prediction_id"].where(~nameless, None))
    return pd.concat([log, again]).sort_values("written", kind="stable")


def _labels_with_dirt(model: FlightModel, rows: pd.DataFrame) -> pd.DataFrame:
    labels = pd.DataFrame(
        {"prediction_id": rows["prediction_id"], model.name: _outcome(model, rows), "label_time": rows["label_time"]}
    )
    corrected = labels[_draw(labels["prediction_id"], "correct") < CORRECTED_SHARE]
    first = corrected.assign(
        **{model.name: 1 - corrected[model.name] if model.threshold is not None else corrected[model.name] + 60}
    )
    later = corrected.assign(label_time=corrected["label_time"] + _DAY)
    foreign = labels[_draw(labels["prediction_id"], "foreign") < FOREIGN_SHARE]
    foreign = foreign.assign(prediction_id="X-" + foreign["prediction_id"])
    clean = labels.drop(corrected.index)
    return pd.concat([clean, first, later, foreign]).sort_values(["label_time", "prediction_id"], kind="stable")


def _outcome(model: FlightModel, rows: pd.DataFrame) -> pd.Series:
    return rows[model.name] if model.threshold is None else rows[model.name].astype("int64")


def _draw(ids: pd.Series, purpose: str) -> pd.Series:
    """A number in [0, 1) for each id, always the same for the same id and purpose."""
    hashed = pd.util.hash_array((purpose + ids).to_numpy(dtype=object), categorize=False)
    return pd.Series(hashed / np.float64(2**64), index=ids.index)


def _write_days(frame: pd.DataFrame, arrived: pd.Series, until: date | None, directory: Path, name: str) -> Files:
    """One file per UTC day of ``arrived``, by which the frame is ordered."""
    table = _table(frame)
    days = arrived.dt.floor("D").dt.date.to_numpy()
    starts = np.flatnonzero(np.r_[True, days[1:] != days[:-1]])
    paths: set[Path] = set()
    n_rows = 0
    for start, end in zip(starts, np.r_[starts[1:], len(days)], strict=True):
        if until is not None and days[start] >= until:
            break
        path = directory / f"date={days[start]}" / name
        _write(table.slice(start, end - start), path)
        paths.add(path)
        n_rows += int(end - start)
    return Files(frozenset(paths), n_rows)


def _table(frame: pd.DataFrame) -> pa.Table:
    """Arrow with fixed types, whatever the values are; unknown is null."""
    fields = [pa.field(str(name), _arrow_type(str(name), frame[name].dtype.kind)) for name in frame.columns]
    return pa.Table.from_pandas(frame, schema=pa.schema(fields), preserve_index=False).replace_schema_metadata(None)


def _arrow_type(name: str, kind: str) -> pa.DataType:
    if name in (*CATEGORICAL, "prediction_id", "model_version"):
        return pa.string()
    if name in ("event_time", "label_time"):
        return pa.timestamp("us", tz="UTC")
    return {"b": pa.bool_(), "i": pa.int64(), "f": pa.float64()}[kind]


def _write(table: pa.Table, path: Path) -> None:
    """Under a temporary name, then renamed. A file that holds these bytes already is left alone, its time with it."""
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    content = buffer.getvalue()
    if path.is_file() and path.stat().st_size == len(content) and path.read_bytes() == content:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_bytes(content)
    temporary.replace(path)
