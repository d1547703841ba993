"""Measurements and verdicts read back as one row a metric, with None for what is undefined."""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan

from monitoring_pipeline.alerting import Verdict
from monitoring_pipeline.measurements import Measurement

FLAGS = {1: True, 0: False, -1: None}


@dataclass(frozen=True)
class Row:
    column_name: str
    role: str
    metric: str
    value: float | None
    n: int
    n_reference: int | None
    p_value: float | None
    effect: float | None
    error_bound: float | None
    low: float | None
    high: float | None
    reference_value: float | None
    detail: str | None
    threshold: float | None
    source: str | None
    flagged: bool | None


def rows(measurement: Measurement, verdict: Verdict | None = None) -> dict[tuple[str, str], Row]:
    """Rows by (column, metric); threshold, source and flagged are None without a verdict."""
    keys = measurement.keys
    arrays = [
        measurement.value, measurement.n, measurement.n_reference, measurement.p_value, measurement.effect,
        measurement.error_bound, measurement.low, measurement.high, measurement.reference_value, measurement.detail,
        verdict and verdict.threshold, verdict and verdict.source,
    ]  # fmt: skip
    assert all(array is None or len(array) == len(keys) for array in arrays)
    flagged = (
        [None] * len(keys) if verdict is None else [{1: True, 0: False, -1: None}[f] for f in verdict.flagged.tolist()]
    )
    found = {}
    for i, (column, role, metric) in enumerate(zip(keys.columns, keys.roles, keys.metrics, strict=True)):
        found[column, metric] = Row(column, role, metric, *(_item(array, i) for array in arrays), flagged[i])
    assert len(found) == len(keys), "a metric of a column appears once"
    return found


def _item(array, i):
    if array is None:
        return None
    item = array[i].item() if hasattr(array, "dtype") else array[i]
    return None if isinstance(item, float) and isnan(item) else item
