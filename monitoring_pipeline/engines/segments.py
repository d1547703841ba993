"""Segments: the values of declared columns by which rows are grouped, as small numbers with a name."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitoring_pipeline.profiles.layout import ColumnLayout, Layout

OTHER = "__other__"
MAX_VALUES = 200
MAX_COMBINATIONS = 1000


@dataclass(frozen=True)
class SegmentColumn:
    """The segment values of one column, fixed by the reference so that windows stay comparable and hours add up to
    days.

    Categorical: the reference's ``limit`` most frequent categories by name, everything else ``__other__``. Numerical:
    its bins, as ``(0.5, 2]``. Null (and what is no finite number) is the null segment.
    """

    layout: ColumnLayout
    limit: int

    @property
    def radix(self) -> int:
        """Number of different codes: null, ``limit`` values and one for all others."""
        return self.limit + 2

    def codes(self, codes: NDArray[np.integer]) -> NDArray[np.integer]:
        """From the column's codes (0 null, 1 … in the layout's order): the same, all past ``limit`` as one."""
        return np.minimum(codes, self.limit + 1)

    def value(self, code: int) -> str | None:
        """What a code stands for: None for null, the category, or the bin's interval as text."""
        if code == 0:
            return None
        if code > self.limit:
            return OTHER
        if self.layout.kind == "categorical":
            return self.layout.categories[code - 1]
        edges = ("-inf", *(f"{e:.6g}" for e in self.layout.edges), "inf")
        return f"({edges[code - 1]}, {edges[code]}{')' if code == self.layout.n_bins else ']'}"


def segment_columns(layout: Layout, names: tuple[str, ...]) -> tuple[SegmentColumn, ...]:
    """The columns of one segmentation. Combinations are bounded: the column with the most values is cut first."""
    columns = [_found(layout, name) for name in names]
    limits = [min(_n_values(c), MAX_VALUES) for c in columns]
    while len(limits) > 1 and np.prod([float(n) for n in limits]) > MAX_COMBINATIONS and max(limits) > 1:
        limits[int(np.argmax(limits))] -= 1
    return tuple(SegmentColumn(c, n) for c, n in zip(columns, limits, strict=True))


def _n_values(layout: ColumnLayout) -> int:
    return layout.n_bins if layout.kind == "numerical" else len(layout.categories)


def _found(layout: Layout, name: str) -> ColumnLayout:
    for column in layout.columns:
        if column.name == name and column.role in ("feature", "prediction", "segment"):
            return column
    raise KeyError(f"segment column {name!r} is neither a feature nor the prediction of the layout")


def finest(keys: tuple[tuple[str, ...], ...]) -> tuple[tuple[str, ...], ...]:
    """The segmentations no other one refines; the others, and the whole, add up from them. At least one."""
    distinct = list({frozenset(k): k for k in keys}.values())
    return tuple(k for k in distinct if not any(set(k) < set(other) for other in distinct)) or ((),)
