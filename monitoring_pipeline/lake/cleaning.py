"""The one cleaning of prediction rows: columns as met become canonical ones, each row gets its reason to be refused.

Used by the copy into the lake, by sources read in place and by the reference, so that all three agree.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from monitoring_pipeline.errors import SourceError
from monitoring_pipeline.lake import values
from monitoring_pipeline.lake.duck import identifier, literal
from monitoring_pipeline.lake.names import OURS, renamed, stored_names
from monitoring_pipeline.lake.sources.scan import Scan
from monitoring_pipeline.lake.times import FUTURE_TOLERANCE, coarse_filter, timestamp, utc_sql
from monitoring_pipeline.monitors.declaration import Monitor
from monitoring_pipeline.records import Contract

NO_ID = "missing prediction id"
FUTURE = "event time in the future"
NO_PREDICTION = "no prediction"
NOT_A_NUMBER = "prediction is not a number"
SCORE_RANGE = "score outside [0, 1]"
BROKEN_ROW = "broken row"
# What the services' own log says of a row's input: {column: {reason, value}} as JSON, null for a good row. No column
# of the monitor's, and no extra one either.
INPUT_ERRORS = "input_errors"
_UNFIT = ("type", "range")


@dataclass(frozen=True)
class Field:
    """A canonical column: what it is called, how it is typed, the source column it comes from (None: not declared).

    Features and segment columns go by their stored names (``lake.names``), all others by ours, which begin with ``__``.
    """

    name: str
    kind: str
    source: str | None

    @property
    def ours(self) -> bool:
        """Whether it is an output or the outcome rather than a feature or a segment column."""
        return self.name.startswith(OURS)


def fields_of(monitor: Monitor, outcome: str | None = None) -> tuple[Field, ...]:
    """Canonical columns besides __id, __time, __window and __version, in order."""
    schema = monitor.schema_
    label = "number" if monitor.task == "regression" else "class"
    fields = [Field("__prediction", label, schema.prediction)] if schema.prediction else []
    if monitor.task == "binary" and schema.score:
        fields.append(Field("__score", "number", schema.score))
    if monitor.task == "multiclass":
        scores = [schema.class_scores[c] for c in sorted(schema.class_scores)]
        fields += [Field(f"__score_{i}", "number", column) for i, column in enumerate(scores)]
    stored = _stored(monitor)
    for kind, columns in (("number", schema.numerical), ("category", schema.categorical), ("flag", schema.boolean)):
        fields += [Field(stored[c], kind, c) for c in columns]
    fields += [Field(stored[c], "category", c) for c in monitor.segment_columns]
    if outcome:
        fields.append(Field("__outcome", label, outcome))
    return tuple(fields)


def _stored(monitor: Monitor) -> dict[str, str]:
    return stored_names((*monitor.schema_.features, *monitor.segment_columns))


def renamed_columns(monitor: Monitor) -> dict[str, str]:
    """What a relation of the monitor's has to say of stored names (``Relation.renamed``)."""
    return renamed(_stored(monitor))


def source_columns(monitor: Monitor, outcome: str | None = None) -> list[str]:
    """Every column of the source that a declared name stands for, and the one that says what did not fit."""
    schema = monitor.schema_
    names = [schema.prediction_id, schema.event_time, schema.model_version]
    names += [*(field.source for field in fields_of(monitor, outcome)), INPUT_ERRORS]
    return [name for name in dict.fromkeys(names) if name is not None]


def canonical_columns(monitor: Monitor, outcome: str | None = None) -> dict[str, str]:
    """Column -> DuckDB type of a relation of predictions; ``__outcome`` is last when ``outcome`` names its source."""
    types = {"number": "DOUBLE", "class": "VARCHAR", "category": "VARCHAR", "flag": "VARCHAR"}
    head = {"__id": "VARCHAR", "__time": "TIMESTAMP", "__window": "TIMESTAMP", "__version": "VARCHAR"}
    return head | {f.name: types[f.kind] for f in fields_of(monitor, outcome)}


@dataclass(frozen=True)
class Cleaning:
    """``sql`` yields canonical columns, __file, __row, __reason (null: good) and one flag per column in ``flags``.

    ``flags`` go by the names of the source's columns.
    """

    sql: str
    columns: tuple[str, ...]
    flags: dict[str, str]
    contract: Contract


def clean_predictions(
    monitor: Monitor, scans: Sequence[Scan], start: datetime, end: datetime, now: datetime | None = None
) -> Cleaning:
    """Rows of [start, end) from all scans. Raises SourceError when a required column is missing.

    Rows more than five minutes after ``now`` are refused; without ``now`` none is.
    """
    schema = monitor.schema_
    for scan in scans:
        _require(monitor, scan, {"prediction_id": schema.prediction_id, "event_time": schema.event_time})
    fields = fields_of(monitor)
    cases = [("__id IS NULL", NO_ID)]
    if now is not None:
        cases.append((f"__time > TIMESTAMP '{timestamp(now + FUTURE_TOLERANCE)}'", FUTURE))
    return _clean(monitor, fields, scans, cases, [start, end], None)


def clean_reference(monitor: Monitor, scans: Sequence[Scan]) -> Cleaning:
    """Reference rows with ``__outcome`` where declared; id and event time may be absent. Raises as above."""
    outcome = monitor.reference.outcome
    for scan in scans:
        _require(monitor, scan, {"outcome": outcome or ""}, "reference.")
    return _clean(monitor, fields_of(monitor, outcome), scans, [], [], outcome)


def _clean(
    monitor: Monitor,
    fields: Sequence[Field],
    scans: Sequence[Scan],
    cases: list[tuple[str, str]],
    bounds: list[datetime],
    outcome: str | None,
) -> Cleaning:
    flagged = _flags(monitor, fields, scans)
    rows = " UNION ALL ".join(_part(monitor, fields, flagged, scan, bounds) for scan in scans)
    sql = f"SELECT *, {_reason(fields, flagged, cases)} AS __reason FROM ({rows})"  # noqa: S608
    flags = {f.source: flagged[f.name] for f in fields if f.source is not None and f.name in flagged and not f.ours}
    return Cleaning(sql, tuple(canonical_columns(monitor, outcome)), flags, contract_of(monitor, scans, outcome))


def contract_of(monitor: Monitor, scans: Sequence[Scan], outcome: str | None = None) -> Contract:
    """What differs from the declaration in any of the scans. ``invalid`` is counted elsewhere, from the rows."""
    fields = fields_of(monitor, outcome)
    known = {f.source for f in fields} | _declared(monitor)
    met: set[str] = set().union(*(scan.columns for scan in scans))
    missing = {f.source for f in fields if f.source is not None and any(f.source not in scan.columns for scan in scans)}
    retyped = {
        f.source: scan.columns[f.source]
        for scan in scans
        if not scan.text
        for f in fields
        if f.source is not None and f.source in scan.columns and not _typed(monitor, f, scan).fits
    }
    extra = met - known - {INPUT_ERRORS}
    return Contract(tuple(sorted(missing)), tuple(sorted(extra)), retyped)


def output_columns(monitor: Monitor) -> dict[str, str]:
    """Field of the declaration -> column, of everything that the model says of a row."""
    schema = monitor.schema_
    named = {"schema.prediction": schema.prediction, "schema.score": schema.score}
    named |= {f"schema.class_scores.{name}": column for name, column in schema.class_scores.items()}
    return {field: column for field, column in named.items() if column}


def lacks_outputs(monitor: Monitor, scans: Sequence[Scan]) -> bool:
    """Whether no file holds any of them: rows of features, which a model can score."""
    columns = output_columns(monitor).values()
    return bool(columns) and not any(column in scan.columns for column in columns for scan in scans)


def without_outputs(monitor: Monitor) -> Monitor:
    """The same as if the model said nothing: only for reading features."""
    schema = monitor.schema_.model_copy(update={"prediction": None, "score": None, "class_scores": {}})
    return monitor.model_copy(update={"schema_": schema})


def _require(monitor: Monitor, scan: Scan, places: dict[str, str], prefix: str = "schema.") -> None:
    required = {f"{prefix}{field}": column for field, column in places.items()} | output_columns(monitor)
    for field, column in required.items():
        if column and column not in scan.columns:
            raise SourceError(missing_column(scan.source, column, field, scan.columns))


def missing_column(path: str, column: str, field: str, met: Iterable[str]) -> str:
    """Message for a required column that a file does not have."""
    some = ", ".join(sorted(met)[:20])
    return f"{path}: has no column {column!r} ({field}); it has: {some}. Mend the file or correct {field}"


def _typed(monitor: Monitor, field: Field, scan: Scan) -> values.Value:
    assert field.source is not None
    column, kind = scan.column(field.source), scan.columns[field.source]
    convert = {
        "number": values.numerical, "category": values.categorical, "flag": values.boolean, "class": values.class_label,
    }[field.kind]  # fmt: skip
    value = convert(column, kind)
    return _as_logged(field, scan, value) if _tells_errors(monitor, scan) and not field.ours else value


def _tells_errors(monitor: Monitor, scan: Scan) -> bool:
    """A column that the monitor declares under this name is one of its own."""
    return scan.columns.get(INPUT_ERRORS) == "VARCHAR" and INPUT_ERRORS not in _declared(monitor)


def _declared(monitor: Monitor) -> set[str]:
    schema = monitor.schema_
    names = {f.source for f in fields_of(monitor)} | {schema.prediction_id, schema.event_time, schema.model_version}
    return {name for name in names if name is not None}


def _as_logged(field: Field, scan: Scan, value: values.Value) -> values.Value:
    """A column of the services' own log: flags are texts there, and a value that did not fit is null, said beside."""
    name = json.dumps(field.source, ensure_ascii=False)
    said = [name + ': {"reason": "' + why + '"' for why in _UNFIT]  # a quote within a value is escaped
    told = [f"contains({scan.column(INPUT_ERRORS)}, {literal(text)})" for text in said]
    invalid = " OR ".join([*([f"({value.invalid})"] if value.invalid else []), *told])
    return replace(value, invalid=invalid, fits=value.fits or field.kind == "flag")


def _flags(monitor: Monitor, fields: Sequence[Field], scans: Sequence[Scan]) -> dict[str, str]:
    """Canonical column -> name of its flag, for columns where some scan's values may not fit."""
    able = [
        f.name
        for f in fields
        if any(f.source in scan.columns and _typed(monitor, f, scan).invalid is not None for scan in scans)
    ]
    return {name: f"__bad_{i}" for i, name in enumerate(able)}


def _part(
    monitor: Monitor, fields: Sequence[Field], flagged: dict[str, str], scan: Scan, bounds: list[datetime]
) -> str:
    schema = monitor.schema_
    time_kind = scan.columns.get(schema.event_time, "")
    time_column = scan.column(schema.event_time) if time_kind else "NULL"
    time = "__utc" if scan.staged else utc_sql(time_column, time_kind, schema.timezone)
    id_kind = scan.columns.get(schema.prediction_id)
    key = values.key(scan.column(schema.prediction_id), id_kind) if id_kind else "CAST(NULL AS VARCHAR)"
    selected = [
        f"{key} AS __id",
        f"{time} AS __time",
        f"date_trunc('{monitor.window}', {time}) AS __window",
        f"{_version(monitor, scan)} AS __version",
    ]
    empty = {"number": "DOUBLE", "class": "VARCHAR", "category": "VARCHAR", "flag": "VARCHAR"}
    for field in fields:
        value = (
            _typed(monitor, field, scan)
            if field.source in scan.columns
            else values.Value(f"CAST(NULL AS {empty[field.kind]})")
        )
        selected.append(f"{value.sql} AS {identifier(field.name)}")
        if field.name in flagged:
            selected.append(f"coalesce({value.invalid or 'false'}, false) AS {flagged[field.name]}")
    sources = [name for name in source_columns(monitor) if name != INPUT_ERRORS or _tells_errors(monitor, scan)]
    sources += [f.source for f in fields if f.source is not None]
    where = []
    if bounds:
        start, end = bounds
        where = [f"{time} >= TIMESTAMP '{timestamp(start)}'", f"{time} < TIMESTAMP '{timestamp(end)}'"]
        where += [] if scan.staged else [c for c in [coarse_filter(time_column, time_kind, start, end)] if c]
    condition = f" WHERE {' AND '.join(where)}" if where else ""
    return f"SELECT {', '.join(selected)}, __file, __row FROM ({scan.from_sql(sources)}){condition}"  # noqa: S608


def _version(monitor: Monitor, scan: Scan) -> str:
    default, column = literal(monitor.reference.model_version), monitor.schema_.model_version
    if column is None or column not in scan.columns:
        return default
    return values.version(scan.column(column), scan.columns[column], default)


def _reason(fields: Sequence[Field], flagged: dict[str, str], first: Sequence[tuple[str, str]]) -> str:
    """The first reason that holds. Predictions and scores must be there; scores are probabilities."""
    cases = list(first)
    outputs = [f for f in fields if f.name.startswith(("__prediction", "__score"))]
    cases += [(flagged[f.name], NOT_A_NUMBER) for f in outputs if f.name in flagged]
    for field in outputs:
        cases.append((f"{field.name} IS NULL", NO_PREDICTION))
        if field.kind == "number":
            cases.append((f"isnan({field.name})", NO_PREDICTION))
    cases += [(f"isinf({f.name})", NOT_A_NUMBER) for f in outputs if f.name == "__prediction" and f.kind == "number"]
    cases += [(f"{f.name} NOT BETWEEN 0 AND 1", SCORE_RANGE) for f in outputs if f.name.startswith("__score")]
    if not cases:
        return "CAST(NULL AS VARCHAR)"
    return "CASE " + " ".join(f"WHEN {test} THEN {literal(reason)}" for test, reason in cases) + " END"
