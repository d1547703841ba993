"""Which group - window, version and segment values - each row of a batch belongs to."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.integer]


@dataclass(frozen=True)
class Groups:
    """The groups met in a batch.

    ``ids`` (G,) positions in the table of all groups; ``codes`` (rows,) which of the G each row is in, None when G
    is 1; ``order`` sorts rows by group, None when they are sorted.
    """

    ids: NDArray[np.intp]
    codes: NDArray[np.intp] | None
    order: NDArray[np.intp] | None

    @property
    def n(self) -> int:
        """Number of groups."""
        return len(self.ids)

    @cached_property
    def sorted_codes(self) -> NDArray[np.intp]:
        """``codes`` in ``order``."""
        assert self.codes is not None
        return self.codes if self.order is None else self.codes[self.order]

    @cached_property
    def n_in_each(self) -> NDArray[np.int64]:
        """Rows of each group, int64 (n,); only where there are codes."""
        assert self.codes is not None
        return np.bincount(self.codes, minlength=self.n)

    def sizes(self, n_rows: int) -> NDArray[np.int64]:
        """Rows of each group, int64 (n,), of a batch of ``n_rows``."""
        return np.array([n_rows]) if self.codes is None else self.n_in_each

    def count(self, rows: NDArray[np.bool_]) -> NDArray[np.int64]:
        """How many of the marked rows each group has."""
        if self.codes is None:
            return np.array([np.count_nonzero(rows)])
        return np.bincount(self.codes[rows], minlength=self.n)


def sorting_order(codes: Ints, n_groups: int) -> NDArray[np.intp] | None:
    """Stable order by group, None when already sorted. 16-bit codes are sorted by radix."""
    if not (codes[1:] < codes[:-1]).any():
        return None
    return np.argsort(codes.astype(np.uint16) if n_groups <= 65536 else codes, kind="stable")


@dataclass
class GroupTable:
    """All groups met so far: (window start in µs, version, segment codes …), and each one's row in the totals."""

    rows: dict[tuple[int, ...], int] = field(default_factory=dict)

    def locate(self, windows: NDArray[np.int64], parts: list[tuple[Ints, int]], n_rows: int) -> Groups:
        """``windows`` by row; ``parts``: further codes by row, each with the number of values it may take."""
        window_codes, starts = _distinct(windows)
        radices, combined = [len(starts)], window_codes
        for codes, radix in parts:
            combined = codes.astype(np.int64) if combined is None else combined * radix + codes
            radices.append(radix)
        if combined is None:
            return Groups(self._ids([(int(starts[0]),)]), None, None)
        present, codes = _compress(combined, int(np.prod([float(r) for r in radices])), n_rows)
        split = [c.tolist() for c in np.unravel_index(present, radices)]
        keys = list(zip((starts[split[0]]).tolist(), *split[1:], strict=True))
        ids = self._ids(keys)
        return Groups(ids, None, None) if len(ids) == 1 else Groups(ids, codes, sorting_order(codes, len(ids)))

    def _ids(self, keys: list[tuple[int, ...]]) -> NDArray[np.intp]:
        return np.array([self.rows.setdefault(key, len(self.rows)) for key in keys], np.intp)


def _distinct(values: NDArray[np.int64]) -> tuple[NDArray[np.int64] | None, NDArray[np.int64]]:
    """Codes (None when all are equal) and the distinct values. A log's rows come in runs, so runs are compared."""
    changes = np.flatnonzero(values[1:] != values[:-1]) + 1
    if not len(changes):
        return None, values[:1]
    firsts = np.concatenate(([0], changes))
    distinct, codes = np.unique(values[firsts], return_inverse=True)
    return np.repeat(codes.astype(np.int64), np.diff(np.append(firsts, len(values)))), distinct


def _compress(combined: NDArray[np.int64], size: int, n_rows: int) -> tuple[NDArray[np.int64], NDArray[np.intp]]:
    """The distinct values of ``combined`` (all below ``size``), ascending, and the rank of each row's."""
    if size > 16 * n_rows + 4096:
        present, codes = np.unique(combined, return_inverse=True)
        return present, codes.astype(np.intp)
    present = np.flatnonzero(np.bincount(combined, minlength=size))
    ranks = np.zeros(size, np.intp)
    ranks[present] = np.arange(len(present))
    return present, ranks[combined]
