"""Stored counts as the arrays that drift verdicts are made of: blocks and windows of each column and segment."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from monitoring_pipeline.alerting.drift.units import Batch, Unit
from monitoring_pipeline.profiles.column import SCALARS
from monitoring_pipeline.profiles.layout import ColumnLayout, Kind, Layout
from monitoring_pipeline.profiles.parts.columns import profiled_columns
from monitoring_pipeline.warehouse.column_verdict_store import StoredCounts
from monitoring_pipeline.windows import LENGTH, WindowSize

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Pool = tuple[str, str]  # model version, segment
Counts = NDArray[np.float64]


@dataclass(frozen=True)
class Stored:
    """Everything that verdicts on the columns of some windows rest on.

    ``references`` and ``blocks`` are of model versions that have a reference; ``reference_of`` says which of them each
    version in ``windows`` is compared with. ``layouts`` by id.
    """

    references: Sequence[StoredCounts]
    blocks: Sequence[StoredCounts]
    windows: Sequence[StoredCounts]
    layouts: Mapping[str, Layout]
    reference_of: Mapping[str, str]


@dataclass(frozen=True)
class _Columns:
    """Columns of a layout of one kind and number of bins; ``bins`` (C, K) where they lie in the stored counts."""

    columns: tuple[ColumnLayout, ...]
    bins: NDArray[np.intp]
    rows: NDArray[np.intp]


def number_of(start: datetime, size: WindowSize) -> int:
    """How many windows of this size start before ``start`` since 1970."""
    return (start - EPOCH) // LENGTH[size]


def start_of(number: int, size: WindowSize) -> datetime:
    """Inverse of ``number_of``."""
    step: timedelta = LENGTH[size]
    return EPOCH + number * step


ColumnsOf = Callable[[Layout], tuple[ColumnLayout, ...]]


def batches(
    stored: Stored, size: WindowSize, first: int, stop: int, columns_of: ColumnsOf = profiled_columns
) -> list[Batch]:
    """Units by kind and number of bins, with the windows of numbers [first, stop).

    ``columns_of`` a layout: those whose counts are stored, in their order.

    A segment of a model version is there when its reference has that segment and one of the windows holds it.
    """
    references = {(one.model_version, one.segment): one for one in stored.references}
    blocks = _by_pool(stored.blocks)
    found: dict[tuple[Kind, int], list[Batch]] = defaultdict(list)
    for (version, segment), windows in sorted(_by_pool(stored.windows).items()):
        of = (stored.reference_of.get(version, version), segment)
        if of not in references:
            continue
        reference = references[of]
        layout = stored.layouts[reference.layout_id]
        own = [one for one in blocks.get(of, ()) if one.layout_id == reference.layout_id]
        current = [one for one in windows if one.layout_id == reference.layout_id]
        at = np.array([number_of(one.start, size) for one in own], np.int64)
        table = np.array([one.counts for one in own]) if own else np.zeros((0, len(reference.counts)), np.int64)
        grid = np.zeros((stop - first, len(reference.counts)))
        for one in current:
            grid[number_of(one.start, size) - first] = one.counts
        for key, columns in _columns(columns_of(layout)).items():
            found[key].append(_batch(key[0], (version, segment), columns, reference, (table, at), (grid, first)))
    return [_joined(parts) for _, parts in sorted(found.items())]


def _by_pool(counts: Iterable[StoredCounts]) -> dict[Pool, list[StoredCounts]]:
    found: dict[Pool, list[StoredCounts]] = defaultdict(list)
    for one in counts:
        found[one.model_version, one.segment].append(one)
    return found


def _columns(columns: tuple[ColumnLayout, ...]) -> dict[tuple[Kind, int], _Columns]:
    """The columns of a part by kind and number of bins."""
    starts = accumulate((len(SCALARS) + c.n_bins for c in columns), initial=0)
    groups: dict[tuple[Kind, int], list[tuple[ColumnLayout, int]]] = defaultdict(list)
    for column, start in zip(columns, starts, strict=False):
        groups[column.kind, column.n_bins].append((column, start))
    return {
        (kind, n_bins): _Columns(
            tuple(column for column, _ in some),
            np.array([start + len(SCALARS) + np.arange(n_bins) for _, start in some]),
            np.array([start for _, start in some]),
        )
        for (kind, n_bins), some in groups.items()
    }


def _batch(
    kind: Kind, pool: Pool, of: _Columns, reference: StoredCounts, blocks: tuple[NDArray, NDArray],
    windows: tuple[Counts, int],
) -> Batch:  # fmt: skip
    units = tuple(Unit(pool, c.name, c.role, c.kind, c.categories) for c in of.columns)
    whole, missing = _split(of, reference.counts[None, :])
    in_blocks, missing_in_blocks = _split(of, blocks[0])
    in_windows, missing_in_windows = _split(of, windows[0])
    return Batch(
        kind, units, whole[:, 0], missing[:, 0], in_blocks, missing_in_blocks, blocks[1], in_windows,
        missing_in_windows, windows[1],
    )  # fmt: skip


def _split(of: _Columns, table: NDArray) -> tuple[Counts, Counts]:
    """(C, N, K) values by bin and (C, N) rows without a value in any bin, of N rows of stored counts."""
    bins = table[:, of.bins].transpose(1, 0, 2).astype(float)
    return bins, table[:, of.rows].T - bins.sum(axis=2)


def _joined(parts: Sequence[Batch]) -> Batch:
    """One batch of units with the same bins; blocks on the grid of all of their blocks' times."""
    first = parts[0]
    at = np.unique(np.concatenate([part.block_at for part in parts]))
    blocks = np.zeros((sum(len(p.units) for p in parts), len(at), first.reference.shape[1]))
    missing = np.zeros(blocks.shape[:2])
    row = 0
    for part in parts:
        here, there = slice(row, row + len(part.units)), np.searchsorted(at, part.block_at)
        blocks[here, there], missing[here, there] = part.blocks, part.blocks_missing
        row += len(part.units)
    return Batch(
        first.kind,
        tuple(unit for part in parts for unit in part.units),
        np.concatenate([part.reference for part in parts]),
        np.concatenate([part.reference_missing for part in parts]),
        blocks,
        missing,
        at,
        np.concatenate([part.windows for part in parts]),
        np.concatenate([part.windows_missing for part in parts]),
        first.first,
    )
