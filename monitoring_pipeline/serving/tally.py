"""The tally: rows counted by the reference's bins, a matrix at a time. Binning equals the pipeline's (right-closed)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitoring_pipeline.prediction_log.rows import MISSING_BITS, UNSEEN_CODE, RowSchema
from monitoring_pipeline.profiles.layout import ColumnLayout
from monitoring_pipeline.serving.counters import Cells

COLUMNS = ("columns",)  # key of the block
_PAST_UNSEEN = np.uint16(0x1_0000 - UNSEEN_CODE)  # added, unseen becomes 0, missing 1, the first category 2


@dataclass(frozen=True)
class ColumnCells:
    """Where a column's cells are in the block: ``bins``, then missing; numerical: then not finite and the sum.

    The bins of a numerical column are cumulative, as Prometheus' buckets are: values at or below each edge, then all.
    """

    layout: ColumnLayout
    start: int

    @property
    def bins(self) -> slice:
        """Cells of the bins."""
        return slice(self.start, self.start + self.layout.n_bins)

    @property
    def last_bin(self) -> int:
        """Cell of the last bin: unseen categories, or all numbers."""
        return self.start + self.layout.n_bins - 1

    @property
    def missing(self) -> int:
        """Cell of the rows without a value."""
        return self.start + self.layout.n_bins

    @property
    def nonfinite(self) -> int:
        """Cell of NaN and infinite values; of numerical columns."""
        return self.missing + 1

    @property
    def total(self) -> int:
        """Cell of the sum; of numerical columns."""
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
        self._numerical = [(c, np.asarray(c.layout.edges)) for c in numerical]
        self._below = _places([range(c.start, c.last_bin) for c in numerical])
        self._last = np.array([c.last_bin for c in numerical], np.intp)
        self._total = np.array([c.total for c in numerical], np.intp)
        categorical = [c for c in self.columns if c.layout.kind == "categorical"]
        # A column's cells in the order of its codes, counted from the two that mean unseen and missing.
        cells = [[c.last_bin, c.missing, *range(c.start, c.last_bin)] for c in categorical]
        self._offsets = np.cumsum([0, *map(len, cells)], dtype=np.intp)[:-1]
        self._coded = _places(cells)

    def add(self, cells: Cells, numbers: NDArray[np.float64], codes: NDArray[np.uint16]) -> None:
        """``numbers`` (numerical columns, rows), which are sorted in place; ``codes`` (categorical columns, rows).

        Few edges are looked up in sorted numbers: with NumPy's vector sort that is several times cheaper than looking
        up every number in the edges.
        """
        if self._numerical:
            with np.errstate(all="ignore"):  # of sums that overflow or are of what is not finite
                self._add_numbers(cells, numbers)
        if len(self._offsets):
            place = (codes + _PAST_UNSEEN) + self._offsets[:, np.newaxis]
            cells[self._coded] += np.bincount(place.ravel(), minlength=len(self._coded))

    def _add_numbers(self, cells: Cells, numbers: NDArray[np.float64]) -> None:
        totals = numbers.sum(axis=1)  # finite only if every value is
        rows = np.full(len(totals), numbers.shape[1])
        finite: dict[int, NDArray[np.float64]] = {}
        for i in np.flatnonzero(~np.isfinite(totals)).tolist():  # before they are sorted, which may unmark the missing
            finite[i] = values = self._finite(cells, self._numerical[i][0], numbers[i])
            totals[i], rows[i] = values.sum(), len(values)
        numbers.sort(axis=1)
        below = [
            finite.get(i, values).searchsorted(edges, "right")
            for i, (values, (_, edges)) in enumerate(zip(numbers, self._numerical, strict=True))
        ]
        cells[self._below] += np.concatenate(below)
        cells[self._last] += rows
        cells[self._total] += totals

    def _finite(self, cells: Cells, column: ColumnCells, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Counts what is missing or not finite; the rest, sorted."""
        good = np.isfinite(values)
        odd = values[~good]
        missing = int(np.count_nonzero(odd.view(np.uint64) == MISSING_BITS))
        cells[column.missing] += missing
        cells[column.nonfinite] += len(odd) - missing
        return np.sort(values[good])


def _places(cells: Sequence[Iterable[int]]) -> NDArray[np.intp]:
    return np.array([place for column in cells for place in column], np.intp)
