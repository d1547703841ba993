"""Durations: the edges of their histograms, in seconds."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence

from monitoring_pipeline.serving.folded_counters import Cells

# A model of microseconds and one of a minute both have bins.
DURATION_EDGES = (
    0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0,
    2.5, 5.0, 10.0, 30.0, 60.0,
)  # fmt: skip
HTTP_EDGES = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


def n_cells(edges: Sequence[float]) -> int:
    """Cells of a histogram: one a bin, one above the last edge, and the sum."""
    return len(edges) + 2


def count(cells: Cells, edges: Sequence[float], seconds: Iterable[float]) -> None:
    """Counts durations into ``cells``; NaN, where nobody measured one, is left out. The caller holds the lock."""
    for s in seconds:
        if s == s:
            cells[bisect_left(edges, s)] += 1
            cells[-1] += s
