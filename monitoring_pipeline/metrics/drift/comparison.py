"""Two sides of many columns laid out as matrices, so that each method is a few array operations over all columns at
once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from monitoring_pipeline.metrics.drift.smoothing import half_row_fill, zero_fill
from monitoring_pipeline.profiles.column import ColumnProfile

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Measured:
    """One method's numbers for C columns, each of shape (C,). NaN means undefined.

    ``effect`` is what a threshold is compared with where that is not ``value``; ``bound``: the value without bins lies
    within it of ``value``.
    """

    value: Floats
    p_value: Floats | None = None
    effect: Floats | None = None
    bound: Floats | None = None


@dataclass(frozen=True)
class Comparison:
    """C columns of one kind, reference against current. Bins are padded with empty ones to the widest column's B.

    A bin that is empty on both sides takes no part anywhere (Evidently's union of keys), so padding changes nothing.
    """

    reference: Sequence[ColumnProfile]
    current: Sequence[ColumnProfile]

    @cached_property
    def reference_counts(self) -> Floats:
        """(C, B) rows of the reference by bin."""
        return _padded(self.reference, self.width)

    @cached_property
    def current_counts(self) -> Floats:
        """(C, B) rows of the current window by bin."""
        return _padded(self.current, self.width)

    @cached_property
    def width(self) -> int:
        """B, the most bins of a column."""
        return max((c.counts.size for c in self.reference), default=0)

    @cached_property
    def n_reference(self) -> Floats:
        """(C,) values in bins."""
        return self.reference_counts.sum(axis=1)

    @cached_property
    def n_current(self) -> Floats:
        """(C,) values in bins."""
        return self.current_counts.sum(axis=1)

    @cached_property
    def p(self) -> Floats:
        """(C, B) shares of the reference; NaN throughout a column without values."""
        return _shares(self.reference_counts, self.n_reference)

    @cached_property
    def q(self) -> Floats:
        """(C, B) shares of the current window; NaN throughout a column without values."""
        return _shares(self.current_counts, self.n_current)

    @cached_property
    def used(self) -> NDArray[np.bool_]:
        """(C, B) bins with rows on either side."""
        return (self.reference_counts + self.current_counts) > 0

    @cached_property
    def freedom(self) -> Floats:
        """(C,) bins in use minus one: the degrees of freedom of a comparison of shares."""
        return np.maximum(self.used.sum(axis=1) - 1.0, 0.0)

    @cached_property
    def harmonic(self) -> Floats:
        """(C,) nm / (n + m), the size that the difference of two independent shares has."""
        total = self.n_reference + self.n_current
        return self.n_reference * self.n_current / np.where(total > 0, total, 1.0)

    @cached_property
    def filled(self) -> tuple[Floats, Floats]:
        """Both sides' shares with Evidently's zero fill."""
        return zero_fill(self.p, self.used), zero_fill(self.q, self.used)

    @cached_property
    def half_filled(self) -> tuple[Floats, Floats]:
        """Both sides' shares with empty bins taken as half a row, for test statistics."""
        p = half_row_fill(self.p, self.used, self.n_reference)
        return p, half_row_fill(self.q, self.used, self.n_current)

    def sizes(self, whole_rows: bool) -> tuple[Floats, Floats]:
        """(C,) rows, or values in bins, of each side."""
        return self.rows if whole_rows else (self.n_reference, self.n_current)

    @cached_property
    def rows(self) -> tuple[Floats, Floats]:
        """(C,) rows of each side, with or without a value."""
        return np.array([r.n for r in self.reference], float), np.array([c.n for c in self.current], float)


def _padded(profiles: Sequence[ColumnProfile], width: int) -> Floats:
    out = np.zeros((len(profiles), width))
    for row, profile in zip(out, profiles, strict=True):
        row[: profile.counts.size] = profile.counts
    return out


def _shares(counts: Floats, n: Floats) -> Floats:
    return counts / np.where(n > 0, n, np.nan)[:, None]
