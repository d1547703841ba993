"""Section ``alarms`` of a declaration: how often a monitor may alarm falsely, and what is too small to matter."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Part = Annotated[float, Field(ge=0, le=1)]
HORIZONS = {"day": (1, 2, 7), "hour": (1, 3, 24)}


class _Section(BaseModel):
    """Frozen, and a key that is not known is an error rather than silence."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Persistence(_Section):
    """An alarm needs ``alarms`` of the last ``of`` windows beyond a level that makes up for it."""

    alarms: int = Field(default=2, ge=1, description="windows that must be beyond the level")
    of: int = Field(default=3, ge=1, description="among this many, the newest included")

    @model_validator(mode="after")
    def _possible(self) -> Persistence:
        if self.alarms > self.of:
            raise ValueError(f"{self.alarms} of {self.of} windows can never be beyond the level; raise `of`")
        return self


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
    persistence: Persistence | None = Field(
        default=None, description="k of m windows; for heavy-tailed effects of days. Loses one-day spikes"
    )
    prior_sd: float = Field(
        default=0.05, gt=0, description="assumed between windows while neither reference nor windows tell; deviations"
    )
    prior_df: float = Field(default=4.0, gt=0, description="degrees of freedom of that assumption")


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
    severity: Severities = Field(default=Severities(), description="how severe incidents are")
    holidays: tuple[date, ...] = Field(
        default=(), description="days whose volume is compared with that of earlier holidays; UTC"
    )
    importance: dict[str, Part] = Field(
        default_factory=dict,
        description="column -> its importance for the model in [0, 1]; others are important",
    )
