"""What is judged: one column of one segment, counted by the bins of its reference, in blocks and in windows."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from monitoring_pipeline.profiles.layout import Kind

Counts = NDArray[np.float64]
Index = NDArray[np.int64]


@dataclass(frozen=True)
class Unit:
    """One column of one segment of one model version. ``categories``: names of its bins but the last, if categorical.

    ``pool``: units of one pool (a model version's segment) share what is known about autocorrelation and tails.
    """

    pool: tuple[str, str]
    column: str
    role: str
    kind: Kind
    categories: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Batch:
    """U units of one kind and number of bins K, counted in B blocks of their reference and in T windows.

    ``reference`` (U, K) and ``reference_missing`` (U,): all rows of the reference. ``blocks`` (U, B, K) and
    ``blocks_missing`` (U, B) stand at ``block_at`` (B,), numbers of windows since 1970, ascending; ``windows``
    (U, T, K) and ``windows_missing`` (U, T) at ``first``, ``first + 1``, … . A block or window without rows is all 0.
    The first and last bin of a numerical unit lie outside the reference's range; the last one of a categorical unit
    holds the categories that the reference lacks. Missing: rows without a value in any bin.
    """

    kind: Kind
    units: tuple[Unit, ...]
    reference: Counts
    reference_missing: Counts
    blocks: Counts
    blocks_missing: Counts
    block_at: Index
    windows: Counts
    windows_missing: Counts
    first: int

    @property
    def pools(self) -> tuple[tuple[str, str], ...]:
        """The pool of each unit."""
        return tuple(unit.pool for unit in self.units)

    def between(self, start: int, stop: int) -> Batch:
        """The same units with the windows of numbers in [start, stop), which may reach beyond those there are."""
        n = max(stop - start, 0)
        windows = np.zeros((len(self.units), n, self.windows.shape[2]))
        missing = np.zeros((len(self.units), n))
        low, high = max(start, self.first), min(stop, self.first + self.windows.shape[1])
        if low < high:
            here, there = slice(low - start, high - start), slice(low - self.first, high - self.first)
            windows[:, here], missing[:, here] = self.windows[:, there], self.windows_missing[:, there]
        return replace(self, windows=windows, windows_missing=missing, first=start)
