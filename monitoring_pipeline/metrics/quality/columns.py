"""Figures about the values of one column: missing, NaN, infinite, zero, constant, out of range, unseen."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from monitoring_pipeline.metric_rows import QualityRow, ThresholdSource
from monitoring_pipeline.metrics.quality.window import declared
from monitoring_pipeline.monitors.declaration import ColumnThresholds, Thresholds
from monitoring_pipeline.profiles.column import ColumnProfile
from monitoring_pipeline.profiles.profile import EVERYTHING, Profile

LEAST_FOR_CONSTANT = 20  # fewer equal values prove nothing
USUAL_VALUE = 0.5  # a value that most of the reference has may well fill a window: a day without rain
_NOTHING = ColumnThresholds()


def measure_columns(profile: Profile, reference: Profile | None, thresholds: Thresholds) -> list[QualityRow]:
    """Rows per column in the profile's order. Shares of missing, NaN, infinite and zero are of all rows."""
    known = {(c.layout.name, c.layout.role): c for c in reference.columns} if reference is not None else {}
    rows: list[QualityRow] = []
    for column in profile.columns:
        usual = known.get((column.layout.name, column.layout.role))
        rows += _column(profile.segment, column, usual, thresholds)
    return rows


def _column(
    segment: str, column: ColumnProfile, usual: ColumnProfile | None, thresholds: Thresholds
) -> Iterator[QualityRow]:
    own = thresholds.columns.get(column.layout.name, _NOTHING)
    numerical = column.layout.kind == "numerical"
    yield _missing(segment, "missing_share", column.n_missing, column, usual, thresholds, own.missing_share)
    if segment == EVERYTHING:  # what breaks a column breaks it for everyone; a segment tells what can differ in it
        if numerical:
            yield _missing(segment, "nan_share", column.n_nan, column, usual, thresholds, None)
            yield _missing(segment, "inf_share", column.n_inf, column, usual, thresholds, None)
        zero = column.n_zero / column.n if column.n else None
        yield QualityRow(segment, column.layout.name, "zero_share", zero, None, "default", None, column.n)
        yield _constant(segment, column, usual)
    if numerical:
        yield _strange(segment, "out_of_range_share", _outside, column, usual, thresholds, own.out_of_range_share)
    else:
        yield _strange(segment, "unseen_share", _unseen, column, usual, thresholds, own.unseen_share)


def _missing(
    segment: str, metric: str, count: int, column: ColumnProfile, usual: ColumnProfile | None,
    thresholds: Thresholds, pinned: float | None,
) -> QualityRow:  # fmt: skip
    """Violated above the pinned share, else above the reference's share plus ``missing_share_change``, whose sum is
    shown.
    """
    value = count / column.n if column.n else None
    threshold: float | None = None
    source: ThresholdSource = "default"
    if pinned is not None:
        threshold, source = pinned, "declared"
    elif usual is not None and usual.n:
        change, source = declared(thresholds, "missing_share_change")
        before = {"missing_share": usual.n_missing, "nan_share": usual.n_nan, "inf_share": usual.n_inf}[metric]
        threshold = min(before / usual.n + change, 1.0)
    violated = None if value is None or threshold is None else value > threshold
    return QualityRow(segment, column.layout.name, metric, value, threshold, source, violated, column.n)


def _constant(segment: str, column: ColumnProfile, usual: ColumnProfile | None) -> QualityRow:
    """1 when ``LEAST_FOR_CONSTANT`` or more values are all one; violated unless most of the reference stands in that
    bin.
    """
    n = column.n_values
    if n < LEAST_FOR_CONSTANT:
        return QualityRow(segment, column.layout.name, "constant", None, 0.0, "default", None, n)
    constant = _is_constant(column)
    violated = constant and not (usual is not None and _share_of_bin(usual, int(column.counts.argmax())) > USUAL_VALUE)
    return QualityRow(segment, column.layout.name, "constant", float(constant), 0.0, "default", violated, n)


def _is_constant(column: ColumnProfile) -> bool:
    if column.layout.kind == "numerical":
        return bool(column.minimum == column.maximum)
    # several categories may share the last bin
    return int((column.counts > 0).sum()) == 1 and int(column.counts[-1]) == 0


def _share_of_bin(column: ColumnProfile, index: int) -> float:
    return float(column.counts[index] / column.n_values) if column.n_values else 0.0


def _outside(column: ColumnProfile) -> int:
    """Values below the reference's least or above its greatest: the underflow and the overflow bin."""
    return int(column.counts[0]) + int(column.counts[-1])


def _unseen(column: ColumnProfile) -> int:
    return int(column.counts[-1])


def _strange(
    segment: str, metric: str, count: Callable[[ColumnProfile], int], column: ColumnProfile,
    usual: ColumnProfile | None, thresholds: Thresholds, pinned: float | None,
) -> QualityRow:  # fmt: skip
    """Violated above the pinned share, else above the monitor's plus the reference's own (categories beyond those it
    kept).
    """
    n = column.n_values
    if pinned is not None:
        threshold: float = pinned
        source: ThresholdSource = "declared"
    else:
        threshold, source = declared(thresholds, metric)
        if usual is not None and usual.n_values:
            threshold = min(threshold + count(usual) / usual.n_values, 1.0)
    value = count(column) / n if n else None
    violated = None if value is None else value > threshold
    return QualityRow(segment, column.layout.name, metric, value, threshold, source, violated, n)
