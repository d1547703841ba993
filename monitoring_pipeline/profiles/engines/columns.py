"""Counts and moments of columns, group by group, added up over batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from monitoring_pipeline.profiles.column import ColumnProfile
from monitoring_pipeline.profiles.engines.binning import Binner, binner
from monitoring_pipeline.profiles.engines.grouping import Groups
from monitoring_pipeline.profiles.engines.statement import Batch, Numbers, Statement
from monitoring_pipeline.profiles.layout import ColumnLayout
from monitoring_pipeline.profiles.moments import Moments

MISSING, NAN, INF, ZERO = range(4)


@dataclass(frozen=True)
class Block:
    """One column of one batch by group: ``scalars`` (G, 4) missing, NaN, inf, zero; ``counts`` (G, bins); the rest (G,)."""

    scalars: NDArray[np.int64]
    counts: NDArray[np.int64]
    minimum: NDArray[np.float64] | None = None
    maximum: NDArray[np.float64] | None = None
    moments: Moments | None = None


class FiniteValues:
    """The finite values of a numerical column of a batch, and where the others were."""

    def __init__(self, numbers: Numbers, bins: Binner) -> None:
        values, valid = numbers.values, numbers.valid
        self.missing = self.nan = self.inf = self.rows = None
        self.x = values
        self._binner = bins
        with np.errstate(all="ignore"):
            if valid is None and np.isfinite(values.sum()):
                return
        finite = np.isfinite(values)
        if valid is not None:
            finite &= valid
            self.missing = ~valid
        self.rows = np.flatnonzero(finite)
        if len(self.rows) < (len(values) if valid is None else np.count_nonzero(valid)):
            present = np.ones(len(values), bool) if valid is None else valid
            self.nan = np.isnan(values) & present
            self.inf = np.isinf(values) & present
        self.x = values[self.rows]

    @cached_property
    def bins(self) -> NDArray[np.integer]:
        return self._binner(self.x)

    def codes(self, n_rows: int) -> NDArray[np.int64]:
        """Bin + 1 of every row, 0 where there is no finite value."""
        if self.rows is None:
            return self.bins.astype(np.int64) + 1
        codes = np.zeros(n_rows, np.int64)
        codes[self.rows] = self.bins
        codes[self.rows] += 1
        return codes

    def block(self, groups: Groups) -> Block:
        scalars = np.zeros((groups.n, 4), np.int64)
        for i, marked in ((MISSING, self.missing), (NAN, self.nan), (INF, self.inf)):
            if marked is not None:
                scalars[:, i] = groups.count(marked)
        if not len(self.x):
            nothing = np.zeros(groups.n)
            counts = np.zeros((groups.n, self._binner.n_bins), np.int64)
            moments = Moments(nothing.astype(np.int64), nothing, nothing)
            return Block(scalars, counts, nothing + np.inf, nothing - np.inf, moments)
        return self._single(scalars) if groups.codes is None else self._grouped(groups, scalars)

    def _single(self, scalars: NDArray[np.int64]) -> Block:
        x = self.x
        scalars[0, ZERO] = np.count_nonzero(x == 0)
        counts = (
            np.bincount(self.bins, minlength=self._binner.n_bins) if "bins" in vars(self) else self._binner.counts(x)
        )
        with np.errstate(over="ignore", invalid="ignore"):
            mean = x.sum() / len(x)
            if not np.isfinite(mean):
                mean = (x / len(x)).sum()
            apart = x - mean
            apart *= apart  # not np.dot: its second thread spins for longer than the sum takes
            m2 = apart.sum()
        moments = Moments(np.array([len(x)]), np.array([mean]), np.array([m2]))
        return Block(scalars, counts[np.newaxis], np.array([x.min()]), np.array([x.max()]), moments)

    def _grouped(self, groups: Groups, scalars: NDArray[np.int64]) -> Block:
        x, bins, codes = _in_order(self, groups)
        n = np.bincount(codes, minlength=groups.n)
        zero = x == 0
        if zero.any():
            scalars[:, ZERO] = np.bincount(codes[zero], minlength=groups.n)
        n_bins = self._binner.n_bins
        counts = np.bincount(codes * n_bins + bins, minlength=groups.n * n_bins).reshape(groups.n, n_bins)
        filled = np.flatnonzero(n)
        starts = (np.cumsum(n) - n)[filled]
        minimum, maximum = np.full(groups.n, np.inf), np.full(groups.n, -np.inf)
        mean, m2 = np.zeros(groups.n), np.zeros(groups.n)
        minimum[filled] = np.minimum.reduceat(x, starts)
        maximum[filled] = np.maximum.reduceat(x, starts)
        with np.errstate(over="ignore", invalid="ignore"):
            mean[filled] = np.add.reduceat(x, starts) / n[filled]
            apart = x - np.repeat(mean, n)
            apart *= apart
            m2[filled] = np.add.reduceat(apart, starts)
        return Block(scalars, counts, minimum, maximum, Moments(n, mean, m2))


def _in_order(
    values: FiniteValues, groups: Groups
) -> tuple[NDArray[np.float64], NDArray[np.integer], NDArray[np.intp]]:
    """Values, bins and group codes, sorted by group."""
    assert groups.codes is not None
    if values.rows is None:
        if groups.order is None:
            return values.x, values.bins, groups.codes
        return values.x[groups.order], values.bins[groups.order], groups.codes[groups.order]
    codes = groups.codes[values.rows]
    if groups.order is None:
        return values.x, values.bins, codes
    place = np.full(len(groups.codes), -1, np.intp)
    place[values.rows] = np.arange(len(values.rows))
    kept = place[groups.order]
    kept = kept[kept >= 0]
    return values.x[kept], values.bins[kept], codes[kept]


@dataclass(frozen=True)
class NumericalReader:
    """Where a numerical column stands in the statement and how it is binned."""

    position: int
    bins: Binner

    def read(self, batch: Batch) -> FiniteValues:
        return FiniteValues(batch.numbers(self.position), self.bins)


class CodedValues:
    """A categorical column of a batch as codes: 0 null, 1 … K the layout's categories, then empty text and others."""

    def __init__(self, codes: NDArray[np.int16], reader: CategoricalReader) -> None:
        self._codes, self._reader = codes, reader

    def codes(self, n_rows: int) -> NDArray[np.integer]:
        return self._codes

    def block(self, groups: Groups) -> Block:
        width = self._reader.n_codes
        combined = self._codes if groups.codes is None else groups.codes * width + self._codes
        found = np.bincount(combined, minlength=groups.n * width).reshape(groups.n, width)
        k = self._reader.n_categories
        scalars = np.zeros((groups.n, 4), np.int64)
        scalars[:, MISSING] = found[:, 0]
        scalars[:, ZERO] = found[:, self._reader.empty]
        counts = np.empty((groups.n, k + 1), np.int64)
        counts[:, :k] = found[:, 1 : k + 1]
        counts[:, k] = found[:, k + 1 :].sum(axis=1)
        return Block(scalars, counts)


class CategoricalReader:
    """Where a categorical column stands in the statement. Empty text is told apart even where it is no category."""

    def __init__(self, statement: Statement, column: str, categories: tuple[str, ...]) -> None:
        texts = categories if "" in categories else (*categories, "")
        self.position = statement.code(column, texts)
        self.n_categories = len(categories)
        self.n_codes = len(texts) + 2
        self.empty = texts.index("") + 1

    def read(self, batch: Batch) -> CodedValues:
        return CodedValues(batch.codes(self.position), self)


def reader_of(layout: ColumnLayout, column: str, statement: Statement) -> NumericalReader | CategoricalReader:
    """How the relation's ``column`` is read and counted by ``layout``."""
    if layout.kind == "numerical":
        return NumericalReader(statement.numerical(column), binner(layout.edges))
    return CategoricalReader(statement, column, layout.categories)


class ColumnTotals:
    """Profiles in the making: a row for each group, all columns beside each other."""

    def __init__(self, layouts: Sequence[ColumnLayout]) -> None:
        self.layouts = tuple(layouts)
        self._offsets = np.concatenate(([0], np.cumsum([c.n_bins for c in layouts]))).astype(int)
        self._resize(0)

    def _resize(self, capacity: int) -> None:
        old = vars(self).copy()
        columns = len(self.layouts)
        self.n_rows = np.zeros(capacity, np.int64)
        self.scalars = np.zeros((capacity, columns, 4), np.int64)
        self.counts = np.zeros((capacity, self._offsets[-1]), np.int64)
        self.minimum = np.full((capacity, columns), np.inf)
        self.maximum = np.full((capacity, columns), -np.inf)
        self.n = np.zeros((capacity, columns), np.int64)
        self.mean = np.zeros((capacity, columns))
        self.m2 = np.zeros((capacity, columns))
        for name in ("n_rows", "scalars", "counts", "minimum", "maximum", "n", "mean", "m2"):
            if name in old:
                getattr(self, name)[: len(old[name])] = old[name]

    def reserve(self, n_groups: int) -> None:
        if n_groups > len(self.n_rows):
            self._resize(max(16, 2 * len(self.n_rows), n_groups))

    def add(self, column: int, ids: NDArray[np.intp], block: Block) -> None:
        self.scalars[ids, column] += block.scalars
        self.counts[ids, self._offsets[column] : self._offsets[column + 1]] += block.counts
        if block.moments is None or block.minimum is None or block.maximum is None:
            return
        self.minimum[ids, column] = np.minimum(self.minimum[ids, column], block.minimum)
        self.maximum[ids, column] = np.maximum(self.maximum[ids, column], block.maximum)
        known = Moments(self.n[ids, column], self.mean[ids, column], self.m2[ids, column])
        with np.errstate(over="ignore", invalid="ignore"):
            both = known.plus(block.moments)
        self.n[ids, column], self.mean[ids, column], self.m2[ids, column] = both.n, both.mean, both.m2

    def merged(self, rows: NDArray[np.intp], starts: NDArray[np.intp]) -> ColumnTotals:
        """Totals of coarser groups: ``rows`` of this table in order of the coarser group, each of which begins at a start."""
        merged = ColumnTotals(self.layouts)
        merged.n_rows = np.add.reduceat(self.n_rows[rows], starts)
        merged.scalars = np.add.reduceat(self.scalars[rows], starts, axis=0)
        merged.counts = np.add.reduceat(self.counts[rows], starts, axis=0)
        merged.minimum = np.minimum.reduceat(self.minimum[rows], starts, axis=0)
        merged.maximum = np.maximum.reduceat(self.maximum[rows], starts, axis=0)
        with np.errstate(over="ignore", invalid="ignore"):
            moments = Moments(self.n[rows], self.mean[rows], self.m2[rows]).merged(starts)
        merged.n, merged.mean, merged.m2 = moments.n, moments.mean, moments.m2
        return merged

    def profiles(self, n_groups: int) -> list[tuple[ColumnProfile, ...]]:
        """The column profiles of each group."""
        by_column = [self._column_profiles(j, n_groups) for j in range(len(self.layouts))]
        return list(zip(*by_column, strict=True)) if by_column else [()] * n_groups

    def _column_profiles(self, j: int, n_groups: int) -> list[ColumnProfile]:
        layout = self.layouts[j]
        counts = np.ascontiguousarray(self.counts[:n_groups, self._offsets[j] : self._offsets[j + 1]])
        fields = [
            self.n_rows[:n_groups], *self.scalars[:n_groups, j].T,
            self.minimum[:n_groups, j], self.maximum[:n_groups, j], self.mean[:n_groups, j], self.m2[:n_groups, j],
        ]  # fmt: skip
        rows = zip(counts, *(f.tolist() for f in fields), strict=True)
        return [
            ColumnProfile(layout, n, missing, nan, inf, zero, found, low, high, mean, m2)
            for found, n, missing, nan, inf, zero, low, high, mean, m2 in rows
        ]
