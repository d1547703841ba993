"""Section ``retrain`` of a declaration: when a challenger is trained, on what, how, and when it is promoted."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Annotated, Any, Literal

from croniter import CroniterBadDateError, croniter
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from monitoring_pipeline.monitors.durations import Duration

Part = Annotated[float, Field(ge=0, le=1)]
Severity = Literal["info", "warning", "critical"]
IncidentKind = Literal["drift", "quality", "performance", "volume", "coverage", "freshness", "service"]


class _Section(BaseModel):
    """Frozen, and a key that is not known is an error rather than silence."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, allow_inf_nan=False)


def _cron(value: str) -> str:
    if len(value.split()) != 5 or not croniter.is_valid(value):
        raise ValueError(
            f"{value!r} is not a cron schedule of five fields; write e.g. `0 3 * * 1` (Mondays at 03:00 UTC)"
        )
    try:
        croniter(value, datetime(2000, 1, 1)).get_next()
    except CroniterBadDateError:
        raise ValueError(
            f"{value!r} names a day that never comes; write e.g. `0 3 1 * *` (the 1st, 03:00 UTC)"
        ) from None
    return value


Cron = Annotated[str, AfterValidator(_cron)]


class DriftTrigger(_Section):
    """Open incidents of drift. Without keys: any of severity warning."""

    columns: tuple[str, ...] = Field(default=(), description="only incidents that name one of these; default: any")
    kinds: tuple[IncidentKind, ...] = Field(default=("drift",), description="kinds of incident that count")
    severity: Severity = Field(default="warning", description="least severity that counts")


class PerformanceTrigger(_Section):
    """Degraded performance of mature windows, or performance estimated without labels."""

    kind: Literal["realized", "estimated"] = Field(default="realized", description="measured, or estimated")
    margin: float = Field(
        default=0.0, ge=0, description="estimated only: how far beyond the threshold, in units of the metric"
    )


class NewLabels(_Section):
    """Mature labelled rows that the champion has not been trained on."""

    rows: int | None = Field(default=None, ge=1, description="this many rows")
    share: float | None = Field(default=None, gt=0, description="this share of the rows the champion was trained on")

    @model_validator(mode="after")
    def _one(self) -> NewLabels:
        if (self.rows is None) == (self.share is None):
            raise ValueError("write either `rows` or `share`")
        return self


class ConceptTrigger(_Section):
    """Incidents of performance whose cause is the concept: the relation of features and outcome changed."""

    severity: Severity = Field(default="warning", description="least severity that counts")


class Trigger(_Section):
    """What asks for a retraining: one key. ``any`` and ``all`` combine others."""

    any: tuple[Trigger, ...] | None = Field(default=None, min_length=1, description="one of these fires")
    all: tuple[Trigger, ...] | None = Field(default=None, min_length=1, description="all of these fire")
    schedule: Cron | None = Field(default=None, description="cron schedule of five fields, UTC")
    drift: DriftTrigger | None = Field(default=None, description="incidents of drift")
    performance: PerformanceTrigger | None = Field(default=None, description="degraded performance")
    new_labels: NewLabels | None = Field(default=None, description="new mature labels")
    concept: ConceptTrigger | None = Field(default=None, description="a changed concept")

    @model_validator(mode="after")
    def _one_key(self) -> Trigger:
        given = [name for name in type(self).model_fields if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"a trigger has one key of any, all, schedule, drift, performance, new_labels, concept; this has"
                f" {', '.join(given) if given else 'none'}: combine several with `any` or `all`"
            )
        return self


class Freeze(_Section):
    """Days on which nothing is retrained, such as a sale or a release freeze."""

    from_: date = Field(alias="from", description="first day (UTC, included)")
    to: date = Field(description="last day (UTC, excluded)")

    @model_validator(mode="after")
    def _ordered(self) -> Freeze:
        if self.to <= self.from_:
            raise ValueError(f"`to` ({self.to}) is not after `from` ({self.from_})")
        return self


class Persistence(_Section):
    """Drift and performance fire only where seen in ``windows`` of the last ``of`` windows."""

    windows: int = Field(default=1, ge=1, description="windows that must show it")
    of: int = Field(default=1, ge=1, description="among this many newest judged windows")

    @model_validator(mode="after")
    def _possible(self) -> Persistence:
        if self.windows > self.of:
            raise ValueError(f"{self.windows} of {self.of} windows is impossible; raise `of`")
        return self


class Guards(_Section):
    """What holds a retraining back although a trigger fired."""

    min_labels: int = Field(default=5000, ge=1, description="least mature labelled rows in the training window")
    persistence: Persistence = Field(default=Persistence(), description="k of the last m windows")
    max_per_month: int | None = Field(default=None, ge=0, description="most retrainings in a calendar month (UTC)")
    max_minutes_per_month: float | None = Field(default=None, ge=0, description="most minutes of training in a month")
    freeze: tuple[Freeze, ...] = Field(default=(), description="days on which nothing is retrained")
    seasonal: bool = Field(default=False, description="whether a difference explained by season may retrain")


class Estimator(_Section):
    """A scikit-learn estimator by declaration alone; features are encoded as their declared kinds need."""

    class_: str = Field(
        alias="class", pattern=r"^sklearn(\.\w+)+$",
        description="e.g. `sklearn.ensemble.HistGradientBoostingClassifier`",
    )  # fmt: skip
    parameters: dict[str, Any] = Field(default_factory=dict, description="arguments of its constructor")


class Search(_Section):
    """A search over hyperparameters, on training rows only: later rows validate earlier ones."""

    method: Literal["halving", "random", "grid"] = Field(default="halving", description="how trials are chosen")
    space: dict[str, list[Any]] = Field(description="by parameter: values to try")
    trials: int = Field(default=16, ge=1, description="most trials (random and halving)")
    folds: int = Field(default=3, ge=2, description="validation folds, in the order of time")
    seed: int = Field(default=0, description="of the choice")


class Training(_Section):
    """On which rows, how, and within which limits a challenger is trained."""

    window: Literal["expanding", "sliding", "chosen", "since_change"] = Field(
        default="expanding",
        description="all rows so far; the newest `train_on`; `from` to `to`; or since the change that triggered it",
    )
    from_: date | None = Field(default=None, alias="from", description="chosen: first day")
    to: date | None = Field(default=None, description="chosen: day after the last")
    mode: Literal["stateless", "stateful"] = Field(
        default="stateless", description="stateful continues the champion by `partial_fit`"
    )
    search: Search | None = Field(default=None, description="hyperparameter search; default: none")
    time_limit: Duration = Field(default=timedelta(minutes=30), description="a training that takes longer is stopped")
    memory_limit_mb: int = Field(default=4096, ge=64, description="a training that allocates more fails")
    seed: int = Field(default=0, description="random state given to the trainer")
    trust_pickle: bool = Field(
        default=False,
        description="keep and load artifacts as pickle, which runs code when loaded; default: skops, which does not",
    )

    @model_validator(mode="after")
    def _chosen(self) -> Training:
        given = self.from_ is not None and self.to is not None
        if self.window == "chosen" and not given:
            raise ValueError("window: chosen needs `from` and `to`")
        if self.window != "chosen" and (self.from_ or self.to):
            raise ValueError("`from` and `to` belong to window: chosen")
        if self.from_ and self.to and self.to <= self.from_:
            raise ValueError(f"`to` ({self.to}) is not after `from` ({self.from_})")
        return self


GroupMetric = Literal["selection_rate", "true_positive_rate", "mean_error"]


class Fairness(_Section):
    """A challenger that surely widens the gap between groups by more than the margin is not promoted."""

    columns: tuple[str, ...] = Field(
        min_length=1, description="whose values are the groups: categorical, boolean or segment columns"
    )
    metric: GroupMetric = Field(
        description="what the groups are compared by: selection_rate or true_positive_rate of a classifier, mean_error"
        " (prediction less outcome) of a regression"
    )
    margin: float = Field(
        ge=0, description="by how much the gap of two groups may widen: a share, of mean_error in the outcome's unit"
    )


class Promotion(_Section):
    """When a challenger replaces the champion."""

    rule: Literal["not_worse", "better"] = Field(
        default="not_worse", description="not_worse: the interval's lower end is above -margin; better: above 0"
    )
    margin: float = Field(
        default=0.01, ge=0,
        description="how much worse still counts as not worse: in the metric's unit; of mae, rmse, mape a share of the"
        " champion's value",
    )  # fmt: skip
    compare_on: Duration = Field(default=timedelta(days=28), description="newest mature windows that are compared on")
    least_days: int = Field(default=14, ge=2, description="fewest days; below it the comparison is inconclusive")
    least_rows: int = Field(
        default=5000, ge=1,
        description="fewest rows on which not worse counts; with fewer, only a challenger that is surely better is"
        " promoted, else the comparison is inconclusive",
    )  # fmt: skip
    level: float = Field(default=0.95, gt=0.5, lt=1, description="confidence level of the interval")
    segments: bool = Field(default=True, description="whether a segment that is surely worse forbids promotion")
    calibration: bool = Field(default=True, description="whether a calibration that is surely worse forbids promotion")
    fairness: Fairness | None = Field(
        default=None, description="groups between which the gap must not widen; default: not compared"
    )
    shadow: Literal["never", "after_performance", "always"] = Field(
        default="after_performance", description="whether the challenger first scores the windows that follow"
    )
    shadow_for: Duration = Field(default=timedelta(days=7), description="how long a shadow lasts")


class RetrainPolicy(_Section):
    """When a challenger is trained and when it is promoted; see docs/retraining.md."""

    enabled: bool = Field(default=False, description="evaluate the policy and train challengers")
    trainer: str | None = Field(default=None, description="import path `module:function` of what trains a challenger")
    estimator: Estimator | None = Field(default=None, description="instead of a trainer: a scikit-learn estimator")
    metric: str | None = Field(default=None, description="metric of the comparison; default: the headline metric")
    when: Trigger = Field(
        default=Trigger(any=(Trigger(performance=PerformanceTrigger()), Trigger(new_labels=NewLabels(share=0.25)))),
        description="what asks for a retraining; default: degraded performance, or a quarter more labelled rows",
    )
    guards: Guards = Field(default=Guards(), description="what holds it back")
    training: Training = Field(default=Training(), description="rows, mode, limits")
    promote: Promotion = Field(default=Promotion(), description="champion against challenger")
    min_improvement: float = Field(
        default=0.0,
        description="with `promote.rule: better`: least gain of the metric, in the unit of `promote.margin`",
    )
    cooldown: Duration = Field(default=timedelta(days=14), description="least time between two trainings")
    train_on: Duration = Field(default=timedelta(days=90), description="sliding: how far back the training rows reach")

    @model_validator(mode="after")
    def _has_trainer(self) -> RetrainPolicy:
        if self.trainer and self.estimator:
            raise ValueError("retrain: write either `trainer` or `estimator`, not both")
        if self.enabled and not (self.trainer or self.estimator):
            raise ValueError("retrain.trainer: retraining is enabled and has no trainer; write `module:function`")
        return self
