"""Measurements as plain values: what ``metrics`` makes, ``warehouse`` keeps and ``alerting`` judges.

Nothing in a measurement depends on a threshold. Times are UTC, shares lie in [0, 1].
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Family = Literal["drift", "quality", "realized", "estimated", "shadow", "column", "fairness"]
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

WHOLE_ROWS = "*"  # the column name of a metric that is about whole rows
TOLERANCE = 1e-12  # relative; two runs may add the same numbers in another order


@dataclass(frozen=True)
class MetricKeys:
    """What each of the K positions of a measurement's arrays is about. Make them with ``metric_keys``.

    ``columns``: the column, ``*`` for whole rows; ``roles``: feature, prediction, score or target, empty where the
    family has none; ``metrics``: psi, missing_share, roc_auc, recall[class=2] …
    """

    family: Family
    columns: tuple[str, ...]
    roles: tuple[str, ...]
    metrics: tuple[str, ...]

    @cached_property
    def digest(self) -> str:
        """First 16 hex digits of the SHA-256 of the content: equal keys, equal digest."""
        content = json.dumps([self.family, self.columns, self.roles, self.metrics], ensure_ascii=True)
        return hashlib.sha256(content.encode()).hexdigest()[:16]

    def __len__(self) -> int:
        return len(self.metrics)

    def __hash__(self) -> int:
        return hash(
            self.digest
        )  # computed once; hashing hundreds of names at each look-up would cost more than judging


@lru_cache(maxsize=1024)
def metric_keys(
    family: Family, columns: tuple[str, ...], roles: tuple[str, ...], metrics: tuple[str, ...]
) -> MetricKeys:
    """The keys with this content; equal content gives the same object while it is cached. Three tuples of K names.

    Raises ValueError when their lengths differ.
    """
    if not len(columns) == len(roles) == len(metrics):
        raise ValueError(f"{len(columns)} columns, {len(roles)} roles and {len(metrics)} metrics do not make keys")
    return MetricKeys(family, columns, roles, metrics)


@dataclass(frozen=True, eq=False)
class Measurement:
    """Everything of one family about one (model version, baseline, segment) of a window; arrays of shape (K,).

    ``value`` is NaN where undefined, never infinite. ``n``: the rows or values behind it (drift: of the current
    window; performance: labelled rows). ``baseline`` is empty where the family has none.

    Drift: ``n_reference``; ``p_value``; ``effect``, what a threshold is compared with where that is not ``value``
    (chi-square: Cramér's V); ``error_bound``, the value without bins lies within it of ``value``. NaN where a method
    has none.
    Performance: ``low`` and ``high``, the interval at 95 %; ``n_predictions`` and ``n_labelled`` rows.
    Fairness: ``baseline`` is the segment of the reference group, ``n_reference`` its rows, ``segment`` a group's, or
    ``*`` for the largest difference of any two groups.
    ``reference_value``: what the reference has for the same metric, where a verdict can use it, else NaN.
    ``detail`` names what was found: new columns, the type met, reasons.
    """

    family: Family
    model_version: str
    baseline: str
    segment: str
    keys: MetricKeys
    value: Floats
    n: Integers
    n_reference: Integers | None = None
    p_value: Floats | None = None
    effect: Floats | None = None
    error_bound: Floats | None = None
    low: Floats | None = None
    high: Floats | None = None
    reference_value: Floats | None = None
    detail: tuple[str | None, ...] | None = None
    n_predictions: int | None = None
    n_labelled: int | None = None


_IDENTITY = ("family", "model_version", "baseline", "segment", "keys", "detail", "n_predictions", "n_labelled")
_COUNTS = ("n", "n_reference")
_NUMBERS = ("value", "p_value", "effect", "error_bound", "low", "high", "reference_value")


def same_values(a: Measurement, b: Measurement) -> bool:
    """Whether two measurements of the same thing say the same: counts and details equal, numbers up to 1e-12 relative.

    NaN equals NaN; an array that only one of them has makes a difference.
    """
    if any(getattr(a, name) != getattr(b, name) for name in _IDENTITY):
        return False
    counts = ((getattr(a, name), getattr(b, name)) for name in _COUNTS)
    if not all(x is y if x is None or y is None else np.array_equal(x, y) for x, y in counts):
        return False
    numbers = ((getattr(a, name), getattr(b, name)) for name in _NUMBERS)
    return all(x is y if x is None or y is None else _close(x, y) for x, y in numbers)


def _close(a: Floats, b: Floats) -> bool:
    if a.shape != b.shape:
        return False
    with np.errstate(invalid="ignore"):
        near = np.abs(a - b) <= TOLERANCE * np.maximum(np.abs(a), np.abs(b))
    return bool(np.all(near | (a == b) | (np.isnan(a) & np.isnan(b))))
