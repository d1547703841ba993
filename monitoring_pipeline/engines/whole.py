"""The parts that are kept for all rows of a window together (segment ``*``): bins of predictions, comoments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from monitoring_pipeline.engines.binning import binner
from monitoring_pipeline.engines.columns import reader_of
from monitoring_pipeline.engines.grouping import Groups, GroupTable
from monitoring_pipeline.engines.statement import Batch, Numbers, Statement
from monitoring_pipeline.profiles.layout import ColumnLayout, Layout
from monitoring_pipeline.profiles.parts import PARTS
from monitoring_pipeline.profiles.parts.bins import (
    ALL_CLASSES_UP_TO,
    ERROR_SUMS,
    LabelledBins,
    PredictionBins,
    bins_shape,
    error_columns,
    error_widths,
    n_predicted,
)
from monitoring_pipeline.profiles.parts.comoments import Comoments

LARGE = 1e60
ROWS_AT_ONCE = 8192  # of 28 columns 1.8 MB: what is multiplied stays in the cache


class _Totals:
    """Arrays of one shape that grow with the groups met."""

    def __init__(self, shape: tuple[int, ...], dtype: type) -> None:
        self._shape, self._dtype = shape, dtype
        self.rows: NDArray[Any] = np.zeros((0, *shape), dtype)

    def reserve(self, n_groups: int) -> None:
        """Makes room for ``n_groups`` in all."""
        have = len(self.rows)
        if n_groups > have:
            more = max(have + have // 2, n_groups) - have
            self.rows = np.concatenate((self.rows, np.zeros((more, *self._shape), self._dtype)))

    def add(self, ids: NDArray[np.intp], block: NDArray[Any]) -> None:
        """``block`` (G, *shape) to the groups ``ids``, each of them once."""
        self.reserve(int(ids.max()) + 1)
        self.rows[ids] += block


class _Reader(Protocol):
    def add(self, batch: Batch, groups: Groups) -> None: ...

    def value(self, group: int) -> dict[str, Any]: ...


class _ScoreBins:
    """``prediction_bins`` and ``labelled_bins`` of a classification, whichever is wanted."""

    def __init__(self, statement: Statement, layout: Layout, wanted: frozenset[str]) -> None:
        self._layout, self._wanted = layout, wanted
        o = layout.outcome
        names = ["__score"] if o.task == "binary" else [f"__score_{i}" for i in range(len(o.scored))]
        self._scores = [statement.numerical(name) for name in names]
        self._prediction = statement.code("__prediction", o.classes)
        self._outcome = statement.code("__outcome", o.classes) if "labelled_bins" in wanted else None
        self._codes = [o.classes.index(c) + 1 for c in o.scored]
        self._bins = binner(o.score_edges)
        self._states = 1 if self._outcome is None else 3
        self._totals = _Totals((*bins_shape(layout), self._states), np.int64)

    def add(self, batch: Batch, groups: Groups) -> None:
        predicted = batch.codes(self._prediction)
        outcome = None if self._outcome is None else batch.codes(self._outcome)
        found = []
        for position, code in zip(self._scores, self._codes, strict=True):
            score = batch.numbers(position)
            rows = _finite_rows(score)
            cell = self._bins(_at(score.values, rows)).astype(np.int64)
            cell = cell * n_predicted(self._layout) + self._guess(_at(predicted, rows), code)
            if outcome is not None:
                # Three states, so that one count yields all, labelled and positive rows.
                truth = _at(outcome, rows)
                cell = cell * 3 + ((truth != 0).astype(np.int64) + (truth == code))
            found.append(_by_group(groups, rows, cell, int(np.prod(self._totals.rows.shape[2:]))))
        block = np.stack(found, axis=1).reshape(groups.n, *self._totals.rows.shape[1:])
        self._totals.add(groups.ids, block)

    def _guess(self, predicted: NDArray[np.integer], code: int) -> NDArray[np.int64]:
        """Position in P of each row's prediction: codes are 0 none, 1 … K the classes, then unknown."""
        k = len(self._layout.outcome.classes)
        if k <= ALL_CLASSES_UP_TO:
            return np.where(predicted == 0, k + 1, predicted.astype(np.int64) - 1)
        return np.where(predicted == 0, 2, np.where(predicted == code, 0, 1))

    def value(self, group: int) -> dict[str, Any]:
        counts = self._totals.rows[group]
        found: dict[str, Any] = {"prediction_bins": PredictionBins(counts.sum(axis=-1))}
        if self._states == 3:
            nothing = np.zeros(0, np.int64), np.zeros((len(ERROR_SUMS), 0))
            found["labelled_bins"] = LabelledBins(counts[..., 1:].sum(axis=-1), counts[..., 2].copy(), *nothing)
        return {name: value for name, value in found.items() if name in self._wanted}


class _ErrorBins:
    """``labelled_bins`` of a regression."""

    def __init__(self, statement: Statement, layout: Layout, column_of: Callable[[ColumnLayout], str]) -> None:
        self._layout = layout
        self._prediction = statement.numerical("__prediction")
        self._outcome = statement.numerical("__outcome")
        self._readers = [reader_of(c, column_of(c), statement) for c in error_columns(layout)]
        self._widths = error_widths(layout)
        self._counts = _Totals((sum(self._widths),), np.int64)
        self._sums = _Totals((len(ERROR_SUMS), sum(self._widths)), np.float64)

    def add(self, batch: Batch, groups: Groups) -> None:
        prediction, outcome = batch.numbers(self._prediction), batch.numbers(self._outcome)
        with np.errstate(invalid="ignore", over="ignore"):
            e = prediction.values - outcome.values
            scored = np.isfinite(e)
        for numbers in (prediction, outcome):
            if numbers.valid is not None:
                scored &= numbers.valid
        rows = np.flatnonzero(scored)
        e = e[rows]
        with np.errstate(over="ignore"):
            e2 = e * e
            sums = (np.abs(e), e, e2, e2 * e2)
        counts, weighed = [], []
        for reader, width in zip(self._readers, self._widths, strict=True):
            codes = np.minimum(reader.read(batch).codes(batch.n_rows)[rows].astype(np.int64), width - 1)
            counts.append(_by_group(groups, rows, codes, width))
            weighed.append(np.stack([_by_group(groups, rows, codes, width, w) for w in sums], axis=1))
        self._counts.add(groups.ids, np.concatenate(counts, axis=1))
        self._sums.add(groups.ids, np.concatenate(weighed, axis=2))

    def value(self, group: int) -> dict[str, Any]:
        none = np.zeros((0, 0, 0), np.int64)
        return {"labelled_bins": LabelledBins(none, none, self._counts.rows[group], self._sums.rows[group])}


class _Products:
    """``comoments``. Sums are kept of distances from the reference's means, and divided by its standard deviations at
    the end; where squares of such distances could overflow, distances are divided at once."""

    def __init__(self, statement: Statement, layout: Layout) -> None:
        self._columns = [(statement.numerical(statement.column_of(name)), mean) for name, mean, _ in layout.scales]
        sds = np.array([sd for _, _, sd in layout.scales])
        safe = (sds > 1 / LARGE) & (sds < LARGE)
        self._at_once, self._at_end = np.where(safe, 1.0, 1 / sds), np.where(safe, 1 / sds, 1.0)
        p = len(self._columns)
        self._n = _Totals((), np.int64)
        self._z, self._zz = _Totals((p,), np.float64), _Totals((p, p), np.float64)

    def add(self, batch: Batch, groups: Groups) -> None:
        columns = [batch.numbers(position) for position, _ in self._columns]
        sizes = groups.sizes(batch.n_rows)
        for totals in (self._n, self._z, self._zz):
            totals.reserve(int(groups.ids.max()) + 1)
        self._n.rows[groups.ids] += sizes
        ends = np.cumsum(sizes).tolist()
        scratch = np.empty((len(columns), min(ROWS_AT_ONCE, batch.n_rows)))
        # Group by group into the totals: a block of all groups' products could be as large as the totals.
        for group, start, end in zip(groups.ids.tolist(), [0, *ends[:-1]], ends, strict=True):
            for at in range(start, end, ROWS_AT_ONCE):
                rows = slice(at, min(at + ROWS_AT_ONCE, end))
                some = scratch[:, : rows.stop - rows.start]
                sums = self._distances(columns, rows if groups.order is None else groups.order[rows], some)
                with np.errstate(over="ignore", invalid="ignore"):
                    self._z.rows[group] += sums
                    self._zz.rows[group] += some @ some.T

    def _distances(
        self, columns: list[Numbers], rows: slice | NDArray[np.intp], into: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Fills (p, rows), 0 where there is no finite value; returns the sums (p,)."""
        with np.errstate(over="ignore", invalid="ignore"):
            for one, c, (_, mean), factor in zip(into, columns, self._columns, self._at_once, strict=True):
                np.subtract(c.values[rows], mean, out=one)
                if factor != 1:
                    one *= factor
                if c.valid is not None:
                    one[~c.valid[rows]] = 0.0
            sums = into.sum(axis=1)
            for i in np.flatnonzero(~np.isfinite(sums)):
                into[i, ~np.isfinite(into[i])] = 0.0
                sums[i] = into[i].sum()
        return sums

    def value(self, group: int) -> dict[str, Any]:
        with np.errstate(over="ignore", invalid="ignore"):
            z = self._z.rows[group] * self._at_end
            zz = self._zz.rows[group] * self._at_end[:, None] * self._at_end
        return {"comoments": Comoments(int(self._n.rows[group]), z, zz)}


class WholeCounter:
    """Counts batches by one layout into the parts that are not kept by segment."""

    def __init__(
        self,
        statement: Statement,
        layout: Layout,
        n_versions: int,
        wanted: frozenset[str],
        column_of: Callable[[ColumnLayout], str],
    ) -> None:
        self._n_versions = n_versions
        self._table = GroupTable()
        self._readers: list[_Reader] = []
        asked = frozenset(name for name in wanted if not PARTS[name].segments and PARTS[name].applies(layout))
        if "comoments" in asked:
            self._readers.append(_Products(statement, layout))
        if asked & {"prediction_bins", "labelled_bins"}:
            regression = layout.outcome.task == "regression"
            self._readers.append(
                _ErrorBins(statement, layout, column_of) if regression else _ScoreBins(statement, layout, asked)
            )

    def add(self, batch: Batch, windows: NDArray[np.int64], versions: NDArray[np.integer]) -> None:
        """Arguments as for ``LayoutCounter.add``."""
        if self._readers:
            parts = [(versions, self._n_versions)] if self._n_versions > 1 else []
            groups = self._table.locate(windows, parts, batch.n_rows)
            for reader in self._readers:
                reader.add(batch, groups)

    def values(self) -> dict[tuple[int, int], dict[str, Any]]:
        """The parts by (window in µs, position of the version)."""
        return {
            (key[0], key[1] if self._n_versions > 1 else 0): {
                name: value for reader in self._readers for name, value in reader.value(row).items()
            }
            for key, row in self._table.rows.items()
        }


def _finite_rows(numbers: Numbers) -> NDArray[np.intp] | None:
    """Rows with a finite value; None: all."""
    finite = np.isfinite(numbers.values)
    if numbers.valid is not None:
        finite &= numbers.valid
    return None if finite.all() else np.flatnonzero(finite)


def _at(values: NDArray[Any], rows: NDArray[np.intp] | None) -> NDArray[Any]:
    return values if rows is None else values[rows]


def _by_group(
    groups: Groups,
    rows: NDArray[np.intp] | None,
    cells: NDArray[np.int64],
    n_cells: int,
    weights: NDArray[np.float64] | None = None,
) -> NDArray[Any]:
    """(G, n_cells): rows, or sums of ``weights``, by group and cell; ``cells`` and ``weights`` stand for ``rows``."""
    if groups.codes is not None:
        cells = _at(groups.codes, rows) * n_cells + cells
    return np.bincount(cells, weights, groups.n * n_cells).reshape(groups.n, n_cells)
