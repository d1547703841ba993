"""Train-serve parity: served features against the same features computed again, value by value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Kind = Literal["number", "text"]


@dataclass(frozen=True)
class ColumnParity:
    """One column: ``n_compared`` rows, of which ``n_differing`` differ; the first of these in words."""

    column: str
    n_compared: int
    n_differing: int
    example: str = ""


@dataclass(frozen=True)
class Parity:
    """``columns`` in the order given. ``n_differing``: rows that differ in any of them."""

    columns: tuple[ColumnParity, ...]
    n_compared: int
    n_differing: int


def compare(
    ids: NDArray[np.object_], served: Mapping[str, NDArray], again: Mapping[str, NDArray], tolerance: float
) -> Parity:
    """Columns of equal rows, by name; float64 for numbers (NaN: missing), objects for text (None: missing).

    Numbers a and b differ when \\|a − b\\| > tolerance × max(\\|a\\|, \\|b\\|, 1). A missing value equals a missing one
    and differs from all others. Columns that ``again`` lacks are not compared.
    """
    rows = np.zeros(len(ids), bool)
    found = []
    for name, values in served.items():
        if name not in again:
            continue
        differs = _differs(values, again[name], tolerance)
        rows |= differs
        example = ""
        if differs.any():
            first = int(differs.argmax())
            example = f"{ids[first]}: served {_said(values[first])}, recomputed {_said(again[name][first])}"
        found.append(ColumnParity(name, len(ids), int(differs.sum()), example))
    return Parity(tuple(found), len(ids), int(rows.sum()))


def _differs(a: NDArray, b: NDArray, tolerance: float) -> NDArray[np.bool_]:
    if a.dtype == object:
        return np.array([x != y for x, y in zip(a.tolist(), b.tolist(), strict=True)], bool)
    missing = np.isnan(a) | np.isnan(b)
    with np.errstate(invalid="ignore"):
        far = np.abs(a - b) > tolerance * np.maximum(np.maximum(np.abs(a), np.abs(b)), 1.0)
        far = np.where(np.isinf(a) | np.isinf(b), a != b, far)
    return np.where(missing, np.isnan(a) != np.isnan(b), far)


def _said(value: object) -> str:
    missing = value is None or (isinstance(value, float) and np.isnan(value))
    return "nothing" if missing else f"{value:.6g}" if isinstance(value, float) else repr(value)[:60]
