"""The bin of each value, by right-closed bins: bin i is (e_{i-1}, e_i], that is the number of edges below the value."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

MAX_COMPARED = 40  # up to here comparing with every edge (vectorised, 0.2 ns an edge) beats looking up
CHUNK = 4096
CELLS = (1024, 4096, 16384)
MAX_EDGES_PER_CELL = 3


class Binner:
    """Bins finite values exactly as ``np.searchsorted(edges, x, side='left')`` does, two to eight times faster.

    Few edges: one vectorised comparison an edge. Many: a table over equal-width cells says how many edges lie in cells
    before the value's, and as many comparisons follow as the fullest cell has edges. Edges too uneven for that: binary
    search.
    """

    def __init__(self, edges: tuple[float, ...]) -> None:
        self.edges = np.asarray(edges, np.float64)
        self.n_bins = len(edges) + 1
        self._dtype = np.uint8 if self.n_bins <= 256 else np.uint16
        self._table = self._make_table() if len(edges) > MAX_COMPARED else None

    def __call__(self, x: Floats) -> NDArray[np.integer]:
        """Bin of each value of ``x``; no NaN."""
        if len(self.edges) <= MAX_COMPARED:
            bins: NDArray[np.integer] = np.zeros(x.shape, np.uint8)
            above = np.empty(x.shape, bool)
            for edge in self.edges:
                np.greater(x, edge, out=above)
                bins += above.view(np.uint8)
            return bins
        if self._table is None:
            return np.searchsorted(self.edges, x)
        bins = self._table.take(self._cells(x))
        for _ in range(self._fullest):
            bins += x > self._padded.take(bins)
        return bins

    def counts(self, x: Floats, low: float, high: float) -> NDArray[np.int64]:
        """Number of values in each bin; ``low`` and ``high`` are the least and the greatest of ``x``, not empty."""
        if len(self.edges) > MAX_COMPARED:
            return np.bincount(self(x), minlength=self.n_bins)
        first, last = np.searchsorted(self.edges, (low, high), side="left")
        beyond = np.zeros(self.n_bins + 1, np.int64)
        beyond[: first + 1] = len(x)  # edges below all values; those from ``last`` on have none above them
        beyond[first + 1 : last + 1] = _numbers_above(x, self.edges[first:last])
        return beyond[:-1] - beyond[1:]

    def _cells(self, x: Floats) -> NDArray[np.int32]:
        with np.errstate(over="ignore"):  # what overflows lies beyond the last cell
            scaled = x - self._low
            scaled *= self._scale
        np.clip(scaled, 0, self._last_cell, out=scaled)
        return scaled.astype(np.int32)

    def _make_table(self) -> NDArray[np.integer] | None:
        span = float(self.edges[-1]) - float(self.edges[0])
        self._low = float(self.edges[0])
        self._padded = np.append(self.edges, np.inf)
        for cells in CELLS:
            self._last_cell = cells - 1
            with np.errstate(all="ignore"):
                self._scale = float(np.float64(cells) / span)
            if not (np.isfinite(span) and np.isfinite(self._scale) and self._scale > 0):
                return None
            per_cell = np.bincount(self._cells(self.edges), minlength=cells)
            self._fullest = int(per_cell.max())
            if self._fullest <= MAX_EDGES_PER_CELL:
                return (np.cumsum(per_cell) - per_cell).astype(self._dtype)
        return None


def _numbers_above(x: Floats, edges: Floats) -> NDArray[np.int64]:
    """How many values lie above each edge. All edges are compared while a chunk of ``x`` is in the fastest cache, and
    chunks are added up as bytes."""
    found = np.zeros(len(edges), np.int64)
    whole = len(x) - len(x) % CHUNK
    above = np.empty((len(edges), CHUNK), bool)
    added = np.zeros((len(edges), CHUNK), np.uint8)
    column = edges[:, None]
    for start in range(0, whole, 255 * CHUNK):
        added[:] = 0
        for at in range(start, min(start + 255 * CHUNK, whole), CHUNK):
            np.greater(x[at : at + CHUNK], column, out=above)
            np.add(added, above.view(np.uint8), out=added)
        found += added.sum(axis=1, dtype=np.int64)
    rest = x[whole:]
    return found + np.array([np.count_nonzero(rest > edge) for edge in edges], np.int64)


@lru_cache(maxsize=4096)
def binner(edges: tuple[float, ...]) -> Binner:
    """The binner of these edges; kept, since the same layout counts window after window."""
    return Binner(edges)
