"""Section ``parity`` of a declaration: how the features that were served are computed again, to compare the two."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Parity(BaseModel):
    """Features of a sample of predictions, recomputed by a function or read from a table; see docs/parity.md."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, allow_inf_nan=False)

    function: str | None = Field(
        default=None,
        description="import path `module:function` of what recomputes: given a frame with `prediction_id` and"
        " `event_time` (UTC), it returns a frame with `prediction_id` and features",
    )
    path: str | None = Field(
        default=None,
        description="instead: Parquet files (a glob, local or an fsspec URL) with the prediction's id and features",
    )
    sample: Annotated[int, Field(ge=1, le=100_000)] = Field(
        default=1000, description="most predictions of a window that are compared; always the same ones"
    )
    tolerance: Annotated[float, Field(ge=0)] = Field(
        default=1e-6, description="numbers differ beyond this part of the larger one's size, or of 1 where that is less"
    )
    allowed: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.0, description="share of differing values of a column up to which there is no alarm"
    )

    @model_validator(mode="after")
    def _one(self) -> Parity:
        if (self.function is None) == (self.path is None):
            raise ValueError("give either `function` or `path`, not both and not neither")
        return self
