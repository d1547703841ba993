"""Records: what a monitor's declaration asks of them, and all that is wrong with a batch at once."""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from monitoring_pipeline.collector import values
from monitoring_pipeline.collector.limits import Limits
from monitoring_pipeline.collector.values import Reader, Refused, shown
from monitoring_pipeline.monitors import Monitor

Kind = Literal["predictions", "ground_truth"]
ColumnType = Literal["text", "number", "flag", "time"]
NESTED = {"features", "scores"}


@dataclass(frozen=True)
class Field:
    """``name`` as the client writes it (``features.distance``), ``column`` as the monitor's source has it."""

    name: str
    column: str
    type: ColumnType
    read: Reader
    required: bool = False


@dataclass(frozen=True)
class RecordError:
    """One mistake. ``index`` counts the batch's records from 0; ``field`` is None where the record as a whole is
    meant."""

    index: int
    field: str | None
    message: str


@dataclass(frozen=True)
class Checked:
    """Rows in the order of ``columns``, or why there are none. ``n_repeated``: equal records of one id, kept once.
    ``n_wrong``: records in which a mistake stands; ``errors``: the first of ``n_errors`` mistakes."""

    columns: tuple[tuple[str, ColumnType], ...]
    rows: list[list[Any]]
    n_repeated: int
    errors: list[RecordError]
    n_errors: int
    n_wrong: int


def prediction_fields(monitor: Monitor, limits: Limits, now: datetime) -> list[Field]:
    """Fields of a prediction record. A feature that is absent or null is missing, which the monitor then sees."""
    s = monitor.schema_
    text = values.text_of(limits.text_length)
    fields = [
        Field("prediction_id", s.prediction_id, "text", values.id_of(limits.id_length), required=True),
        Field("event_time", s.event_time, "time", values.moment_until(now), required=True),
    ]
    if s.model_version:
        fields.append(Field("model_version", s.model_version, "text", text))
    if s.prediction and monitor.task == "regression":
        fields.append(Field("prediction", s.prediction, "number", values.finite, required=True))
    elif s.prediction:
        fields.append(Field("prediction", s.prediction, "text", text, required=True))
    if s.score:
        fields.append(Field("score", s.score, "number", values.share, required=True))
    for label, column in s.class_scores.items():
        fields.append(Field(f"scores.{label}", column, "number", values.share, required=True))
    fields += [Field(f"features.{c}", c, "number", values.number) for c in s.numerical]
    fields += [Field(f"features.{c}", c, "text", text) for c in s.categorical]
    fields += [Field(f"features.{c}", c, "flag", values.flag) for c in s.boolean]
    return fields


def ground_truth_fields(monitor: Monitor, limits: Limits, now: datetime) -> list[Field] | None:
    """Fields of a label; None when the monitor declares no ground truth."""
    truth = monitor.ground_truth
    if truth is None:
        return None
    regression = monitor.task == "regression"
    read = values.finite if regression else values.text_of(limits.text_length)
    fields = [
        Field("prediction_id", truth.prediction_id or monitor.schema_.prediction_id, "text",
              values.id_of(limits.id_length), required=True),
        Field("outcome", truth.outcome, "number" if regression else "text", read, required=True),
    ]  # fmt: skip
    if truth.label_time:
        fields.append(Field("label_time", truth.label_time, "time", values.moment_until(now)))
    return fields


def check(records: Sequence[Any], fields: Sequence[Field], limits: Limits, now: datetime) -> Checked:
    """Every record against the fields. A label without a time was known ``now``."""
    columns = tuple((f.column, f.type) for f in fields)
    reading = _Reading(fields, limits.errors_told)
    rows: list[list[Any]] = []
    first_of: dict[str, tuple[int, list[Any]]] = {}
    labels = any(f.name == "outcome" for f in fields)
    for index, record in enumerate(records):
        row = reading.row(index, record)
        if row is None:
            continue
        known, first = first_of.setdefault(row[0], (index, row))
        if known == index:
            rows.append(row)
        elif not _same(row, first):
            remedy = "send a correction later" if labels else "give each prediction its own id"
            reading.refuse(
                index, "prediction_id", f"{shown(row[0])} is also in record {known} with other values; {remedy}"
            )
    n_repeated = len(records) - len(rows)
    _stamp(rows, fields, now)
    if reading.n_errors:
        rows, n_repeated = [], 0
    return Checked(columns, rows, n_repeated, reading.errors, reading.n_errors, reading.n_wrong)


def _same(one: list[Any], other: list[Any]) -> bool:
    """Of what would be kept, however it was written: 1 or "1". As JSON: NaN is equal to itself there."""
    return json.dumps(one) == json.dumps(other)


def _stamp(rows: list[list[Any]], fields: Sequence[Field], now: datetime) -> None:
    for i, field in enumerate(fields):
        if field.name == "label_time":
            for row in rows:
                row[i] = int(now.timestamp() * 1e6) if row[i] is None else row[i]


class _Reading:
    """Reads records; keeps the first ``told`` errors and counts the rest."""

    def __init__(self, fields: Sequence[Field], told: int) -> None:
        self._fields = [(f, *f.name.partition(".")[::2]) for f in fields]
        self._top = {top for _, top, _ in self._fields}
        self._nested = {t: {inner for _, top, inner in self._fields if top == t} for t in self._top & NESTED}
        self._told = told
        self.errors: list[RecordError] = []
        self.n_errors = self.n_wrong = 0
        self._wrong = -1

    def refuse(self, index: int, field: str | None, message: str) -> None:
        self.n_errors += 1
        if index != self._wrong:  # records come in order
            self.n_wrong, self._wrong = self.n_wrong + 1, index
        if len(self.errors) < self._told:
            self.errors.append(RecordError(index, field, message))

    def row(self, index: int, record: Any) -> list[Any] | None:
        """None when something is wrong with it."""
        before = self.n_errors
        if isinstance(record, Broken):
            self.refuse(index, None, record.why)
            return None
        if not isinstance(record, dict):
            self.refuse(index, None, f"a record must be an object, not {shown(record)}")
            return None
        parts = {"": record}
        for name, known in self._nested.items():
            parts[name] = self._object(index, record, name, known)
        self._unknown(index, record, self._top, "")
        row = [
            self._value(index, field, parts[top if inner else ""], inner or top) for field, top, inner in self._fields
        ]
        return row if self.n_errors == before else None

    def _object(self, index: int, record: dict[str, Any], name: str, known: set[str]) -> dict[str, Any]:
        found = record.get(name)
        if found is None:
            return {}
        if not isinstance(found, dict):
            self.refuse(index, name, f"must be an object of names and values, not {shown(found)}")
            return dict.fromkeys(known)
        self._unknown(index, found, known, f"{name}.")
        return found

    def _unknown(self, index: int, found: dict[str, Any], known: set[str], prefix: str) -> None:
        if found.keys() <= known:
            return
        for name in [n for n in found if n not in known]:
            if len(self.errors) == self._told:  # counted only: to look for what was meant takes its time
                self.refuse(index, None, "")
                continue
            close = difflib.get_close_matches(name[:100], known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else "remove it, or declare it in the monitor's schema"
            self.refuse(index, f"{prefix}{_printed(name)}", f"is not declared; {hint}")

    def _value(self, index: int, field: Field, found: dict[str, Any], name: str) -> Any:
        value = found.get(name)
        if value is None:
            if field.required:
                self.refuse(index, field.name, "is missing; every record needs it")
            return None
        try:
            return field.read(value)
        except Refused as error:
            self.refuse(index, field.name, str(error))
            return None


def _printed(name: str) -> str:
    """A name as the client wrote it, abridged; half of a surrogate pair, which no answer can hold, as its escape."""
    return name[:100].encode("utf-8", "backslashreplace").decode()


@dataclass(frozen=True)
class Broken:
    """Stands for a line that is no JSON."""

    why: str
