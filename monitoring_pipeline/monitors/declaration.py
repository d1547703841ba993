"""The declaration of a monitor: what one YAML file in ``monitors/`` may say, and nothing else."""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from monitoring_pipeline.monitors.alarms import Alarms
from monitoring_pipeline.monitors.durations import Duration, as_text
from monitoring_pipeline.monitors.evidently import EvidentlyReport
from monitoring_pipeline.monitors.parity import Parity
from monitoring_pipeline.monitors.protected import (
    CLASSIFICATION_FAIRNESS,
    FAIRNESS_METRICS,
    REGRESSION_FAIRNESS,
    ProtectedColumn,
    with_protected_segments,
)
from monitoring_pipeline.monitors.retraining import RetrainPolicy
from monitoring_pipeline.windows import LENGTH, WINDOWS_A_DAY, WindowSize

Task = Literal["binary", "multiclass", "regression"]
FIRST_YEAR, LAST_YEAR = 1970, 2199
"""Of a monitored day: every window between `start` and today is listed, and each year costs memory."""


def _class_label(value: Any) -> Any:
    """Class labels are text: 1 and 1.0 become ``1``, true becomes ``true``, as the lake reads them from data."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value) if isinstance(value, int | float) else value


def _outcome_class(value: Any) -> Any:
    """A class as the lake writes those it reads from data: without blanks around it, ``1`` for ``1.0``."""
    label = _class_label(value)
    if not isinstance(label, str):
        return label
    label = re.sub(r"^([+-]?[0-9]+)\.0+$", r"\1", label.strip())
    return label.lower() if label in ("True", "False", "TRUE", "FALSE") else label


def _utc(value: datetime) -> datetime:
    try:
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    except OverflowError:
        raise ValueError("lies before year 1 or after year 9999 in UTC; write another time") from None


def _monitored_day(value: date) -> date:
    if not FIRST_YEAR <= value.year <= LAST_YEAR:
        raise ValueError(f"{value} is not a day that can be monitored; write one from {FIRST_YEAR} to {LAST_YEAR}")
    return value


def _known_zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: `America` is a directory of zones
        close = difflib.get_close_matches(value, available_timezones(), n=1)
        hint = f"did you mean {close[0]}?" if close else "write an IANA name, such as Europe/Berlin"
        raise ValueError(f"{value!r} is not a time zone; {hint}") from None
    return value


Share = Annotated[float, Field(ge=0, le=1)]
Zone = Annotated[str, AfterValidator(_known_zone)]
ClassLabel = Annotated[str, BeforeValidator(_class_label)]
OutcomeClass = Annotated[str, BeforeValidator(_outcome_class)]
Moment = Annotated[datetime, AfterValidator(_utc)]
MonitoredDay = Annotated[date, AfterValidator(_monitored_day)]
BASELINES = ("training", "previous", "seasonal")
RESERVED_SEGMENT = "*"
PREVIOUS_WITHIN = 7  # windows: how far back the previous non-empty one may lie
SEASONS = 4  # weeks: how many of the same hours of the week make the seasonal baseline


class Declared(BaseModel):
    """Frozen, and a key that is not known is an error rather than silence."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, allow_inf_nan=False)


class Source(Declared):
    """Where rows come from: files (``path``) or a SQL table (``url`` and ``table``).

    ``${NAME}`` in ``path`` and ``url`` is taken from the environment, so that no password stands in a declaration.
    Relative paths are relative to the file of the monitor.
    """

    path: str | tuple[str, ...] | None = Field(
        default=None, description="files: a glob or a list of them, local or fsspec URLs; `**` crosses directories"
    )
    format: Literal["parquet", "csv", "jsonl"] | None = Field(
        default=None, description="inferred from the suffix when absent"
    )
    immutable: bool = Field(
        default=False, description="files never change: read in place instead of being copied to the lake"
    )
    url: str | None = Field(default=None, description="SQLAlchemy URL")
    table: str | None = Field(default=None, description="table or schema.table; quoted, never interpolated")
    updated_at: str | None = Field(
        default=None, description="SQL: column that grows when a row is written, to see late rows"
    )
    delimiter: str | None = Field(default=None, description="CSV only; sniffed when absent")

    @model_validator(mode="after")
    def _one_kind(self) -> Source:
        if (self.path is None) == (self.url is None):
            raise ValueError("give either `path` (files) or `url` and `table` (SQL), not both and not neither")
        if self.url is not None and not self.table:
            raise ValueError("a SQL source needs `table`")
        if self.delimiter is not None and (len(self.delimiter.encode()) != 1 or self.delimiter in '"\r\n'):
            raise ValueError(
                f"`delimiter` is one ASCII character, not {self.delimiter!r}; leave it out to have it found"
            )
        return self

    @property
    def paths(self) -> tuple[str, ...]:
        """The declared paths, none for a SQL table."""
        return () if self.path is None else (self.path,) if isinstance(self.path, str) else self.path


class GroundTruthSource(Source):
    """True outcomes by prediction id. Of two rows for an id the later one wins (by ``label_time``, else arrival)."""

    prediction_id: str | None = Field(default=None, description="its name here; the schema's when absent")
    outcome: str = Field(description="column of the true class or value")
    label_time: str | None = Field(default=None, description="column: when the outcome became known")


class ReferenceSource(Source):
    """Labelled rows the model was not fitted on; they fix bins, categories and usual figures.

    Without such rows the first weeks of the prediction log can stand in: give the log's source and bound it by ``from``
    and ``to``, which keep the rows with ``from <= schema.event_time < to`` (UTC when they carry no zone).
    """

    outcome: str | None = Field(default=None, description="column of the true outcome; performance baselines need it")
    model_version: ClassLabel = Field(
        default="1", description="the version these rows belong to, unless the log's version column is there"
    )
    from_: Moment | None = Field(default=None, alias="from", description="only rows with an event time at or after it")
    to: Moment | None = Field(default=None, description="only rows with an event time before it")

    @model_validator(mode="after")
    def _bounds(self) -> ReferenceSource:
        if self.from_ and self.to and self.to <= self.from_:
            raise ValueError("`to` must lie after `from`; rows with from <= event time < to are kept")
        return self


class Schema(Declared):
    """Columns of the prediction log, by their names in the source."""

    prediction_id: str = Field(description="column that tells predictions apart; ground truth is joined by it")
    event_time: str = Field(description="column: when the prediction was made; it decides the window")
    model_version: str | None = Field(
        default=None, description="column; when absent every row has the reference's version"
    )
    prediction: str | None = Field(default=None, description="predicted class or value")
    score: str | None = Field(default=None, description="binary: score of the positive class in [0, 1]")
    class_scores: dict[OutcomeClass, str] = Field(
        default_factory=dict, description="multiclass: class -> column of its score"
    )
    positive_class: OutcomeClass = Field(default="1", description="binary: the outcome that counts as positive")
    numerical: tuple[str, ...] = Field(default=(), description="features that are numbers")
    categorical: tuple[str, ...] = Field(default=(), description="features that are one of some values; text or codes")
    boolean: tuple[str, ...] = Field(default=(), description="features that are true or false (or 1, 0, yes, no)")
    timezone: Zone = Field(default="UTC", description="zone of times that carry none; an IANA name")

    @model_validator(mode="after")
    def _distinct(self) -> Schema:
        findings: list[str] = []
        seen: set[str] = set()
        for group in ("numerical", "categorical", "boolean"):
            for column in getattr(self, group):
                if column in seen:
                    findings.append(f"schema.{group}: column {column!r} is declared twice; give it one type")
                if column in (self.prediction_id, self.event_time):
                    findings.append(
                        f"schema.{group}: column {column!r} is the id or the event time and cannot be a feature too"
                    )
                if column in (self.prediction, self.score, self.model_version, *self.class_scores.values()):
                    findings.append(
                        f"schema.{group}: column {column!r} is the output or the version and cannot be a feature too"
                    )
                if column == RESERVED_SEGMENT:
                    findings.append(
                        f"schema.{group}: column '*': in the results `*` is the window as a whole; rename the column"
                    )
                seen.add(column)
        if findings:
            raise ValueError("\n".join(findings))
        return self

    @property
    def features(self) -> tuple[str, ...]:
        """Names of all features: numerical, categorical, boolean."""
        return (*self.numerical, *self.categorical, *self.boolean)


def _known_methods(thresholds: dict[str, float]) -> dict[str, float]:
    unknown = set(thresholds) - set(DRIFT_THRESHOLDS)
    if unknown:
        raise ValueError(f"unknown drift method {sorted(unknown)[0]!r}; one of {', '.join(DRIFT_THRESHOLDS)}")
    return thresholds


# Defaults until a monitor's own null distribution is known; each is the figure its literature calls a clear change.
DRIFT_THRESHOLDS: dict[str, float] = {
    "psi": 0.2,
    "jensen_shannon": 0.1,
    "kl_divergence": 0.1,
    "hellinger": 0.1,
    "total_variation": 0.1,
    "chi_square": 0.05,  # Cramér's V, the effect of the test
    "kolmogorov_smirnov": 0.1,
    "wasserstein": 0.1,  # in standard deviations of the reference
    "missing_share_change": 0.05,
}


DriftThresholds = Annotated[dict[str, float], AfterValidator(_known_methods)]


def _known_fairness(thresholds: dict[str, float]) -> dict[str, float]:
    unknown = set(thresholds) - set(FAIRNESS_METRICS)
    if unknown:
        raise ValueError(f"unknown fairness metric {sorted(unknown)[0]!r}; one of {', '.join(FAIRNESS_METRICS)}")
    negative = sorted(name for name, threshold in thresholds.items() if threshold < 0)
    if negative:
        raise ValueError(f"{negative[0]} is compared by its size; write 0 or more")
    return thresholds


FairnessThresholds = Annotated[dict[str, float], AfterValidator(_known_fairness)]


class ColumnThresholds(Declared):
    """Thresholds of one column that replace the monitor's."""

    drift: DriftThresholds = Field(default_factory=dict, description="method -> threshold, for this column alone")
    missing_share: Share | None = Field(default=None, description="most of the rows that may lack a value")
    out_of_range_share: Share | None = Field(
        default=None, description="most of the values that may lie outside the reference's range"
    )
    unseen_share: Share | None = Field(
        default=None, description="most of the values that may be categories the reference lacks"
    )


class Bound(Declared):
    """A figure is degraded below ``min`` or above ``max``."""

    min: float | None = Field(default=None, description="least value that is not degraded")
    max: float | None = Field(default=None, description="greatest value that is not degraded")


class Thresholds(Declared):
    """What counts as drift, as a violation, as degraded. All have defaults; a pinned figure is taken as it is.

    Each is a finite number; one that is never reached, such as 1e9, switches a threshold off.
    """

    drift: DriftThresholds = Field(
        default_factory=dict, description="method -> threshold, for every column; a method not named has its default"
    )
    drift_alpha: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.001, description="a drifted column is also significant at this level"
    )
    drifted_columns_share: Share = Field(
        default=0.3, description="share of drifted columns from which the window as a whole has drifted"
    )
    missing_share_change: Share = Field(
        default=0.05, description="rise of a column's missing share above the reference's that is a violation"
    )
    out_of_range_share: Share = Field(
        default=0.01, description="share of values outside the reference's range that is a violation"
    )
    unseen_share: Share = Field(
        default=0.01, description="share of values that are categories the reference lacks that is a violation"
    )
    duplicate_share: Share = Field(default=0.01, description="share of rows with a repeated id that is a violation")
    quarantined_share: Share = Field(default=0.001, description="share of unusable rows that is a violation")
    type_violation_share: Share = Field(
        default=0.0, description="share of values that do not fit their column's type that is a violation"
    )
    volume_ratio: tuple[float, float] = Field(
        default=(0.5, 2.0), description="rows against the usual of that hour of the week"
    )
    label_coverage: Share = Field(default=0.9, description="least labelled share of a mature window")
    performance: dict[str, Bound] = Field(
        default_factory=dict, description="metric -> bound, such as roc_auc: {min: 0.65}"
    )
    performance_drop: Share = Field(
        default=0.1, description="relative loss against the reference that counts as degraded"
    )
    fairness: FairnessThresholds = Field(
        default_factory=dict,
        description="metric -> largest difference between groups of a `protected` column (demographic_parity_ratio:"
        " least ratio); violated where the whole interval is beyond it; one not named is only measured",
    )
    columns: dict[str, ColumnThresholds] = Field(default_factory=dict, description="column -> its own thresholds")


class Labels(Declared):
    """When a window's figures can be trusted: once ``max_delay`` has passed, or as soon as ``coverage`` is reached and
    the labels still missing cannot change much (``alarms.performance.missing_share``).
    """

    coverage: Share = Field(
        default=0.95, description="labelled share below which a window is not mature before `max_delay` has passed"
    )
    max_delay: Duration = Field(
        default=timedelta(days=7), description="time after which a window is mature whatever its coverage"
    )


class Retention(Declared):
    """How long things are kept, each counted from the end of its window; a kind that is not named is kept for ever.

    The daily schedule and `monitoring-pipeline db prune` delete what is older, at the earliest a day after its window
    was last taken in. Sources are never touched. A window that lost profiles, measurements or lake files is not
    computed again until new rows come for it; see retention.md.
    """

    profiles: Duration | None = Field(
        default=None, description="profiles of windows; without them nothing about a window can be computed again"
    )
    measurements: Duration | None = Field(default=None, description="measurements, and with them their verdicts")
    verdicts: Duration | None = Field(default=None, description="verdicts; not longer than their measurements")
    revisions: Duration | None = Field(
        default=None, description="measurements that were replaced, counted from when they were"
    )
    lake_files: Duration | None = Field(
        default=None, description="the lake's copies of predictions and labels, and rows set aside"
    )
    artifacts: Duration | None = Field(
        default=None,
        description="artifacts of model versions, counted from when they were trained; never the champion's, that of"
        " the champion before, or a challenger's",
    )
    artifact_versions: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="how many artifacts are kept, the newest; the same are never deleted"
    )

    @property
    def shortest(self) -> timedelta | None:
        """Age from which a window is not computed again, because something it is computed from, or into, is deleted."""
        given = [d for d in (self.profiles, self.measurements, self.lake_files) if d is not None]
        return min(given, default=None)


class Owner(Declared):
    """Whom to ask."""

    team: str | None = Field(default=None, description="team that answers for the model")
    email: str | None = Field(default=None, description="where it is reached")


LONGEST_SPAN = {"day": 92, "hour": 168}
"""Windows of a named baseline: each window reads the profiles of all of them."""


class NamedBaseline(Declared):
    """A span of earlier windows that windows are held against: `{name: launch, from: 2026-01-05, to: 2026-01-19}`, or
    the same month of an earlier year: `{name: last_year, same: month, years_ago: 1}`.

    The span is compared as one; windows in it are compared with those before them. Drift only; verdicts rest on the
    reference.
    """

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,30}$")] = Field(
        description="letters, digits and _; the `baseline` of its rows"
    )
    same: Literal["month"] | None = Field(default=None, description="`month`: the calendar month of an earlier year")
    years_ago: int | None = Field(default=None, ge=1, le=20, description="with `same`: years back; 1 when absent")
    from_: MonitoredDay | None = Field(default=None, alias="from", description="first day of the span, UTC")
    to: MonitoredDay | None = Field(default=None, description="day after the last one")

    @model_validator(mode="after")
    def _one_span(self) -> NamedBaseline:
        if self.name in BASELINES:
            raise ValueError(f"{self.name!r} is a baseline of its own; give this one another name")
        if self.same is not None and (self.from_ or self.to):
            raise ValueError("give either `same` or `from` and `to`")
        if self.same is None and (self.from_ is None or self.to is None or self.years_ago is not None):
            raise ValueError("give `same: month` with `years_ago`, or `from` and `to`")
        if self.from_ is not None and self.to is not None and self.to <= self.from_:
            raise ValueError("`to` is the day after the last one: it must lie after `from`")
        return self


class RowsRollup(Declared):
    """Trailing windows merged until they hold this many rows: `{rows: 5000}`."""

    rows: int = Field(ge=1, description="least rows that the merged windows hold together")


Rollup = Literal["week", "month", "quarter"] | RowsRollup
LONGEST_ROLLUP = {"week": timedelta(days=7), "month": timedelta(days=31), "quarter": timedelta(days=92)}


def rollup_name(rollup: Rollup) -> str:
    """The ``window_size`` of its rows: week, month, quarter or such as ``5000 rows``."""
    return rollup if isinstance(rollup, str) else f"{rollup.rows} rows"


class Monitor(Declared):
    """One deployed model. Equal declarations have equal ``config_version``."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,62}$")] = Field(
        description="letters, digits and _; names the assets, the rows and the directories"
    )
    description: str = Field(default="", description="one sentence for people")
    owner: Owner = Field(default=Owner(), description="whom to ask")
    task: Task = Field(description="what the model predicts: one of two classes, one of several, a number")
    schema_: Schema = Field(alias="schema", description="which column is what")
    predictions: Source = Field(description="the prediction log")
    ground_truth: GroundTruthSource | None = Field(
        default=None, description="true outcomes; without them nothing is realized"
    )
    reference: ReferenceSource = Field(description="labelled rows the model was not fitted on")
    window: WindowSize = Field(default="day", description="length of the smallest window, a UTC hour or day")
    start: MonitoredDay = Field(description="first day that is monitored")
    end: MonitoredDay | None = Field(
        default=None, description="day after the last that is monitored; for a retired model or a replay"
    )
    paused: bool = Field(
        default=False, description="nothing of this monitor runs by itself; `run` and Dagster's buttons still work"
    )
    segments: tuple[str | tuple[str, ...], ...] = Field(default=(), description="columns, or combinations of columns")
    protected: tuple[ProtectedColumn, ...] = Field(
        default=(), description="columns whose groups the model should treat alike; see fairness.md"
    )
    baselines: tuple[Literal["training", "previous", "seasonal"] | NamedBaseline, ...] = Field(
        default=("training", "previous"),
        description="what a window is held against: the reference, the window before, the same hours of trailing weeks,"
        " or a span of earlier windows with a name",
    )
    rollups: tuple[Rollup, ...] = Field(
        default=(),
        description="longer windows, merged from stored profiles: ISO weeks, months and quarters in UTC, or"
        " `{rows: N}`, trailing windows until they hold N rows",
    )
    bins: Annotated[int, Field(ge=2, le=200)] = Field(
        default=20, description="bins per numerical column, by quantiles of the reference"
    )
    max_categories: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=100, description="the reference's most frequent; the rest is `other`"
    )
    labels: Labels = Field(default=Labels(), description="when outcomes are expected")
    thresholds: Thresholds = Field(default=Thresholds(), description="what counts as drift, violation, degradation")
    alarms: Alarms = Field(default=Alarms(), description="false alarms accepted, and what is too small to matter")
    retrain: RetrainPolicy = Field(default=RetrainPolicy(), description="when a challenger is trained and promoted")
    parity: Parity | None = Field(
        default=None, description="how served features are computed again, to compare the two; default: not compared"
    )
    evidently: EvidentlyReport | None = Field(
        default=None, description="how often Evidently's report is written by itself; default: only when asked for"
    )
    retention: Retention = Field(default=Retention(), description="how long things are kept")
    base_dir: Path = Field(default=Path(), exclude=True, description="directory of the file; set by the loader")

    @model_validator(mode="before")
    @classmethod
    def _protected_are_segments(cls, declared: Any) -> Any:
        return with_protected_segments(declared)

    @model_validator(mode="after")
    def _fits_task(self) -> Monitor:
        findings = [*self._misfits_of_task(), *self._undeclared_columns(), *self._too_short_retention()]
        findings += [*self._impossible_baselines(), *self._rollups_given_twice(), *self._misfits_of_fairness()]
        if self.end and self.end <= self.start:
            findings.append(f"end: {self.end} is not after start ({self.start}); `end` is the day after the last one")
        if findings:
            raise ValueError("\n".join(findings))
        return self

    @property
    def baseline_names(self) -> tuple[str, ...]:
        """The names that rows give the baselines."""
        return tuple(b if isinstance(b, str) else b.name for b in self.baselines)

    def _misfits_of_fairness(self) -> list[str]:
        names = [one.column for one in self.protected]
        findings = [f"protected: {name!r} is given twice" for name in dict.fromkeys(names) if names.count(name) > 1]
        pinned = self.thresholds.fairness
        if pinned and not names:
            findings.append("thresholds.fairness: no column is `protected`; declare whose groups to compare")
        fitting = REGRESSION_FAIRNESS if self.task == "regression" else CLASSIFICATION_FAIRNESS
        for name in pinned:
            if name not in fitting:
                where = f"thresholds.fairness: {name} is not of a {self.task} model"
                findings.append(f"{where}; write one of {', '.join(fitting)}")
        return findings

    def _rollups_given_twice(self) -> list[str]:
        names = [rollup_name(one) for one in self.rollups]
        return [f"rollups: {name!r} is given twice" for name in dict.fromkeys(names) if names.count(name) > 1]

    def _impossible_baselines(self) -> list[str]:
        """Names given twice, spans too long to be read for each window, and spans that retention deletes."""
        findings = [
            f"baselines: {name!r} is given twice" for name in dict.fromkeys(self.baseline_names)
            if self.baseline_names.count(name) > 1
        ]  # fmt: skip
        most = LONGEST_SPAN[self.window]
        for one in (b for b in self.baselines if not isinstance(b, str)):
            days = 31 if one.same else (one.to - one.from_).days if one.to and one.from_ else 0
            if days * WINDOWS_A_DAY[self.window] > most:
                findings.append(f"baselines: {one.name!r} is longer than {most} windows; write a shorter span")
            if self.retention.profiles is not None:
                findings.append(
                    f"retention.profiles: baseline {one.name!r} needs the profiles of its span; leave `profiles` out"
                )
        return findings

    def _misfits_of_task(self) -> list[str]:
        s = self.schema_
        if self.task == "regression" and not s.prediction:
            return ["schema.prediction: a regression monitor needs the column of the predicted value"]
        if self.task == "binary" and not (s.score or s.prediction):
            return ["schema.score: a binary monitor needs `score`, `prediction` or both"]
        if self.task == "multiclass" and not (s.class_scores or s.prediction):
            return ["schema.class_scores: a multiclass monitor needs `class_scores`, `prediction` or both"]
        if self.task != "binary" and s.score:
            return [f"schema.score: only a binary monitor has one score; this one is {self.task}"]
        if self.task != "multiclass" and s.class_scores:
            return [f"schema.class_scores: only a multiclass monitor has them; this one is {self.task}"]
        return []

    def _too_short_retention(self) -> list[str]:
        """Kinds that would be deleted while later windows, late labels or a training still need them."""
        kept, length = self.retention, LENGTH[self.window]
        late = length + (self.labels.max_delay if self.ground_truth else timedelta(0))
        why = "a window" + (" and `labels.max_delay`" if self.ground_truth else "")
        needs = dict.fromkeys(("profiles", "measurements", "verdicts", "lake_files"), (late, why))
        if "previous" in self.baselines:
            needs["profiles"] = (late + PREVIOUS_WITHIN * length, f"{why} and the windows of baseline `previous`")
        if "seasonal" in self.baselines:
            needs["profiles"] = (late + timedelta(weeks=SEASONS), f"{why} and the weeks of baseline `seasonal`")
        for rollup in self.rollups:
            longest = LONGEST_ROLLUP[rollup] if isinstance(rollup, str) else LONGEST_SPAN[self.window] * length
            if late + 2 * longest > needs["profiles"][0]:
                needs["profiles"] = (
                    late + 2 * longest,
                    f"{why} and two of rollup `{rollup_name(rollup)}`",
                )
        if self.retrain.enabled:
            needs["lake_files"] = (late + self.retrain.train_on, f"{why} and `retrain.train_on`")
        findings = []
        for kind, (least, reason) in needs.items():
            given = getattr(kept, kind)
            if given is not None and given < least:
                findings.append(
                    f"retention.{kind}: {as_text(given)} is less than {reason} need; write at least {as_text(least)}"
                )
        if kept.measurements is not None and kept.verdicts is not None and kept.verdicts > kept.measurements:
            findings.append(
                f"retention.verdicts: {as_text(kept.verdicts)} is longer than `measurements`"
                f" ({as_text(kept.measurements)}); a verdict goes with the measurement it judges: leave it out"
            )
        return findings

    def _undeclared_columns(self) -> list[str]:
        s = self.schema_
        groups = {*s.categorical, *s.boolean, *s.numerical} | ({s.prediction} if s.prediction else set())
        findings = []
        target = self.ground_truth.outcome if self.ground_truth else None
        measured = groups | {s.score, target, *s.class_scores.values()}
        findings += [
            f"thresholds.columns: {column!r} is not a declared column"
            for column in self.thresholds.columns
            if column not in measured
        ]
        return [*findings, *self._impossible_groups()]

    def _impossible_groups(self) -> list[str]:
        """Of the fairness guard: columns that make no groups, and a metric of another task."""
        fairness = self.retrain.promote.fairness
        if fairness is None:
            return []
        known = {*self.schema_.categorical, *self.schema_.boolean, *self.segment_columns}
        where = "retrain.promote.fairness"
        findings = [
            f"{where}.columns: {column!r} makes no groups; name a categorical or boolean column, or declare it in"
            " `segments`"
            for column in fairness.columns
            if column not in known
        ]
        if (fairness.metric == "mean_error") != (self.task == "regression"):
            fitting = "mean_error" if self.task == "regression" else "selection_rate or true_positive_rate"
            findings.append(f"{where}.metric: {fairness.metric} is not of a {self.task} model; write {fitting}")
        return findings

    @property
    def segment_columns(self) -> tuple[str, ...]:
        """Columns of the log that only make segments: neither a feature nor the prediction."""
        s = self.schema_
        declared = {*s.categorical, *s.boolean, *s.numerical, s.prediction}
        return tuple(dict.fromkeys(c for key in self.segment_keys for c in key if c not in declared))

    @property
    def segment_keys(self) -> tuple[tuple[str, ...], ...]:
        """Each declared segmentation as a tuple of columns."""
        return tuple((s,) if isinstance(s, str) else tuple(s) for s in self.segments)

    @property
    def config_version(self) -> str:
        """First 12 hex digits of the SHA-256 of the canonical declaration."""
        return hashlib.sha256(json.dumps(self.canonical(), sort_keys=True).encode()).hexdigest()[:12]

    def canonical(self) -> dict[str, Any]:
        """The declaration as plain JSON values, defaults included; paths as written. Whether it is paused is not in it:
        what is computed does not depend on that.
        """
        return self.model_dump(mode="json", by_alias=True, exclude={"paused"})
