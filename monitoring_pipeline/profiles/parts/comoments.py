"""Part ``comoments``: how numerical features vary together.

Each feature is standardized by the reference's mean and standard deviation, z = (x - mean) / sd; where a value is
missing or not finite z is 0, the reference's mean. ``counts``: n. ``sums``: sum z, then the upper triangle of sum z z'
row by row. Features without a spread in the reference are left out, and all beyond the first 200.
Kept for ``*`` only. Format 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitoring_pipeline.profiles.layout import Layout
from monitoring_pipeline.profiles.parts.part import Counts, Part, Sums


@dataclass(frozen=True)
class Comoments:
    """Of ``n`` rows ``z`` (p,), the sums, and ``zz`` (p, p), the sums of products; p features as in
    ``Layout.scales``."""

    n: int
    z: NDArray[np.float64]
    zz: NDArray[np.float64]


def _merge(values: Sequence[Comoments]) -> Comoments:
    return Comoments(
        sum(v.n for v in values), np.sum([v.z for v in values], axis=0), np.sum([v.zz for v in values], axis=0)
    )


def _flatten(value: Comoments) -> tuple[Counts, Sums]:
    return np.array([value.n], np.int64), np.concatenate((value.z, value.zz[np.triu_indices(len(value.z))]))


def _unflatten(layout: Layout, _format: int, counts: Counts, sums: Sums) -> Comoments:
    p = len(layout.scales)
    if len(sums) != p + p * (p + 1) // 2:
        raise ValueError(f"stored comoments hold {len(sums)} sums, not those of {p} features")
    zz = np.zeros((p, p))
    rows, columns = np.triu_indices(p)
    zz[rows, columns] = zz[columns, rows] = sums[p:]
    return Comoments(int(counts[0]), sums[:p], zz)


COMOMENTS: Part[Comoments] = Part(
    "comoments", 1, lambda layout: bool(layout.scales), _merge, _flatten, _unflatten, segments=False
)
