"""Section ``evidently`` of a declaration: how often Evidently's report is written as part of the monitor's runs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class EvidentlyReport(BaseModel):
    """A report in HTML of each period, written by the run that takes in the period's last window."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, allow_inf_nan=False)

    every: Literal["day", "week", "month"] = Field(
        description="period of a report: a UTC day, an ISO week or a month; it speaks of all windows of the period"
    )
    rows: Annotated[int, Field(ge=100, le=50_000)] = Field(
        default=5000, description="most rows of either side; the same ones each time. 10,000 take several seconds"
    )
