"""Section ``alarms`` of a declaration: how often a monitor may alarm falsely, and what is too small to matter."""

from __future__ import annotations

from datetime import date, timedelta
from math import log
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from monitoring_pipeline.monitors.durations import Duration

Part = Annotated[float, Field(ge=0, le=1)]
Chance = Annotated[float, Field(gt=0, le=0.05)]
Windows = Annotated[int, Field(ge=1)]
HORIZONS = {"day": (1, 2, 7), "hour": (1, 3, 24)}


class _Section(BaseModel):
    """Frozen, and a key that is not known is an error rather than silence."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Persistence(_Section):
    """An alarm needs ``alarms`` of the last ``of`` windows beyond a level that makes up for it."""

    alarms: int = Field(default=2, ge=1, description="windows that must be beyond the level")
    of: int = Field(default=3, ge=1, description="among this many, the newest included")

    @model_validator(mode="after")
    def _possible(self) -> Persistence:
        if self.alarms > self.of:
            raise ValueError(f"{self.alarms} of {self.of} windows can never be beyond the level; raise `of`")
        return self


class SeasonAlarms(_Section):
    """When a difference is explained by the same slot of the last four weeks: the mean of two or three, the trend of
    four."""

    new_windows: Windows = Field(
        default=2, description="windows for which a difference from the reference counts as one that has just begun"
    )
    confirmed: Part = Field(
        default=0.02,
        description="earlier weeks that differ too explain it unless the seasonal p is at most this",
    )
    untold: Part = Field(default=0.5, description="the same where earlier weeks do not differ from the reference")
    told: float = Field(default=2.0, gt=0, description="standard errors from which earlier weeks count as differing")
    accept_above: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.003, description="a window with a greater p-value teaches how much windows vary"
    )
    learn_weeks: Windows | None = Field(
        default=None, description="weeks of such windows that teach it: 8 for days, 2 for hours"
    )


class DriftAlarms(_Section):
    """What a column's alarm needs, and what is assumed while the reference cannot tell."""

    shift: float = Field(
        default=0.15, ge=0, description="least change of location, spread or shape that alarms, in standard deviations"
    )
    share: Part = Field(default=0.01, description="least change of the missing or unseen share that alarms")
    outside: Part = Field(default=0.02, description="least rise of the share outside the reference's range that alarms")
    ignored_shift: float = Field(
        default=0.02, ge=0, description="change nobody minds, in standard deviations; only what exceeds it is tested"
    )
    rows: int = Field(default=50, ge=1, description="fewest values of a column that are judged")
    horizons: tuple[Annotated[int, Field(ge=1)], ...] | None = Field(
        default=None,
        description="trailing windows that are merged and judged: [1, 2, 7] for days, [1, 3, 24] for hours",
    )
    season: bool = Field(
        default=True, description="whether a column must also differ from the same slot of the last four weeks"
    )
    seasonal: SeasonAlarms = Field(default=SeasonAlarms(), description="how a season is told; with `season`")
    echo: Part = Field(
        default=0.5,
        description="part of a merged difference that the newest window must show itself: one bad day is no bad week",
    )
    persistence: Persistence | None = Field(
        default=None, description="k of m windows; for heavy-tailed effects of days. Loses one-day spikes"
    )
    prior_sd: float = Field(
        default=0.05, gt=0, description="assumed between windows while neither reference nor windows tell; deviations"
    )
    prior_df: float = Field(default=4.0, gt=0, description="degrees of freedom of that assumption")


class ContrastAlarms(_Section):
    """What the alarm of one contrast of performance needs. In the contrast's own unit; see verdicts.md."""

    floor: float = Field(ge=0, description="least change that alarms")
    ignored: float = Field(ge=0, description="change nobody minds; only what exceeds it is tested")
    prior_sd: float = Field(gt=0, description="assumed between windows while neither reference nor windows tell")
    least: float = Field(ge=1, description="fewest of the rarer class, expected events or rows in a window")
    least_reference: float = Field(ge=1, description="the same in the reference")


def _contrast(floor: float, ignored: float, prior_sd: float, least: float, least_reference: float) -> ContrastAlarms:
    return ContrastAlarms(floor=floor, ignored=ignored, prior_sd=prior_sd, least=least, least_reference=least_reference)


class PerformanceAlarms(_Section):
    """What an alarm of performance needs."""

    auc: ContrastAlarms = Field(default=_contrast(0.02, 0.002, 0.01, 10, 100), description="fall of the AUC")
    level: ContrastAlarms = Field(
        default=_contrast(0.2, 0.02, 0.1, 5, 50), description="outcomes against the scores, log odds"
    )
    slope: ContrastAlarms = Field(
        default=_contrast(0.1, 0.01, 0.05, 10, 100), description="how much outcomes follow the score, share of it"
    )
    bias: ContrastAlarms = Field(
        default=_contrast(0.1, 0.01, 0.05, 30, 100), description="regression: mean error, in the reference's RMSE"
    )
    scale: ContrastAlarms = Field(
        default=_contrast(log(1.05), 0.005, 0.05, 30, 100), description="regression: mean absolute error, log ratio"
    )
    error: ContrastAlarms = Field(
        default=_contrast(0.2, 0.02, 0.1, 5, 50), description="no scores: wrong predictions, log odds"
    )
    horizons: tuple[Windows, ...] | None = Field(
        default=None,
        description="trailing mature windows that are merged and judged: [1, 2, 7, 28], hours [1, 3, 24, 168]",
    )
    accept_above: Chance = Field(
        default=0.25 / 30, description="a window with a greater p-value teaches how much windows vary"
    )
    memory: Windows = Field(default=60, description="most such windows that teach it")
    least_learnt: Windows = Field(default=14, description="fewest")
    relearn: Windows = Field(default=14, description="windows from one lesson to the next")
    mix_share: Part = Field(
        default=0.5, description="part of a fall of the AUC that the window's scores explain, if it is a harder mix"
    )
    missing_share: Part = Field(
        default=0.1, description="labels that a mature window may lack, as a share of its rarer class"
    )
    missing_rows: Part = Field(default=0.05, description="the same in a regression, as a share of its rows")

    @model_validator(mode="after")
    def _lengths(self) -> PerformanceAlarms:
        if self.horizons is not None and (not self.horizons or len(set(self.horizons)) < len(self.horizons)):
            raise ValueError(f"horizons: {list(self.horizons)}; write different numbers of windows")
        return self


class VolumeAlarms(_Section):
    """What an alarm of volume needs. Rows are compared with those of the same hour or day of earlier good weeks."""

    ratio: float = Field(default=1.25, gt=1, description="least ratio of rows to the usual that alarms, either way")
    merged_ratio: float = Field(default=1.15, gt=1, description="the same of a day or week of merged windows")
    weeks: Windows = Field(default=8, description="good weeks whose median is usual")
    search: Windows = Field(default=3, description="how many times as many weeks are looked through for them")
    least_weeks: int = Field(default=2, ge=2, description="good weeks below which nothing is judged")
    memory_days: int = Field(default=60, ge=14, description="days whose differences from the usual make the dispersion")
    least_expected: float = Field(default=10.0, gt=0, description="expected rows below which nothing is judged")
    most_growth: float = Field(default=0.1, ge=0, description="largest trend a week, as a logarithm")
    trend_z: float = Field(default=2.0, ge=0, description="standard errors beyond which a trend counts")
    accept_above: Chance = Field(
        default=0.15 / 30, description="a window with a smaller p-value and beyond the ratio never becomes usual"
    )
    known_share: Part = Field(default=0.7, description="share of merged windows whose usual rows must be known")
    accept_after: Windows | None = Field(
        default=None,
        description="windows with rows after which a changed level becomes the usual one: 14, hours 336",
    )
    accepted: tuple[date, ...] = Field(
        default=(), description="first days of a level that is as it should be; what was before teaches no longer"
    )


class CoverageAlarms(_Section):
    """What an alarm of coverage needs: the labelled share of windows of one age against that of earlier ones."""

    ages: tuple[Duration, ...] = Field(
        default=(timedelta(days=1), timedelta(days=3)),
        description="ages at which the share is judged, beside `labels.max_delay`; longer ones are left out",
    )
    floor: Part = Field(default=0.05, description="least change of the share that alarms")
    windows: Windows = Field(default=28, description="good windows whose median is usual")
    memory: Windows = Field(default=60, description="windows whose differences from the usual make the dispersion")
    least_history: Windows = Field(default=14, description="good windows below which nothing is judged")
    least_rows: Windows = Field(default=20, description="rows below which a window is not judged")
    accept_above: Chance = Field(
        default=0.05 / 30, description="a window with a smaller p-value and beyond the floor never becomes usual"
    )


class FreshnessAlarms(_Section):
    """What an alarm of freshness needs: rows of a window that come later after its end than those of earlier ones."""

    floor: float = Field(
        default=0.25, gt=0, description="least excess over the usual delay that alarms, in lengths of a window"
    )
    least_history: Windows = Field(default=14, description="earlier windows below which nothing is judged")
    memory: Windows = Field(default=60, description="earlier windows whose delays are usual")
    accept_above: Chance = Field(default=0.05 / 30, description="a window with a smaller p-value never becomes usual")


class BudgetShares(_Section):
    """How the budget is divided. Each kind of alarm spends its own part."""

    drift: Part = Field(default=0.5, description="columns that drift")
    performance: Part = Field(default=0.25, description="performance that degrades")
    volume: Part = Field(default=0.15, description="rows that lack or abound")
    coverage: Part = Field(default=0.05, description="labels that stay away")
    freshness: Part = Field(default=0.05, description="rows that stop coming")

    @model_validator(mode="after")
    def _whole(self) -> BudgetShares:
        total = self.drift + self.performance + self.volume + self.coverage + self.freshness
        if total > 1 + 1e-9:
            raise ValueError(f"the shares of the budget add up to {total:g}; they may add up to 1 at most")
        return self


Severity = Literal["info", "warning", "critical"]


class Severities(_Section):
    """How severe an incident is by the kinds of its alarms; the worst one counts."""

    drift: Severity = Field(default="warning", description="columns that drift")
    quality: Severity = Field(
        default="warning", description="duplicates, rejected rows, types, new or vanished columns"
    )
    performance: Severity = Field(default="critical", description="performance of mature windows that degrades")
    fairness: Severity = Field(default="warning", description="groups beyond a pinned threshold of fairness")
    volume: Severity = Field(default="critical", description="rows that lack or abound")
    coverage: Severity = Field(default="warning", description="labels that stay away")
    freshness: Severity = Field(default="critical", description="rows that stop coming")
    important: Part = Field(default=0.02, description="drift of a column of less importance is only worth `info`")


class Alarms(_Section):
    """When verdicts become alarms. All have defaults; a threshold pinned under ``thresholds`` is taken as it is."""

    budget: float = Field(
        default=1.0,
        ge=0,
        description="false incidents a month that are accepted; 0: only pinned thresholds alarm",
    )
    shares: BudgetShares = Field(default=BudgetShares(), description="how the budget is divided")
    drift: DriftAlarms = Field(default=DriftAlarms(), description="alarms of columns")
    performance: PerformanceAlarms = Field(default=PerformanceAlarms(), description="alarms of performance")
    volume: VolumeAlarms = Field(default=VolumeAlarms(), description="alarms of the number of rows")
    coverage: CoverageAlarms = Field(default=CoverageAlarms(), description="alarms of the labelled share")
    freshness: FreshnessAlarms = Field(default=FreshnessAlarms(), description="alarms of rows that stay away")
    severity: Severities = Field(default=Severities(), description="how severe incidents are")
    holidays: tuple[date, ...] = Field(
        default=(), description="days whose volume is compared with that of earlier holidays; UTC"
    )
    importance: dict[str, Part] = Field(
        default_factory=dict,
        description="column -> its importance for the model in [0, 1]; others are important",
    )
