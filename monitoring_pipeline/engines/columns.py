"""Counts and moments of columns, group by group, added up over batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitoring_pipeline.engines.binning import Binner, Floats, binner
from monitoring_pipeline.engines.grouping import Groups, sorting_order
from monitoring_pipeline.engines.statement import Batch, Numbers, Statement
from monitoring_pipeline.profiles.column import ColumnProfile, column_profiles
from monitoring_pipeline.profiles.layout import ColumnLayout
from monitoring_pipeline.profiles.moments import Moments

MISSING, NAN, INF, ZERO = range(4)
DOT_ROWS = 8192  # up to 10,000 numbers OpenBLAS starts no second thread, which would spin for longer than it works
MANY_ROWS = 4096  # a group of so many rows in a batch is counted by itself


@dataclass(frozen=True)
class Block:
    """One column of one batch by group: ``scalars`` (G, 4) missing, NaN, inf, zero; ``counts`` (G, bins)."""

    scalars: NDArray[np.int64]
    counts: NDArray[np.int64]


@dataclass(frozen=True)
class NumericalBlock(Block):
    """The same with extremes, number, mean and m2 of the finite values, each (G,)."""

    minimum: NDArray[np.float64]
    maximum: NDArray[np.float64]
    n: NDArray[np.int64]
    mean: NDArray[np.float64]
    m2: NDArray[np.float64]

    @classmethod
    def of_nothing(cls, scalars: NDArray[np.int64], n_bins: int) -> NumericalBlock:
        """No values yet; to be filled in."""
        g = len(scalars)
        extremes = np.full(g, np.inf), np.full(g, -np.inf)
        return cls(scalars, np.zeros((g, n_bins), np.int64), *extremes, np.zeros(g, np.int64), np.zeros(g), np.zeros(g))


class FiniteValues:
    """The finite values ``x`` of a numerical column of a batch, and where the others were."""

    def __init__(self, numbers: Numbers, bins: Binner) -> None:
        self._numbers, self._binner = numbers, bins
        self.nan = self.inf = None
        self.x = numbers.present
        with np.errstate(all="ignore"):
            self._sum = self.x.sum()
        if np.isfinite(self._sum):
            return
        finite = np.isfinite(numbers.values)
        present = np.ones(len(finite), bool) if numbers.valid is None else numbers.valid
        finite &= present
        if np.count_nonzero(finite) < np.count_nonzero(present):
            self.nan = np.isnan(numbers.values) & present
            self.inf = np.isinf(numbers.values) & present
        self.rows = np.flatnonzero(finite)
        self.x = numbers.values[self.rows]
        with np.errstate(over="ignore"):
            self._sum = self.x.sum()

    @cached_property
    def rows(self) -> NDArray[np.intp] | None:
        """Where ``x`` was; None: everywhere."""
        return None if self._numbers.valid is None else np.flatnonzero(self._numbers.valid)

    @cached_property
    def bins(self) -> NDArray[np.integer]:
        """Bin of each finite value, integer (n,)."""
        return self._binner(self.x)

    def codes(self, n_rows: int) -> NDArray[np.int64]:
        """Bin + 1 of every row, 0 where there is no finite value."""
        if self.rows is None:
            return self.bins.astype(np.int64) + 1
        codes = np.zeros(n_rows, np.int64)
        codes[self.rows] = self.bins
        codes[self.rows] += 1
        return codes

    def block(self, groups: Groups) -> NumericalBlock:
        """Counts, moments and range by group."""
        scalars = np.zeros((groups.n, 4), np.int64)
        if groups.codes is None:
            scalars[:, MISSING] = self._numbers.n_null
        elif self._numbers.valid is not None:
            scalars[:, MISSING] = groups.count(~self._numbers.valid)
        for i, marked in ((NAN, self.nan), (INF, self.inf)):
            if marked is not None:
                scalars[:, i] = groups.count(marked)
        block = NumericalBlock.of_nothing(scalars, self._binner.n_bins)
        if groups.codes is None:
            self._describe(block, 0, self.x, float(self._sum), self.bins if "bins" in vars(self) else None)
        elif len(self.x) >= MANY_ROWS * groups.n:
            self._each(block, groups)
        elif len(self.x):
            self._together(block, groups)
        return block

    def _describe(
        self, block: NumericalBlock, group: int, x: Floats, total: float, bins: NDArray[np.integer] | None
    ) -> None:
        """One group, whose values are ``x``; ``total`` is their sum, infinite where it overflows."""
        n = len(x)
        if not n:
            return
        low, high = float(x.min()), float(x.max())
        block.minimum[group], block.maximum[group] = low, high
        if low <= 0 <= high:
            block.scalars[group, ZERO] = np.count_nonzero(x == 0)
        if bins is None:
            block.counts[group] = self._binner.counts(x, low, high)
        else:
            block.counts[group] = np.bincount(bins, minlength=self._binner.n_bins)
        with np.errstate(over="ignore", invalid="ignore"):
            mean = total / n if np.isfinite(total) else (x / n).sum()
            block.n[group], block.mean[group], block.m2[group] = n, mean, squared_distance(x, mean)

    def _each(self, block: NumericalBlock, groups: Groups) -> None:
        """Few groups of many rows: one after the other, by the fast path of a single group."""
        [x], _, n = _in_order(groups, self.rows, self.x)
        ends = np.cumsum(n).tolist()
        for group, (start, end) in enumerate(zip([0, *ends], ends, strict=False)):
            mine = x[start:end]
            with np.errstate(over="ignore"):
                total = float(mine.sum())
            self._describe(block, group, mine, total, None)

    def _together(self, block: NumericalBlock, groups: Groups) -> None:
        """Many groups of few rows: all in the same calls."""
        [x, bins], codes, n = _in_order(groups, self.rows, self.x, self.bins)
        block.n[:] = n
        zero = x == 0
        if zero.any():
            block.scalars[:, ZERO] = np.bincount(codes[zero], minlength=groups.n)
        width = self._binner.n_bins
        block.counts[:] = np.bincount(codes * width + bins, minlength=groups.n * width).reshape(groups.n, width)
        filled = np.flatnonzero(n)
        starts = (np.cumsum(n) - n)[filled]
        block.minimum[filled] = np.minimum.reduceat(x, starts)
        block.maximum[filled] = np.maximum.reduceat(x, starts)
        with np.errstate(over="ignore", invalid="ignore"):
            block.mean[filled] = np.add.reduceat(x, starts) / n[filled]
            apart = x - np.repeat(block.mean, n)
            apart *= apart
            block.m2[filled] = np.add.reduceat(apart, starts)


def squared_distance(x: Floats, centre: float) -> float:
    """Sum of (x - centre)²."""
    scratch, total = np.empty(min(len(x), DOT_ROWS)), 0.0
    for start in range(0, len(x), DOT_ROWS):
        some = x[start : start + DOT_ROWS]
        apart = np.subtract(some, centre, out=scratch[: len(some)])
        total += float(apart.dot(apart))
    return total


def _in_order(
    groups: Groups, rows: NDArray[np.intp] | None, *arrays: NDArray[Any]
) -> tuple[list[NDArray[Any]], NDArray[np.intp], NDArray[np.int64]]:
    """``arrays``, whose elements stand for ``rows`` (None: all), by group; their group codes; each group's size."""
    assert groups.codes is not None
    if rows is None:
        order, codes, n = groups.order, groups.sorted_codes, groups.n_in_each
    else:
        codes = groups.codes[rows]
        order = None if groups.order is None else sorting_order(codes, groups.n)
        codes = codes if order is None else codes[order]
        n = np.bincount(codes, minlength=groups.n)
    return (list(arrays) if order is None else [a[order] for a in arrays]), codes, n


@dataclass(frozen=True)
class NumericalReader:
    """Where a numerical column stands in the statement and how it is binned."""

    position: int
    bins: Binner

    def read(self, batch: Batch) -> FiniteValues:
        """The column's finite values in a batch."""
        return FiniteValues(batch.numbers(self.position), self.bins)


class CodedValues:
    """A categorical column of a batch as codes: 0 null, 1 … K the layout's categories, then empty text and others."""

    def __init__(self, codes: NDArray[np.integer], reader: CategoricalReader) -> None:
        self._codes, self._reader = codes, reader

    def codes(self, n_rows: int) -> NDArray[np.integer]:
        """Code of every row, (n_rows,)."""
        return self._codes

    def block(self, groups: Groups) -> Block:
        """Counts by group."""
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
        self.coding = statement.code(column, texts)
        self.n_categories = len(categories)
        self.n_codes = len(texts) + 2
        self.empty = texts.index("") + 1

    def read(self, batch: Batch) -> CodedValues:
        """The column's codes in a batch."""
        return CodedValues(batch.codes(self.coding), self)


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
        """Makes room for ``n_groups`` groups in all; new ones hold nothing."""
        if n_groups > len(self.n_rows):
            self._resize(max(16, 2 * len(self.n_rows), n_groups))

    def add(self, column: int, ids: NDArray[np.intp], block: Block) -> None:
        """Adds a block of one column to the groups ``ids``, one row of the block each."""
        bins = slice(self._offsets[column], self._offsets[column + 1])
        # A slice instead of a list of positions: most batches hold one group, and then this is most of the work.
        at: Any = slice(int(ids[0]), int(ids[0]) + 1) if len(ids) == 1 else ids
        self.scalars[at, column] += block.scalars
        self.counts[at, bins] += block.counts
        if not isinstance(block, NumericalBlock):
            return
        self.minimum[at, column] = np.minimum(self.minimum[at, column], block.minimum)
        self.maximum[at, column] = np.maximum(self.maximum[at, column], block.maximum)
        known = Moments(self.n[at, column], self.mean[at, column], self.m2[at, column])
        with np.errstate(over="ignore", invalid="ignore"):
            both = known.plus(Moments(block.n, block.mean, block.m2))
        self.n[at, column], self.mean[at, column], self.m2[at, column] = both.n, both.mean, both.m2

    def merged(self, rows: NDArray[np.intp], starts: NDArray[np.intp]) -> ColumnTotals:
        """Totals of coarser groups: ``rows`` of this table, in order of their coarser group; each begins at a start."""
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
        scalars = [f.tolist() for f in (self.n_rows[:n_groups], *self.scalars[:n_groups, j].T)]
        moments = [f[:n_groups, j].tolist() for f in (self.minimum, self.maximum, self.mean, self.m2)]
        return column_profiles(layout, zip(*scalars, counts, *moments, strict=True))
