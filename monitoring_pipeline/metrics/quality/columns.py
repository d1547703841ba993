"""Metrics of the values of one column: missing, NaN, infinite, zero, constant, out of range, unseen."""

from __future__ import annotations

from monitoring_pipeline.metrics.quality.rows import Rows, share
from monitoring_pipeline.profiles.column import ColumnProfile
from monitoring_pipeline.profiles.profile import EVERYTHING, Profile

LEAST_FOR_CONSTANT = 20  # fewer equal values prove nothing


def measure_columns(rows: Rows, profile: Profile, reference: Profile | None) -> None:
    """Adds the metrics of each column, in the profile's order, with the reference's own value of the same metric."""
    known = {(c.layout.name, c.layout.role): c for c in reference.columns} if reference is not None else {}
    whole = profile.segment == EVERYTHING
    for column in profile.columns:
        _column(rows, column, known.get((column.layout.name, column.layout.role)), whole)


def _column(rows: Rows, column: ColumnProfile, usual: ColumnProfile | None, whole: bool) -> None:
    """Shares of missing, NaN, infinite and zero are of all rows; those of values in a bin are of the values.

    A segment gets the metrics that can differ in it: what breaks a column breaks it for everyone.
    """
    name, n, usual_n = column.layout.name, column.n, usual.n if usual is not None else 0
    numerical = column.layout.kind == "numerical"
    counts = [("missing_share", "n_missing")]
    if whole and numerical:
        counts += [("nan_share", "n_nan"), ("inf_share", "n_inf")]
    for metric, field in counts:
        rows.add(name, metric, share(getattr(column, field), n), n, share(getattr(usual, field, 0), usual_n))
    n_values = column.n_values
    if whole:
        rows.add(name, "zero_share", share(column.n_zero, n), n)
        _constant(rows, column, usual, n_values)
    strange = _outside if numerical else _unseen
    metric = "out_of_range_share" if numerical else "unseen_share"
    before = share(strange(usual), usual.n_values) if usual is not None else None
    rows.add(name, metric, share(strange(column), n_values), n_values, before)


def _constant(rows: Rows, column: ColumnProfile, usual: ColumnProfile | None, n: int) -> None:
    """1 when ``LEAST_FOR_CONSTANT`` or more values are all one, else 0; beside it the share of the reference's values
    that stand in the same bin.
    """
    name = column.layout.name
    if n < LEAST_FOR_CONSTANT:
        rows.add(name, "constant", None, n)
        return
    constant = _is_constant(column)
    before = None
    if constant and usual is not None:
        before = share(float(usual.counts[int(column.counts.argmax())]), usual.n_values)
    rows.add(name, "constant", float(constant), n, before)


def _is_constant(column: ColumnProfile) -> bool:
    if column.layout.kind == "numerical":
        return bool(column.minimum == column.maximum)
    # several categories may share the last bin
    return int((column.counts > 0).sum()) == 1 and int(column.counts[-1]) == 0


def _outside(column: ColumnProfile) -> int:
    """Values below the reference's least or above its greatest: the underflow and the overflow bin."""
    return int(column.counts[0]) + int(column.counts[-1])


def _unseen(column: ColumnProfile) -> int:
    return int(column.counts[-1])
