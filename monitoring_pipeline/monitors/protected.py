"""Section ``protected`` of a declaration: columns whose groups the model should treat alike."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

CLASSIFICATION_FAIRNESS = (
    "demographic_parity_difference", "demographic_parity_ratio", "equal_opportunity_difference",
    "false_positive_rate_difference", "equalized_odds_difference", "predictive_parity_difference",
    "calibration_difference",
)  # fmt: skip
REGRESSION_FAIRNESS = ("mae_difference", "mean_error_difference")
FAIRNESS_METRICS = (*CLASSIFICATION_FAIRNESS, *REGRESSION_FAIRNESS)


def _group(value: Any) -> Any:
    """A group as segments name it: true is ``true``, 1 and 1.0 are ``1``."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value) if isinstance(value, int | float) else value


class Protected(BaseModel):
    """A protected column; it need not be a feature. A bare name is the column with these defaults.

    Its values are segments as well, without being named in `segments`; rows without a value are the group `∅`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, allow_inf_nan=False)

    column: str = Field(description="column of the prediction log and of the reference")
    reference: Annotated[str, BeforeValidator(_group)] | None = Field(
        default=None, description="group that the others are held against; default: the reference's largest"
    )
    min_rows: Annotated[int, Field(ge=2)] = Field(
        default=30,
        description="rows behind a rate from which a group is judged and counts for the largest difference",
    )


def _named(value: Any) -> Any:
    return {"column": value} if isinstance(value, str) else value


ProtectedColumn = Annotated[Protected, BeforeValidator(_named)]


def with_protected_segments(declared: Any) -> Any:
    """A declaration, as read, whose protected columns are segments too; what is malformed is left for validation."""
    if not isinstance(declared, dict) or not isinstance(declared.get("protected"), list | tuple):
        return declared
    each = [_named(one) for one in declared["protected"]]
    names = [one.get("column") if isinstance(one, dict) else getattr(one, "column", None) for one in each]
    segments = declared.get("segments", ())
    if not isinstance(segments, list | tuple):
        return declared
    known = [one[0] if isinstance(one, list | tuple) and len(one) == 1 else one for one in segments]
    more = [name for name in dict.fromkeys(names) if isinstance(name, str) and name not in known]
    return {**declared, "segments": [*segments, *more]}
