"""The tally: rows counted by the reference's bins, a matrix at a time. Binning equals the pipeline's (right-closed)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitoring_pipeline.profiles.layout import ColumnLayout
from monitoring_pipeline.serving.counters import Cells
from monitoring_pipeline.serving.rows import MISSING_BITS, MISSING_CODE, UNSEEN_CODE, RowSchema


@dataclass(frozen=True)
class ColumnCells:
    """Where a column's figures stand in the block: ``bins``, then missing; numerical: then not finite and the sum."""

    layout: ColumnLayout
    start: int

    @property
    def bins(self) -> slice:
        return slice(self.start, self.start + self.layout.n_bins)

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
        self._numerical = [(c, np.asarray(c.layout.edges)) for c in self.columns if c.layout.kind == "numerical"]
        self._categorical = [c for c in self.columns if c.layout.kind == "categorical"]

    def add(self, cells: Cells, numbers: NDArray[np.float64], codes: NDArray[np.uint16]) -> None:
        """``numbers`` (rows, numerical columns), ``codes`` (rows, categorical columns)."""
        by_column = np.ascontiguousarray(numbers.T)
        finite = np.isfinite(by_column)
        whole: list[bool] = np.all(finite, axis=1).tolist()
        for (column, edges), values, good, all_good in zip(self._numerical, by_column, finite, whole, strict=True):
            if not all_good:
                odd = values[~good]
                missing = int(np.count_nonzero(odd.view(np.uint64) == MISSING_BITS))
                cells[column.missing] += missing
                cells[column.nonfinite] += len(odd) - missing
                values = values[good]
            cells[column.bins] += np.bincount(edges.searchsorted(values), minlength=column.layout.n_bins)
            cells[column.total] += values.sum()
        for column, code in zip(self._categorical, np.ascontiguousarray(codes.T), strict=True):
            n = column.layout.n_bins
            # unseen is the last bin, missing stands right behind it
            place = np.where(code == MISSING_CODE, n, np.where(code == UNSEEN_CODE, n - 1, code))
            cells[column.start : column.missing + 1] += np.bincount(place, minlength=n + 1)
