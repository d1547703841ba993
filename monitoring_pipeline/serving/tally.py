"""The tally: rows counted by the reference's bins, a matrix at a time. Binning equals the pipeline's (right-closed)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitoring_pipeline.profiles.layout import ColumnLayout
from monitoring_pipeline.serving.counters import Cells
from monitoring_pipeline.serving.rows import MISSING_BITS, MISSING_CODE, RowSchema


@dataclass(frozen=True)
class ColumnCells:
    """Where a column's figures stand in the block: ``bins``, then missing; numerical: then not finite and the sum.

    The bins of a numerical column are cumulative, as Prometheus' buckets are: values at or below each edge, then all.
    """

    layout: ColumnLayout
    start: int

    @property
    def bins(self) -> slice:
        return slice(self.start, self.start + self.layout.n_bins)

    @property
    def last_bin(self) -> int:
        return self.start + self.layout.n_bins - 1

    @property
    def missing(self) -> int:
        return self.start + self.layout.n_bins

    @property
    def nonfinite(self) -> int:
        return self.missing + 1

    @property
    def total(self) -> int:
        return self.missing + 2


class Tally:
    """Counts rows into a block of cells. The caller holds the counters' lock."""

    def __init__(self, schema: RowSchema) -> None:
        self.columns: list[ColumnCells] = []
        start = 0
        for layout in (*schema.numerical, *schema.categorical):
            self.columns.append(ColumnCells(layout, start))
            start += layout.n_bins + (3 if layout.kind == "numerical" else 1)
        self.size = start
        numerical = [c for c in self.columns if c.layout.kind == "numerical"]
        self._numerical = [(c, slice(c.start, c.last_bin), c.last_bin, np.asarray(c.layout.edges)) for c in numerical]
        self._categorical = [c for c in self.columns if c.layout.kind == "categorical"]

    def add(self, cells: Cells, numbers: NDArray[np.float64], codes: NDArray[np.uint16]) -> None:
        """``numbers`` (rows, numerical columns), ``codes`` (rows, categorical columns).

        Numbers are sorted, then the few edges are looked up in them: with NumPy's vector sort that is several times
        cheaper than looking up every number in the edges.
        """
        by_column = np.array(numbers.T, order="C")  # a copy, for it is sorted in place
        with np.errstate(all="ignore"):
            totals = by_column.sum(axis=1).tolist()  # finite only if every value is
        by_column.sort(axis=1)
        for i, (column, below, last, edges) in enumerate(self._numerical):
            values, total = by_column[i], totals[i]
            if not math.isfinite(total):
                values, total = self._finite(cells, column, numbers[:, i])  # sorting may lose the mark of a missing one
            cells[below] += values.searchsorted(edges, "right")
            cells[last] += len(values)
            cells[column.total] += total
        for column, code in zip(self._categorical, np.ascontiguousarray(codes.T), strict=True):
            n = column.layout.n_bins
            # unseen is the last bin, missing stands right behind it
            place = np.where(code == MISSING_CODE, n, np.minimum(code, n - 1))
            cells[column.start : column.missing + 1] += np.bincount(place, minlength=n + 1)

    def _finite(
        self, cells: Cells, column: ColumnCells, values: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], float]:
        """Counts what is missing or not finite; the rest, sorted, and its sum."""
        good = np.isfinite(values)
        odd = values[~good]
        missing = int(np.count_nonzero(odd.view(np.uint64) == MISSING_BITS))
        cells[column.missing] += missing
        cells[column.nonfinite] += len(odd) - missing
        values = np.sort(values[good])
        return values, float(values.sum())
