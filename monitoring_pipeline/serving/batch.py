"""Batches: whether what a model is given is one row or many."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from monitoring_pipeline.prediction_log.values import is_null

_SCALARS = (int, float, complex, str, bytes, date, timedelta, Decimal, Enum, UUID)


def is_batch(rows: Any) -> bool:
    """Whether these are many rows: a list of rows, a matrix, a frame, a structured array."""
    if isinstance(rows, list | tuple):
        if not rows:
            return True
        first = rows[0]
        return not (hasattr(rows, "_fields") or isinstance(first, _SCALARS) or is_null(first) or _is_scalar(first))
    n_dimensions = getattr(rows, "ndim", 1)
    if n_dimensions == 1 and getattr(getattr(rows, "dtype", None), "names", None):
        return True  # a structured array
    return hasattr(rows, "column_names") or hasattr(rows, "columns") or n_dimensions == 2


def _is_scalar(value: Any) -> bool:
    """A number or text of NumPy's; a row of a structured array is none."""
    dtype = getattr(value, "dtype", None)
    return dtype is not None and getattr(value, "ndim", None) == 0 and not getattr(dtype, "names", None)
