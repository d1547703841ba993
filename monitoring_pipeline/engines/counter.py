"""Counts the rows of the model versions that share a layout, and adds the groups up to the declared segments."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitoring_pipeline.engines.columns import MISSING, ColumnTotals, reader_of
from monitoring_pipeline.engines.grouping import Groups, GroupTable
from monitoring_pipeline.engines.outcomes import OutcomeTotals, outcome_reader
from monitoring_pipeline.engines.segments import SegmentColumn, finest, segment_columns
from monitoring_pipeline.engines.statement import Batch, Statement
from monitoring_pipeline.engines.whole import WholeCounter
from monitoring_pipeline.profiles.layout import ColumnLayout, Layout
from monitoring_pipeline.profiles.parts.columns import profiled_columns
from monitoring_pipeline.profiles.profile import segment_label

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Counted:
    """What was counted of one window, model version and segment: the value of each part that was asked for.

    A part the layout has no columns for (``target`` without an outcome) is absent, and so are, in segments, the parts
    that are kept for ``*`` alone.
    """

    window: datetime
    version: str
    segment: str
    n_rows: int
    parts: Mapping[str, Any]


Wanted = frozenset[str]
"""Names of the parts to count; see ``profiles.parts``."""


def relation_column(layout: Layout, column: ColumnLayout, statement: Statement) -> str:
    """The relation's name of a column of the layout."""
    if column.role in ("feature", "segment"):
        return statement.column_of(column.name)
    if column.role == "score":
        if layout.outcome.task == "binary":
            return "__score"
        return f"__score_{[c for c in layout.columns if c.role == 'score'].index(column)}"
    return "__prediction" if column.role == "prediction" else "__outcome"


@contextmanager
def _no_collection() -> Iterator[None]:
    """Garbage collection held off: it would walk up to a million new objects, none in a cycle, again and again."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


class _Grouping:
    """One of the finest segmentations: its groups and their totals."""

    def __init__(self, layout: Layout, key: tuple[str, ...], columns: tuple[ColumnLayout, ...], wanted: Wanted) -> None:
        self.key = key
        self.segments: tuple[SegmentColumn, ...] = segment_columns(layout, key)
        self.table = GroupTable()
        self.columns = ColumnTotals(columns)
        target = tuple(c for c in layout.columns if c.role == "target") if "target" in wanted else ()
        self.target = ColumnTotals(target)
        self.outcomes = OutcomeTotals(layout.outcome) if "outcomes" in wanted else None

    def locate(
        self, batch: Batch, windows: NDArray[np.int64], versions: tuple[NDArray, int], codes: dict[str, Any]
    ) -> Groups:
        parts = [versions] if versions[1] > 1 else []
        parts += [(s.codes(codes[s.layout.name]), s.radix) for s in self.segments]
        groups = self.table.locate(windows, parts, batch.n_rows)
        n = len(self.table.rows)
        self.columns.reserve(n)
        self.target.reserve(n)
        if self.outcomes is not None:
            self.outcomes.reserve(n)
        self.columns.n_rows[groups.ids] += groups.sizes(batch.n_rows)
        return groups


class LayoutCounter:
    """Counts batches by one layout."""

    def __init__(
        self,
        statement: Statement,
        layout: Layout,
        versions: tuple[str, ...],
        keys: tuple[tuple[str, ...], ...],
        wanted: Wanted,
    ) -> None:
        self._versions, self._keys, self._wanted = versions, keys, wanted
        counted = profiled_columns(layout) if "columns" in wanted else ()
        self._readers = [reader_of(c, relation_column(layout, c, statement), statement) for c in counted]
        self._groupings = [_Grouping(layout, key, counted, wanted) for key in finest(keys)]
        segments = {s.layout.name: s.layout for g in self._groupings for s in g.segments}
        self._segment_readers = {
            # A segment column that is counted too is read, and binned, once.
            name: counted.index(c) if c in counted else reader_of(c, relation_column(layout, c, statement), statement)
            for name, c in segments.items()
        }
        target = [c for c in layout.columns if c.role == "target"]
        self._target = reader_of(target[0], "__outcome", statement) if target and "target" in wanted else None
        self._whole = WholeCounter(
            statement, layout, len(versions), wanted, lambda c: relation_column(layout, c, statement)
        )
        self._outcome = outcome_reader(layout.outcome, statement) if "outcomes" in wanted else None

    def add(self, batch: Batch, windows: NDArray[np.int64], versions: NDArray[np.integer]) -> None:
        """``windows`` µs since 1970 by row; ``versions`` the position in this counter's versions by row."""
        segment_values = {name: r.read(batch) for name, r in self._segment_readers.items() if not isinstance(r, int)}
        early = {r: self._readers[r].read(batch) for r in self._segment_readers.values() if isinstance(r, int)}
        codes = {
            name: (early[r] if isinstance(r, int) else segment_values[name]).codes(batch.n_rows)
            for name, r in self._segment_readers.items()
        }
        located = [(g, g.locate(batch, windows, (versions, len(self._versions)), codes)) for g in self._groupings]
        for j, reader in enumerate(self._readers):
            values = early.get(j) or reader.read(batch)
            for grouping, groups in located:
                grouping.columns.add(j, groups.ids, values.block(groups))
        self._add_outcomes(batch, located)
        self._whole.add(batch, windows, versions)

    def _add_outcomes(self, batch: Batch, located: list[tuple[_Grouping, Groups]]) -> None:
        if self._outcome is not None:
            self._outcome.add(batch, [(groups, g.outcomes) for g, groups in located if g.outcomes is not None])
        if self._target is None:
            return
        values = self._target.read(batch)
        for grouping, groups in located:
            block = values.block(groups)
            # Rows without an outcome are not the target's rows.
            grouping.target.n_rows[groups.ids] += groups.sizes(batch.n_rows) - block.scalars[:, MISSING]
            block.scalars[:, MISSING] = 0
            grouping.target.add(0, groups.ids, block)

    def counted(self) -> list[Counted]:
        """Every (window, version, segment) met, unordered."""
        found: list[Counted] = []
        with _no_collection():
            for key in ((), *self._keys):
                finer = [g for g in self._groupings if set(key) <= set(g.key)]
                found += self._added_up(key, min(finer, key=lambda g: len(g.table.rows)))
        return found

    def _added_up(self, key: tuple[str, ...], grouping: _Grouping) -> list[Counted]:
        names = self._names(key, grouping)
        if not names:
            return []
        columns, target, outcomes = grouping.columns, grouping.target, grouping.outcomes
        distinct = {name: i for i, name in enumerate(dict.fromkeys(names))}
        n = len(distinct)
        if n < len(names):
            coarse = np.array([distinct[name] for name in names])
            rows = np.argsort(coarse, kind="stable")
            starts = np.searchsorted(coarse[rows], np.arange(n))
            columns, target = columns.merged(rows, starts), target.merged(rows, starts)
            outcomes = outcomes and outcomes.merged(rows, starts)
        n_rows = columns.n_rows[:n].tolist()
        values: dict[str, list[Any]] = {}
        if "columns" in self._wanted:
            values["columns"] = columns.profiles(n)
        if outcomes is not None:
            values["outcomes"] = outcomes.profiles(n)
        if self._target:
            values["target"] = [t[0] for t in target.profiles(n)]
        whole = {} if key else self._whole.values()
        place = {version: i for i, version in enumerate(self._versions)}
        return [
            Counted(
                EPOCH + timedelta(microseconds=window),
                version,
                segment,
                n_rows[i],
                {k: v[i] for k, v in values.items()} | whole.get((window, place[version]), {}),
            )
            for i, (window, version, segment) in enumerate(distinct)
        ]

    def _names(self, key: tuple[str, ...], grouping: _Grouping) -> list[tuple[int, str, str]]:
        """(window in µs, version, segment) of each of the grouping's groups, by the columns of ``key`` alone."""
        many = len(self._versions) > 1
        at = [grouping.key.index(name) for name in key]
        values = [[grouping.segments[i].value(c) for c in range(grouping.segments[i].radix)] for i in at]
        first = 2 if many else 1
        labels: dict[tuple[int, ...], str] = {}
        names = []
        for group in grouping.table.rows:
            codes = tuple(group[first + i] for i in at)
            if codes not in labels:
                labels[codes] = segment_label(key, tuple(v[c] for v, c in zip(values, codes, strict=True)))
            names.append((group[0], self._versions[group[1]] if many else self._versions[0], labels[codes]))
        return names
