"""Looking at a source before it is trusted: what its columns hold (`init`), what of a declaration it breaks."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from monitoring_pipeline.errors import SourceError, UserError
from monitoring_pipeline.lake import values
from monitoring_pipeline.lake.census import ids_of, label_delays, take_census
from monitoring_pipeline.lake.cleaning import Field, fields_of, output_columns, source_columns
from monitoring_pipeline.lake.duck import connected, protocol_of
from monitoring_pipeline.lake.outcome_classes import classes_in_source, no_positive_class, some
from monitoring_pipeline.lake.reconciling import Reconciled, reconcile
from monitoring_pipeline.lake.sampled import Sample, sample_of
from monitoring_pipeline.lake.sources import sql
from monitoring_pipeline.lake.sources.files import expand_environment, file_format, list_files
from monitoring_pipeline.lake.sources.reading import reading
from monitoring_pipeline.lake.sources.scan import find_unreadable
from monitoring_pipeline.lake.sources.text_columns import text_columns
from monitoring_pipeline.lake.times import FUTURE_TOLERANCE, is_time, on_the_calendar, timestamp, utc_sql
from monitoring_pipeline.monitors.declaration import Monitor, Source
from monitoring_pipeline.monitors.drafting import label_columns
from monitoring_pipeline.monitors.kinds import MOST_LABELS, UNIQUE_SHARE
from monitoring_pipeline.monitors.model_version import is_candidate
from monitoring_pipeline.monitors.roles import BLANK, find_event_time, id_candidates
from monitoring_pipeline.monitors.summary import DECIMAL_COMMA, ColumnSummary, LabelDelays, SourceSummary
from monitoring_pipeline.settings import Settings

SAMPLE_FILES = 20
SAMPLE_ROWS = 200_000
SAMPLE_VALUES = 8_000_000  # rows times columns: DuckDB reserves the memory of a whole sample before it draws one
_EXAMPLES = 20
_COUNTED_AT_ONCE = 10_000  # values: of so few, the exact number of distinct ones costs no more than a guess
_CLASSES = 1000
_MOST_CODES = 100  # numbers with a fraction that are stored as text: of few, they are codes such as 250.01
_NEARLY_ALL = 0.95  # of the values: then the declaration is wrong, not the data
_TYPES = {"number": "numbers", "class": "classes", "category": "categories", "flag": "true or false"}
Location = tuple[str, ...]


@dataclass(frozen=True)
class SourceFinding:
    """What is wrong between a declaration and its source. ``location``: the keys that lead to it in the YAML.

    ``stops``: everything computed from the source would be wrong or empty; else rows are bad, which is counted.
    """

    location: Location
    message: str
    stops: bool = True


def summarize(written: str, settings: Settings, told: Mapping[str, str] | None = None) -> SourceSummary:
    """Describe a file, glob, directory or fsspec URL, or ``SQLALCHEMY_URL#TABLE``, from a sample: 200,000 rows at most.

    Text columns get the type that all their values have. ``told``: columns that the user names, by role; those that
    the source lacks are left out. Raises SourceError when there is nothing to read.
    """
    source = _source_of(written)
    monitor = _undeclared(source)
    texts = text_columns(monitor, source)
    with connected(settings) as connection:
        sample = _sample(connection, monitor, source, settings, None)
        reconciled = {name: reconcile(connection, sample, name) for name in sample.columns}
        (n,) = _first(connection, f"SELECT count(*) FROM {sample.table}")  # noqa: S608
        found = [_summarize_column(connection, sample, n, name, one, texts) for name, one in reconciled.items()]
    by_name = {c.name: c for c in found}
    told = {role: name for role, name in (told or {}).items() if name in by_name}
    time = by_name[told["event_time"]] if "event_time" in told else find_event_time(found)
    keys = [c.name for c in id_candidates(found, int(n))]
    keys += [told["prediction_id"]] if "prediction_id" in told and told["prediction_id"] not in keys else []
    versions = [c.name for c in found if is_candidate(c)]
    census = take_census(monitor, source, settings, time.name if time else None, keys, versions)
    counted = tuple(
        replace(c, repeats=census.repeats.get(c.name), alternation=census.alternation.get(c.name)) for c in found
    )
    conflicts = tuple(one.conflict for one in reconciled.values() if one.conflict)
    return SourceSummary(int(n), counted, source.path, source.url, source.table, conflicts, census.whole, told)


def summarize_delays(log: SourceSummary, truth: SourceSummary | None, settings: Settings) -> LabelDelays | None:
    """How late the labels at hand came; None without labels or without their time. Raises as ``draft`` does."""
    found = label_columns(log, truth)
    if found is None or found.label_time is None:
        return None
    logged, labelled = (Source(path=one.path, url=one.url, table=one.table) for one in (log, truth or log))
    return label_delays(
        (_undeclared(logged), logged, found.prediction_id, found.event_time),
        (_undeclared(labelled), labelled, found.label_id, found.label_time),
        settings,
    )


def check_sources(monitor: Monitor, settings: Settings, n_files: int = SAMPLE_FILES) -> list[SourceFinding]:
    """What is wrong between the declaration and its sources: each says what, and what to write instead.

    Looks at a sample of so many files; empty when nothing was found. What a sample cannot tell (a class or an id that
    never occurs) is looked for in all rows before it is said. Never raises for what a user can mend.
    """
    findings: list[SourceFinding] = []
    met: dict[str, _Classes] = {}
    for field in ("predictions", "reference", "ground_truth"):
        source: Source | None = getattr(monitor, field)
        if source is not None:
            findings += _check_source(monitor, field, source, settings, n_files, met)
    findings += _vocabularies(monitor, met)
    if monitor.ground_truth is not None and not findings:
        findings += _matching(monitor, settings, n_files)
    return findings


@dataclass
class _Classes:
    """Of one source: predicted classes and outcomes, as they are compared, the most frequent first."""

    predicted: list[str]
    outcomes: list[str]


def _check_source(
    monitor: Monitor, field: str, source: Source, settings: Settings, n_files: int, met: dict[str, _Classes]
) -> list[SourceFinding]:
    place = (field, "url" if source.url else "path")
    unread: list[str] = []
    try:
        with connected(settings) as connection:
            wanted = _declared_columns(monitor, field)
            most = SAMPLE_FILES if field == "reference" else n_files
            sample = _sample(connection, monitor, source, settings, wanted, most, unread)
            check = _Check(monitor, field, connection, sample, settings)
            findings = check.labels() if field == "ground_truth" else check.rows()
            met[field] = check.met()
    except UserError as error:
        return [SourceFinding(place, str(error), stops=_stops(monitor, field, source))]
    except duckdb.OutOfMemoryException:
        raise
    except duckdb.Error as error:  # pages behind a sound footer: which file it is, its own window says
        said = f"the {_source_name(field)} cannot be read ({str(error).splitlines()[0]})"
        write = "write the damaged file again or take it out"
        return [SourceFinding(place, f"{said}; {write}", stops=field == "reference")]
    # A file that cannot be read fails its own windows; the reference is read whole or not at all.
    return [SourceFinding(place, why, stops=field == "reference") for why in unread] + findings


def _stops(monitor: Monitor, field: str, source: Source) -> bool:
    """Whether a source that cannot be looked at stops a run. Not files that cannot be read, which fail their own
    windows, unless they are the reference's; nor labels that are only awaited."""
    try:
        _paths(monitor, source)
    except UserError:
        return not (field == "ground_truth" and _is_awaited(monitor, source))
    return field == "reference" or source.url is not None


def _is_awaited(monitor: Monitor, source: Source) -> bool:
    """A glob in a directory that is there, without a file."""
    try:
        paths = [expand_environment(path, "path") for path in source.paths]
    except UserError:
        return False
    heads = [re.match(r"([^*?\[]*/)?[^*?\[/]*[*?\[]", path) for path in paths if not protocol_of(path)]
    return len(heads) == len(paths) and all(
        head is not None and (Path(monitor.base_dir) / Path(head[1] or ".").expanduser()).is_dir() for head in heads
    )


def _vocabularies(monitor: Monitor, met: dict[str, _Classes]) -> list[SourceFinding]:
    """Classes that two sources call by other names, and a positive class that the labels lack."""
    findings: list[SourceFinding] = []
    known = met["reference"].outcomes if "reference" in met else []
    for field in ("reference", "predictions"):
        predicted = met[field].predicted if field in met else []
        if predicted and known and not set(predicted) & set(known):
            said = f"{some(predicted)} are predicted in the {_source_name(field)}, and none of them is ever the outcome"
            said += f" {monitor.reference.outcome!r}, which is {some(known)}"
            write = "name the column of the predicted class, in the outcome's words"
            findings.append(SourceFinding(("schema", "prediction"), f"{said}; {write}"))
            break
    truth = monitor.ground_truth
    if truth is None or "ground_truth" not in met:
        return findings
    outcomes = met["ground_truth"].outcomes
    never = no_positive_class(monitor, truth.outcome, _source_name("ground_truth"), outcomes)
    # The first labels may well be of the other class: then the reference, where the class occurs, knows it too.
    if never and not (monitor.schema_.positive_class in known and set(outcomes) <= set(known)):
        findings.append(SourceFinding(("schema", "positive_class"), never, stops=len(outcomes) > 1 or bool(known)))
    return findings


@dataclass
class _Check:
    """One source against the declaration, by a sample of it. ``known``: classes by column, once looked for."""

    monitor: Monitor
    field: str
    connection: duckdb.DuckDBPyConnection
    sample: Sample
    settings: Settings
    known: dict[str, list[str]] = dataclasses.field(default_factory=dict)

    @property
    def columns(self) -> Collection[str]:
        """Every column met."""
        return self.sample.columns

    def rows(self) -> list[SourceFinding]:
        """Findings of predictions and reference."""
        schema, reference = self.monitor.schema_, self.field == "reference"
        outcome = self.monitor.reference.outcome if reference else None
        needed: dict[Location, str] = {}
        if not reference:
            needed = {("schema", "prediction_id"): schema.prediction_id, ("schema", "event_time"): schema.event_time}
            if schema.model_version:
                needed["schema", "model_version"] = schema.model_version
        if outcome:
            needed["reference", "outcome"] = outcome
        findings = self._missing(needed)
        outputs = output_columns(self.monitor)
        # An output under another spelling is there, and misspelled: then no model scores the reference.
        scored_later = reference and bool(outputs) and not any(self._near(column) for column in outputs.values())
        if scored_later:
            findings.append(self._no_outputs(*next(iter(outputs.items()))))
        for one in fields_of(self.monitor, outcome):
            if scored_later and one.name.startswith(("__prediction", "__score")):
                continue
            if one.source is not None and one.name != "__outcome":
                place = _place(self.monitor, one)
                findings += self._fits(place, one) if one.source in self.columns else [self._absent(place, one.source)]
        if not reference:
            findings += self._times(("schema", "event_time"), schema.event_time)
            findings += self._unique(schema.prediction_id)
        if reference:
            findings += self._protected()
        return findings + self._outcome(("reference", "outcome"), outcome)

    def _protected(self) -> list[SourceFinding]:
        """Declared reference groups that the reference does not have."""
        findings = []
        for one in self.monitor.protected:
            if one.reference in (None, "∅") or one.column not in self.columns:
                continue
            if one.column in self.monitor.schema_.numerical:
                continue  # its groups are bins, which the reference stage knows
            met = classes_in_source(self.monitor, self.monitor.reference, one.column, self.settings)
            if one.reference not in met:
                said = f"the reference has no row whose {one.column!r} is {one.reference!r}; write one of {some(met)}"
                findings.append(SourceFinding(("protected",), said))
        return findings

    def labels(self) -> list[SourceFinding]:
        """Findings of the ground truth."""
        truth = self.monitor.ground_truth
        assert truth is not None
        id_column = truth.prediction_id or self.monitor.schema_.prediction_id
        needed: dict[Location, str] = {
            ("ground_truth", "prediction_id"): id_column,
            ("ground_truth", "outcome"): truth.outcome,
        }
        if truth.label_time:
            needed["ground_truth", "label_time"] = truth.label_time
        findings = self._missing(needed)
        if truth.label_time:
            findings += self._times(("ground_truth", "label_time"), truth.label_time)
        return findings + self._outcome(("ground_truth", "outcome"), truth.outcome)

    def _missing(self, needed: dict[Location, str]) -> list[SourceFinding]:
        return [self._absent(place, column) for place, column in needed.items() if column not in self.columns]

    def _no_outputs(self, field: str, column: str) -> SourceFinding:
        """A reference of features alone is scored by the registered model; its profile fails where there is none."""
        said = (
            f"the reference has no column {column!r}; it holds no predictions, so the registered model scores it: write"
            " the column, or register the model version with its artifact before the first run"
        )
        return SourceFinding(tuple(field.split(".")), said, stops=False)

    def _near(self, column: str) -> list[str]:
        """The source's columns of this name, whatever their case."""
        return [c for c in self.columns if c.casefold().strip() == column.casefold().strip()]

    def _absent(self, place: Location, column: str) -> SourceFinding:
        near = self._near(column)
        some = ", ".join(list(self.columns)[:20])
        if column == BLANK:
            return SourceFinding(place, f"{BLANK} is to be filled in; write one of the columns: {some}")
        write = f"write {near[0]!r}" if near else f"write one of its columns: {some}"
        return SourceFinding(place, f"the {_source_name(self.field)} has no column {column!r}; {write}")

    def _fits(self, place: Location, one: Field) -> list[SourceFinding]:
        """Values that do not fit the declared type, with an example; scores that are no probabilities."""
        assert one.source is not None
        convert = {"number": values.numerical, "category": values.categorical, "flag": values.boolean}
        value = self.sample.value(one.source, convert.get(one.kind, values.class_label))
        findings = self._invalid(place, one, value.invalid) if value.invalid else []
        if self.field == "reference":
            findings += self._empty(place, one, value.sql)
        if one.name.startswith("__score"):
            findings += self._probability(place, one, value.sql)
        return findings

    def _probability(self, place: Location, one: Field, value: str) -> list[SourceFinding]:
        rows = f"(SELECT {value} AS __v FROM {self.sample.table})"  # noqa: S608
        bad = "count(*) FILTER (__v < 0 OR __v > 1)"
        n, total, least, greatest = self._row(f"{bad}, count(__v), min(__v), max(__v)", rows)
        if not n:
            return []
        said = f"{one.source!r} runs from {least:g} to {greatest:g}, but a score is a probability in [0, 1]"
        write = "name the column of the probability"
        return [SourceFinding(place, f"{said}; {write}", stops=n > _NEARLY_ALL * total)]

    def _invalid(self, place: Location, one: Field, invalid: str) -> list[SourceFinding]:
        assert one.source is not None
        bad, text = f"FILTER ({invalid})", self.sample.text(one.source)
        present = self.sample.present(one.source)
        n, total, shown = self._row(f"count(*) {bad}, count(*) FILTER ({present}), any_value({text}) {bad}")
        if not n:
            return []
        said = f"{n} of {total} values of {one.source!r} in the {_source_name(self.field)}"
        said += f" are not {_TYPES[one.kind]} (such as {shown!r})"
        write = "declare what it holds or mend the data"
        if one.kind == "number" and DECIMAL_COMMA.fullmatch(shown):
            write = "write a decimal point, not a comma"
        if len(self.sample.columns[one.source]) > 1:
            said += f": its files disagree on the type, it is {self.sample.types_met(one.source)}"
            write = "write it in one type in all files, or drop the column from the declaration"
        return [SourceFinding(place, f"{said}; {write}", stops=n > _NEARLY_ALL * total)]

    def _empty(self, place: Location, one: Field, value: str) -> list[SourceFinding]:
        """A reference without a value fixes no bins; nothing is computed from it."""
        there = "count(__v) FILTER (isfinite(__v))" if one.kind == "number" else "count(__v)"
        n, n_values = self._row(f"count(*), {there}", f"(SELECT {value} AS __v FROM {self.sample.table})")  # noqa: S608
        if not n or n_values:
            return []
        said = f"the reference has no value in {one.source!r}, so windows have nothing to be held against"
        return [SourceFinding(place, f"{said}; drop the column or mend the source")]

    def _times(self, place: Location, column: str) -> list[SourceFinding]:
        if column not in self.columns:
            return []
        time = self.sample.each(column, lambda one, kind: utc_sql(one, kind, self.monitor.schema_.timezone))
        bad = f"FILTER ({time} IS NULL)"
        future = f"FILTER ({time} > TIMESTAMP '{timestamp(datetime.now(UTC) + FUTURE_TOLERANCE)}')"
        n, total, example, n_future, first = self._row(
            f"count(*) {bad}, count(*), any_value({self.sample.text(column)}) {bad}, count(*) {future}, min({time})"
        )
        if total and n_future == total and self.field == "predictions":
            said = f"all times in {column!r} of the prediction log lie in the future (the first is {first} UTC)"
            return [SourceFinding(place, f"{said}; such rows are refused: correct `schema.timezone` or the column")]
        if not n:
            return []
        said = f"{n} of {total} times in {column!r} of the {_source_name(self.field)} cannot be read"
        said += f" (such as {example!r})"
        if len(self.sample.columns[column]) > 1:
            said += f": its files disagree on the type, it is {self.sample.types_met(column)}"
        write = "write ISO 8601 (2024-03-31T02:30:00+02:00) or seconds since 1970"
        return [SourceFinding(place, f"{said}; {write}", stops=n > _NEARLY_ALL * total)]

    def _unique(self, column: str) -> list[SourceFinding]:
        if column not in self.columns:
            return []
        key = self.sample.each(column, values.key)
        total, distinct, absent = self._row(f"count({key}), count(DISTINCT {key}), count(*) - count({key})")
        findings, place = [], ("schema", "prediction_id")
        if absent:
            said = f"{absent} rows have no {column!r}; fill it, or they are quarantined"
            findings.append(SourceFinding(place, said, stops=absent > total))
        if distinct < UNIQUE_SHARE * total:  # some are written twice, by retries; those are removed and counted
            said = f"{total - distinct} of {total} ids in {column!r} occur again"
            write = "name a column that is different in every prediction"
            findings.append(SourceFinding(place, f"{said}; {write}", stops=2 * distinct < total))
        return findings

    def _outcome(self, place: Location, column: str | None) -> list[SourceFinding]:
        """Outcomes of the wrong kind: no numbers in a regression, a binary one without the positive class."""
        if column is None or column not in self.columns:
            return []
        if self.monitor.task == "regression":
            return self._fits(place, Field("__outcome", "number", column))
        met = self._classes(column)
        if not met:
            return self._no_outcome(place, column)
        findings = self._spellings(column, met)
        if self.monitor.task == "multiclass":
            return findings + self._scored(column, met)
        said = no_positive_class(self.monitor, column, _source_name(self.field), met)
        if said and self.field == "reference":
            findings.append(SourceFinding(("schema", "positive_class"), said))
        return findings

    def met(self) -> _Classes:
        """The classes of this source; none in a regression."""
        if self.monitor.task == "regression":
            return _Classes([], [])
        prediction = self.monitor.schema_.prediction if self.field != "ground_truth" else None
        truth = self.monitor.ground_truth if self.field == "ground_truth" else None
        outcome = self.monitor.reference.outcome if self.field == "reference" else None
        outcome = truth.outcome if truth else outcome
        return _Classes(self._classes_if_there(prediction), self._classes_if_there(outcome))

    def _classes_if_there(self, column: str | None) -> list[str]:
        return self._classes(column) if column is not None and column in self.columns else []

    def _no_outcome(self, place: Location, column: str) -> list[SourceFinding]:
        (n,) = self._row("count(*)")
        if not n or self.field != "reference":
            return []  # outcomes may all be still to come
        said = f"the outcome {column!r} of the reference holds no value"
        return [SourceFinding(place, f"{said}; drop `reference.outcome` or mend the source")]

    def _spellings(self, column: str, met: list[str]) -> list[SourceFinding]:
        """The positive class written otherwise in some rows, which would count as the other class."""
        positive = self.monitor.schema_.positive_class
        others = [c for c in met if c != positive and c.casefold() == positive.casefold()]
        if self.monitor.task != "binary" or positive not in met or not others:
            return []
        said = f"the outcome {column!r} of the {_source_name(self.field)} is {positive!r} and {some(others)}"
        write = "write the positive class alike everywhere: other spellings count as the other class"
        return [SourceFinding(("schema", "positive_class"), f"{said}; {write}")]

    def _classes(self, column: str) -> list[str]:
        """Class labels of a column as they are compared, the most frequent first.

        Of outcomes without the positive class, and of a reference cut out of its source, all rows are looked at.
        """
        if column in self.known:
            return self.known[column]
        label, reference = self.sample.value(column, values.class_label).sql, self.monitor.reference
        met = _most_frequent(self.connection, self.sample, label, _CLASSES)
        cut = self.field == "reference" and (reference.from_ or reference.to)
        if column != self.monitor.schema_.prediction and (cut or self.monitor.schema_.positive_class not in met):
            source: Source = getattr(self.monitor, self.field)
            met = classes_in_source(self.monitor, source, column, self.settings)
        self.known[column] = met
        return met

    def _scored(self, column: str, met: list[str]) -> list[SourceFinding]:
        """Classes with a score that never occur beside ones without: the same classes under other names."""
        scored = self.monitor.schema_.class_scores
        never, unscored = [c for c in scored if c not in met], [c for c in met if c not in scored]
        if not never or not unscored:
            return []
        said = f"the outcome {column!r} of the {_source_name(self.field)} is {some(unscored)}, which have no score"
        said += f", and never {some(never)}, which have one"
        return [SourceFinding(("schema", "class_scores"), f"{said}; write the classes as the outcome has them")]

    def _row(self, select: str, rows: str | None = None) -> tuple[Any, ...]:
        return _first(self.connection, f"SELECT {select} FROM {rows or self.sample.table}")  # noqa: S608


def _matching(monitor: Monitor, settings: Settings, n_files: int) -> list[SourceFinding]:
    """No label id among the predictions' ids. Some that do not match are normal: files come late."""
    for most in (n_files, None):  # a sample of both that has none in common says nothing
        n, total, label, prediction = _matched(monitor, settings, most)
        if n or not total or prediction is None:
            return []
    said = f"none of {total} label ids (such as {label!r}) is among the predictions' ids (such as {prediction!r})"
    write = "write the column that holds the predictions' ids"
    return [SourceFinding(("ground_truth", "prediction_id"), f"{said}; {write}")]


def _matched(monitor: Monitor, settings: Settings, n_files: int | None) -> tuple[Any, ...]:
    """Label ids among the predictions' ids, label ids, one of each; of a sample, or of everything (None)."""
    truth = monitor.ground_truth
    assert truth is not None
    own = monitor.schema_.prediction_id
    sides = (("__logged", monitor.predictions, own), ("__labelled", truth, truth.prediction_id or own))
    with connected(settings) as connection:
        for table, source, column in sides:
            if n_files is None:
                ids = ids_of(connection, monitor, source, column, settings)
            else:
                sample = _sample(connection, monitor, source, settings, [column], n_files)
                ids = f"SELECT {sample.each(column, values.key)} AS __id FROM {sample.table}"  # noqa: S608
            connection.execute(f"CREATE TEMP TABLE {table} AS SELECT DISTINCT __id FROM ({ids})")  # noqa: S608
        return _first(
            connection,
            "SELECT count(*) FILTER (__id IN (SELECT __id FROM __logged)), count(*), min(__id),"
            " (SELECT min(__id) FROM __logged) FROM __labelled WHERE __id IS NOT NULL",
        )


def _place(monitor: Monitor, one: Field) -> Location:
    """Where a column is declared."""
    schema = monitor.schema_
    if one.name.startswith("__score_"):
        name = next(name for name, column in schema.class_scores.items() if column == one.source)
        return ("schema", "class_scores", name)
    if one.name.startswith("__"):
        return ("schema", one.name.removeprefix("__"))
    protected = [of.column for of in monitor.protected]
    if one.source in monitor.segment_columns:
        return ("protected",) if one.source in protected else ("segments",)
    return ("schema", {"number": "numerical", "category": "categorical", "flag": "boolean"}[one.kind])


def _source_name(field: str) -> str:
    return {"predictions": "prediction log", "reference": "reference", "ground_truth": "ground truth"}[field]


def _declared_columns(monitor: Monitor, field: str) -> list[str]:
    if field == "predictions":
        return source_columns(monitor)
    if field == "reference":
        return source_columns(monitor, monitor.reference.outcome)
    truth = monitor.ground_truth
    assert truth is not None
    names = (truth.prediction_id or monitor.schema_.prediction_id, truth.outcome, truth.label_time)
    return [name for name in names if name is not None]


def _sample(
    connection: duckdb.DuckDBPyConnection,
    monitor: Monitor,
    source: Source,
    settings: Settings,
    wanted: Sequence[str] | None,
    n_files: int = SAMPLE_FILES,
    unread: list[str] | None = None,
) -> Sample:
    """A repeatable sample over the first and last files, read as ingestion reads them.

    Only the ``wanted`` columns hold values. Raises SourceError when there is no file or one cannot be read;
    with ``unread``, which then gets what is wrong with each, only when none can.
    """
    paths, half = _paths(monitor, source), n_files // 2
    chosen = paths if len(paths) <= n_files else [*paths[:half], *paths[-half:]]
    with reading(connection, monitor, source, None, settings, wanted) as reader:
        reader.at_most = SAMPLE_ROWS if n_files < SAMPLE_FILES else None  # of a table
        scans, broken = reader.scans(chosen)
        if broken and (unread is None or not scans):
            raise SourceError("; ".join(broken.values()))
        if unread is not None:
            unread += broken.values()
        try:
            return sample_of(connection, scans, wanted, lambda n: min(SAMPLE_ROWS, SAMPLE_VALUES // max(n, 1)))
        except duckdb.OutOfMemoryException:
            raise
        except duckdb.Error as error:
            raise find_unreadable(connection, [p for scan in scans for p in scan.files], error) from error


def _paths(monitor: Monitor, source: Source) -> list[str]:
    if source.url is not None:
        return [sql.pseudo_path(source, None)]
    paths = list(list_files(source, monitor.base_dir))
    if not paths:
        where = Path(monitor.base_dir).resolve()
        raise SourceError(f"no file matches {', '.join(source.paths)} (looked from {where}); correct the path")
    for path in paths:
        file_format(path, source.format)
    return paths


def _source_of(written: str) -> Source:
    """What a user wrote on the command line as a source with absolute paths."""
    url, hash_, table = written.partition("#")
    if hash_ and "://" in url and table:
        return Source(url=_from_here(url), table=table)
    if protocol_of(written):
        return Source(path=written)
    path = Path(written.removeprefix("file://")).expanduser().resolve()
    if not path.is_dir():
        return Source(path=str(path))
    suffixes = [p.name.partition(".")[2] for p in sorted(path.rglob("*")) if p.is_file() and not p.name.startswith(".")]
    if not suffixes:
        raise SourceError(f"{path}: holds no file; name a directory with data, or the files by a glob")
    return Source(path=f"{path}/**/*.{max(suffixes, key=suffixes.count)}")


def _from_here(url: str) -> str:
    """The URL of a SQLite file with its whole path, since a declared one is relative to the monitor's file."""
    driver, separator, rest = url.partition(":///")
    path, mark, options = rest.partition("?")
    if not (driver.startswith("sqlite") and separator and path) or path.startswith(("/", ":memory:", "file:", "${")):
        return url
    return f"{driver}:///{Path(path).resolve()}{mark}{options}"


def _undeclared(source: Source) -> Monitor:
    """Reading needs a zone, a window and a directory; nothing of this stand-in reaches anyone."""
    return Monitor.model_validate(
        {
            "name": "undeclared",
            "task": "binary",
            "schema": {"prediction_id": "id", "event_time": "time", "score": "score"},
            "predictions": source,
            "reference": {"path": "none"},
            "start": "1970-01-01",
            "base_dir": Path.cwd(),
        }
    )


def _summarize_column(
    connection: duckdb.DuckDBPyConnection,
    sample: Sample,
    n_rows: int,
    name: str,
    one: Reconciled,
    texts: Collection[str] | None,
) -> ColumnSummary:
    """``texts``: columns that the source could have stored as numbers, and stored as text; None: all text is."""
    typed, kind = one.typed, one.kind
    is_narrowed = typed != one.written
    zeros = f"regexp_matches({one.written}, '^\\s*0[0-9]')" if is_narrowed and _is_text(sample, name) else "false"
    is_small = n_rows < _COUNTED_AT_ONCE
    n_distinct, n_null, least, greatest, leading = _first(
        connection,
        f"SELECT {'count(DISTINCT __v)' if is_small else 'approx_count_distinct(__v)'}, count(*) - count(__v),"  # noqa: S608
        f" {_extreme('min', kind)}, {_extreme('max', kind)}, coalesce(bool_or(__zero), false)"
        f" FROM (SELECT {typed} AS __v, {zeros} AS __zero FROM {sample.table})",
    )
    # Approximate counts are off by 6 % at times: where uniqueness is in question they are made exact.
    if not is_small and (n_distinct < _COUNTED_AT_ONCE or n_distinct > 0.8 * (n_rows - n_null)):
        (n_distinct,) = _first(connection, f"SELECT count(DISTINCT {typed}) FROM {sample.table}")  # noqa: S608
    shown = f"CAST({one.written} AS VARCHAR)"
    written = tuple(_most_frequent(connection, sample, values.present(shown) if is_narrowed else shown, _EXAMPLES))
    label = sample.value(name, values.class_label).sql
    classes = tuple(_most_frequent(connection, sample, label, MOST_LABELS)) if n_distinct <= _CLASSES else ()
    is_stored_as_text = _is_text(sample, name) if texts is None else name in texts
    few_numbers = kind in values.INTEGERS or (kind in values.FLOATS and n_distinct <= _MOST_CODES)
    is_code = (leading and kind in values.INTEGERS) or (is_stored_as_text and few_numbers and is_narrowed)
    return ColumnSummary(name, kind, n_distinct, n_null, least, greatest, written, classes, is_code=is_code)


def _is_text(sample: Sample, name: str) -> bool:
    """Whether all files store the column as text."""
    return all(values.is_text(variant.kind) for variant in sample.columns[name])


def _most_frequent(connection: duckdb.DuckDBPyConnection, sample: Sample, value: str, n: int) -> list[str]:
    """The distinct values of an SQL expression of type VARCHAR over the sample, the most frequent first."""
    found = connection.execute(
        f"SELECT __v, count(*) FROM (SELECT {value} AS __v FROM {sample.table}) WHERE __v IS NOT NULL"  # noqa: S608
        f" GROUP BY __v ORDER BY 2 DESC, 1 LIMIT {n}"
    ).fetchall()
    return [str(text) for text, _ in found]


def _extreme(function: str, kind: str) -> str:
    """NaN is greater than every number, and Python has no time beyond year 9999: no extreme anyone asks for. Nested
    values have none."""
    if kind in values.FLOATS:
        return f"{function}(__v) FILTER (isfinite(__v))"
    if is_time(kind):
        return f"{function}(CASE WHEN {on_the_calendar('__v', kind)} THEN __v END)"
    return "NULL" if values.is_nested(kind) or kind == "BLOB" else f"{function}(__v)"


def _first(connection: duckdb.DuckDBPyConnection, statement: str) -> tuple[Any, ...]:
    row = connection.execute(statement).fetchone()
    assert row is not None
    return row
