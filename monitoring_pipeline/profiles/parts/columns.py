"""Parts ``columns`` and ``target``: columns by bin, with their moments.

``counts``: column by column n, n_missing, n_nan, n_inf, n_zero, bins. ``sums``: column by column minimum, maximum,
mean, m2. ``columns`` holds every column of the layout but the outcome, which is known only with the labels: ``target``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from monitoring_pipeline.profiles.column import MOMENTS, SCALARS, ColumnProfile, merge_columns
from monitoring_pipeline.profiles.layout import ColumnLayout, Layout
from monitoring_pipeline.profiles.parts.part import Counts, Part, Sums

Columns = tuple[ColumnProfile, ...]


def profiled_columns(layout: Layout) -> tuple[ColumnLayout, ...]:
    """The columns of part ``columns``: all but the target and those that only make segments."""
    return tuple(column for column in layout.columns if column.role not in ("target", "segment"))


def target_columns(layout: Layout) -> tuple[ColumnLayout, ...]:
    """The outcome's column, if the layout has one."""
    return tuple(column for column in layout.columns if column.role == "target")


def flatten(columns: Sequence[ColumnProfile]) -> tuple[Counts, Sums]:
    """Counts and sums of these columns, one after the other."""
    counts = [np.concatenate(([getattr(c, name) for name in SCALARS], c.counts)) for c in columns]
    sums = [getattr(c, name) for c in columns for name in MOMENTS]
    return np.concatenate(counts).astype(np.int64) if counts else np.zeros(0, np.int64), np.array(sums, np.float64)


def unflatten(layouts: Sequence[ColumnLayout], counts: Counts, sums: Sums) -> Columns:
    """Inverse of ``flatten``; ``layouts`` of the same columns in the same order."""
    scalars, moments = counts.tolist(), sums.tolist()
    columns = []
    at = 0
    for position, layout in enumerate(layouts):
        bins = at + len(SCALARS)
        end = bins + layout.n_bins
        extremes = moments[position * len(MOMENTS) : (position + 1) * len(MOMENTS)]
        n, n_missing, n_nan, n_inf, n_zero = scalars[at:bins]
        columns.append(ColumnProfile(layout, n, n_missing, n_nan, n_inf, n_zero, counts[bins:end], *extremes))
        at = end
    return tuple(columns)


def merge(values: Sequence[Columns]) -> Columns:
    """Column by column; all of one layout."""
    return tuple(merge_columns(same) for same in zip(*values, strict=True))


def _columns_of(layout: Layout, _format: int, counts: Counts, sums: Sums) -> Columns:
    return unflatten(profiled_columns(layout), counts, sums)


def _target_of(layout: Layout, _format: int, counts: Counts, sums: Sums) -> ColumnProfile:
    (column,) = unflatten(target_columns(layout), counts, sums)
    return column


COLUMNS: Part[Columns] = Part("columns", 1, lambda layout: True, merge, flatten, _columns_of)
TARGET: Part[ColumnProfile] = Part(
    name="target",
    format=1,
    applies=lambda layout: bool(target_columns(layout)),
    merge=merge_columns,
    flatten=lambda column: flatten((column,)),
    unflatten=_target_of,
    of_labels=True,
)
