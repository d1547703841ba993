"""The declaration of a monitor: what one YAML file in ``monitors/`` may say, and nothing else."""

from __future__ import annotations

import hashlib
import json
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from monitoring_pipeline.monitors.windows import WindowSize

Task = Literal["binary", "multiclass", "regression"]
Share = Annotated[float, Field(ge=0, le=1)]
BASELINES = ("training", "previous", "seasonal")
RESERVED_SEGMENT = "*"


class Declared(BaseModel):
    """Frozen, and a key that is not known is an error rather than silence."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Source(Declared):
    """Where rows come from: files (``path``: one glob or a list, local or fsspec URL) or a SQL table (``url`` and ``table``).

    ``${NAME}`` in ``path`` and ``url`` is taken from the environment, so that no password stands in a declaration.
    Relative paths are relative to the file of the monitor.
    """

    path: str | tuple[str, ...] | None = None
    format: Literal["parquet", "csv", "jsonl"] | None = Field(None, description="inferred from the suffix when absent")
    immutable: bool = Field(False, description="files never change: read in place instead of being copied to the lake")
    url: str | None = Field(None, description="SQLAlchemy URL")
    table: str | None = Field(None, description="table or schema.table; quoted, never interpolated")
    updated_at: str | None = Field(None, description="SQL: column that grows when a row is written, to see late rows")
    delimiter: str | None = Field(None, description="CSV only; sniffed when absent")

    @model_validator(mode="after")
    def _one_kind(self) -> Source:
        if (self.path is None) == (self.url is None):
            raise ValueError("give either `path` (files) or `url` and `table` (SQL), not both and not neither")
        if self.url is not None and not self.table:
            raise ValueError("a SQL source needs `table`")
        return self

    @property
    def paths(self) -> tuple[str, ...]:
        return () if self.path is None else (self.path,) if isinstance(self.path, str) else self.path


class GroundTruthSource(Source):
    """True outcomes by prediction id. A later row for an id wins over an earlier one (by ``label_time``, else arrival)."""

    prediction_id: str | None = Field(None, description="its name here; the schema's when absent")
    outcome: str = Field(description="column of the true class or value")
    label_time: str | None = Field(None, description="column: when the outcome became known")


class ReferenceSource(Source):
    """Labelled rows the model was not fitted on; they fix bins, categories and usual figures."""

    outcome: str | None = Field(None, description="column of the true outcome; performance baselines need it")
    model_version: str = Field("1", description="the version these rows belong to, unless the log's version column is there")


class Schema(Declared):
    """Columns of the prediction log, by their names in the source."""

    prediction_id: str
    event_time: str
    model_version: str | None = Field(None, description="column; when absent every row has the reference's version")
    prediction: str | None = Field(None, description="predicted class or value")
    score: str | None = Field(None, description="binary: score of the positive class in [0, 1]")
    class_scores: dict[str, str] = Field(default_factory=dict, description="multiclass: class -> column of its score")
    positive_class: str = Field("1", description="binary: the outcome that counts as positive")
    numerical: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    boolean: tuple[str, ...] = ()
    timezone: str = Field("UTC", description="zone of times that carry none; an IANA name")

    @model_validator(mode="after")
    def _distinct(self) -> Schema:
        seen: set[str] = set()
        for column in (*self.numerical, *self.categorical, *self.boolean):
            if column in seen:
                raise ValueError(f"column {column!r} is declared twice; give it one type")
            seen.add(column)
        for column in (self.prediction_id, self.event_time):
            if column in seen:
                raise ValueError(f"column {column!r} is the id or the event time and cannot be a feature too")
        return self

    @property
    def features(self) -> tuple[str, ...]:
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


class ColumnThresholds(Declared):
    """Thresholds of one column that replace the monitor's."""

    drift: Annotated[dict[str, float], AfterValidator(_known_methods)] = Field(default_factory=dict)
    missing_share: Share | None = None
    out_of_range_share: Share | None = None
    unseen_share: Share | None = None


class Bound(Declared):
    """A figure is degraded below ``min`` or above ``max``."""

    min: float | None = None
    max: float | None = None


class Thresholds(Declared):
    """What counts as drift, as a violation, as degraded. Everything has a default; a pinned figure is taken as it is."""

    drift: Annotated[dict[str, float], AfterValidator(_known_methods)] = Field(default_factory=dict)
    drift_alpha: Annotated[float, Field(gt=0, lt=1)] = Field(0.001, description="a drifted column is also significant at this level")
    drifted_columns_share: Share = 0.3
    missing_share_change: Share = 0.05
    out_of_range_share: Share = 0.01
    unseen_share: Share = 0.01
    duplicate_share: Share = 0.01
    quarantined_share: Share = 0.001
    type_violation_share: Share = 0.0
    volume_ratio: tuple[float, float] = Field((0.5, 2.0), description="rows against the usual of that hour of the week")
    label_coverage: Share = Field(0.9, description="least labelled share of a mature window")
    performance: dict[str, Bound] = Field(default_factory=dict, description="metric -> bound, such as roc_auc: {min: 0.65}")
    performance_drop: Share = Field(0.1, description="relative loss against the reference that counts as degraded")
    columns: dict[str, ColumnThresholds] = Field(default_factory=dict)


class Labels(Declared):
    """When a window's figures can be trusted. A window is mature at ``coverage`` or once ``max_delay`` has passed."""

    coverage: Share = 0.95
    max_delay: timedelta = timedelta(days=7)


class RetrainPolicy(Declared):
    """When a challenger is trained and when it is promoted. ``trainer`` is the import path ``module:function``."""

    enabled: bool = False
    trainer: str | None = None
    metric: str | None = Field(None, description="the metric champion and challenger are compared by")
    min_improvement: float = 0.0
    cooldown: timedelta = timedelta(days=7)
    train_on: timedelta = timedelta(days=90)


class Owner(Declared):
    team: str | None = None
    email: str | None = None


class Monitor(Declared):
    """One deployed model. Equal declarations have equal ``config_version``."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,62}$")]
    description: str = ""
    owner: Owner = Owner()
    task: Task
    schema_: Schema = Field(alias="schema")
    predictions: Source
    ground_truth: GroundTruthSource | None = None
    reference: ReferenceSource
    window: WindowSize = "day"
    start: date = Field(description="first day that is monitored")
    segments: tuple[str | tuple[str, ...], ...] = Field((), description="columns, or combinations of columns")
    baselines: tuple[Literal["training", "previous", "seasonal"], ...] = ("training", "previous")
    bins: Annotated[int, Field(ge=2, le=200)] = Field(20, description="bins per numerical column, by quantiles of the reference")
    max_categories: Annotated[int, Field(ge=1, le=1000)] = Field(100, description="the reference's most frequent; the rest is `other`")
    labels: Labels = Labels()
    thresholds: Thresholds = Thresholds()
    retrain: RetrainPolicy = RetrainPolicy()
    base_dir: Path = Field(Path("."), exclude=True, description="directory of the file; set by the loader")

    @model_validator(mode="after")
    def _fits_task(self) -> Monitor:
        s = self.schema_
        if self.task == "regression" and not s.prediction:
            raise ValueError("schema.prediction: a regression monitor needs the column of the predicted value")
        if self.task == "binary" and not (s.score or s.prediction):
            raise ValueError("schema.score: a binary monitor needs `score`, `prediction` or both")
        if self.task == "multiclass" and not (s.class_scores or s.prediction):
            raise ValueError("schema.class_scores: a multiclass monitor needs `class_scores`, `prediction` or both")
        known = set(s.features) | ({s.prediction} if s.prediction else set())
        for segment in self.segment_keys:
            for column in segment:
                if column not in known:
                    raise ValueError(f"segments: {column!r} is not a declared feature")
        for column in self.thresholds.columns:
            if column not in set(s.features) | {s.prediction, s.score}:
                raise ValueError(f"thresholds.columns: {column!r} is not a declared column")
        return self

    @property
    def segment_keys(self) -> tuple[tuple[str, ...], ...]:
        """Each declared segmentation as a tuple of columns."""
        return tuple((s,) if isinstance(s, str) else tuple(s) for s in self.segments)

    @property
    def config_version(self) -> str:
        """First 12 hex digits of the SHA-256 of the canonical declaration."""
        return hashlib.sha256(json.dumps(self.canonical(), sort_keys=True).encode()).hexdigest()[:12]

    def canonical(self) -> dict[str, Any]:
        """The declaration as plain JSON values, defaults included; paths as written."""
        return self.model_dump(mode="json", by_alias=True)
