"""Metric rows as plain values: one number with what makes it readable. ``metrics`` makes, ``warehouse`` keeps them.

Each class's ``KEY`` is the natural key within (monitor, model_version, window). Times are UTC, shares lie in [0, 1].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

ThresholdSource = Literal["default", "declared", "calibrated"]
ROW_COLUMN = "*"  # the column name of a figure that is about whole rows


@dataclass(frozen=True)
class DriftRow:
    """One column compared with one baseline by one method.

    ``value`` is the method's figure, ``effect`` what is held against ``threshold`` where that is another figure
    (chi-square: Cramér's V). ``error_bound``: the unbinned figure lies within it of ``value``; None where binning is
    exact or unbounded. ``drifted`` is None when either side holds no values.
    """

    KEY: ClassVar = ("baseline", "segment", "column_name", "method")
    baseline: str
    segment: str
    column_name: str
    role: str
    method: str
    value: float | None
    threshold: float | None
    threshold_source: ThresholdSource
    p_value: float | None
    effect: float | None
    error_bound: float | None
    drifted: bool | None
    n_reference: int
    n_current: int


@dataclass(frozen=True)
class QualityRow:
    """One data-quality figure; ``column_name`` is ``*`` for figures about whole rows."""

    KEY: ClassVar = ("segment", "column_name", "metric")
    segment: str
    column_name: str
    metric: str
    value: float | None
    threshold: float | None
    threshold_source: ThresholdSource
    violated: bool | None
    n: int
    detail: str | None = None  # names what was found: new categories, the type met


@dataclass(frozen=True)
class PerformanceRow:
    """One performance figure, ``realized`` from outcomes or ``estimated`` without. Interval at 95 %."""

    KEY: ClassVar = ("segment", "metric", "kind")
    segment: str
    metric: str  # roc_auc, f1, recall[class=2], reliability[bin=3] …
    kind: Literal["realized", "estimated"]
    value: float | None
    ci_low: float | None
    ci_high: float | None
    threshold: float | None
    threshold_source: ThresholdSource
    degraded: bool | None
    n_predictions: int
    n_labelled: int
    coverage: float | None
    mature: bool
