"""Every method over every column, as one measurement."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

import numpy as np

from monitoring_pipeline.measurements import Integers, Measurement, MetricKeys, metric_keys
from monitoring_pipeline.metrics.drift import (
    chi_square,
    hellinger,
    jensen_shannon,
    kl_divergence,
    kolmogorov_smirnov,
    missing_share,
    psi,
    total_variation,
    wasserstein,
)
from monitoring_pipeline.metrics.drift.categories import measure_unseen, measure_vanished
from monitoring_pipeline.metrics.drift.comparison import Comparison, Floats, Measured
from monitoring_pipeline.profiles.column import ColumnProfile

Method = Callable[[Comparison], Measured]

_BOTH: dict[str, Method] = {
    "psi": psi.measure,
    "jensen_shannon": jensen_shannon.measure,
    "kl_divergence": kl_divergence.measure,
    "hellinger": hellinger.measure,
    "total_variation": total_variation.measure,
    "chi_square": chi_square.measure,
}
NUMERICAL: dict[str, Method] = {
    **_BOTH,
    "kolmogorov_smirnov": kolmogorov_smirnov.measure,
    "wasserstein": wasserstein.measure,
    "missing_share_change": missing_share.measure,
}
CATEGORICAL: dict[str, Method] = {
    **_BOTH,
    "missing_share_change": missing_share.measure,
    "unseen_share": measure_unseen,
    "vanished_share": measure_vanished,
}
BY_KIND = {"numerical": NUMERICAL, "categorical": CATEGORICAL}
METHODS = (*NUMERICAL, "unseen_share", "vanished_share")
PRIMARY_METHOD = "psi"  # the method that stands for a column where only one is shown
_OF_ROWS = frozenset({"missing_share_change"})  # compared over all rows, not over values

Names = tuple[tuple[str, str], ...]  # name and role of each column
Pair = tuple[ColumnProfile, ColumnProfile]  # reference, current


@dataclass(frozen=True)
class Compared:
    """Two sides to measure drift between, and what the measurement is to be about."""

    model_version: str
    baseline: str
    segment: str
    reference_columns: Sequence[ColumnProfile]
    current_columns: Sequence[ColumnProfile]


def measure_drift(
    reference_columns: Sequence[ColumnProfile],
    current_columns: Sequence[ColumnProfile],
    *,
    model_version: str,
    baseline: str,
    segment: str,
    methods: Collection[str] | None = None,
) -> Measurement:
    """Drift of every column that both sides hold, by ``methods`` (all of ``METHODS`` when None).

    Keys: numerical columns method by method, then the categorical ones. Where a side holds no values, value, p-value,
    effect and bound are NaN. Raises ValueError when the two sides were counted by different bins or a method is
    unknown.
    """
    one = Compared(model_version, baseline, segment, reference_columns, current_columns)
    return measure_drifts([one], methods)[0]


def measure_drifts(compared: Sequence[Compared], methods: Collection[str] | None = None) -> list[Measurement]:
    """``measure_drift`` of each, in order, with the columns of all in one matrix: the segments and baselines of a
    window, or of many windows, cost hardly more than one.
    """
    wanted = METHODS if methods is None else _known(tuple(methods))
    pairs = [_pairs(one.reference_columns, one.current_columns) for one in compared]
    by_kind = [_measure_kind(kind, pairs, wanted) for kind in ("numerical", "categorical")]
    found = []
    for i, one in enumerate(compared):
        keys = _keys(*(blocks.names[i] for blocks in by_kind), wanted)
        numbers = np.concatenate([blocks.numbers_of(i) for blocks in by_kind], axis=1)
        sizes = np.concatenate([blocks.sizes_of(i) for blocks in by_kind], axis=1)
        value, p_value, effect, bound = numbers
        found.append(
            Measurement(
                "drift", one.model_version, one.baseline, one.segment, keys, value, sizes[1],
                n_reference=sizes[0], p_value=p_value, effect=effect, error_bound=bound,
            )
        )  # fmt: skip
    return found


@lru_cache(maxsize=64)
def _known(methods: tuple[str, ...]) -> tuple[str, ...]:
    """The methods asked for, in the order of ``METHODS``."""
    if unknown := set(methods) - set(METHODS):
        raise ValueError(f"unknown drift method {min(unknown)!r}; one of {', '.join(METHODS)}")
    return tuple(m for m in METHODS if m in methods)


@lru_cache(maxsize=256)
def _keys(numerical: Names, categorical: Names, wanted: tuple[str, ...]) -> MetricKeys:
    columns, roles, metrics = [], [], []
    for names, of_kind in ((numerical, NUMERICAL), (categorical, CATEGORICAL)):
        for method in of_kind if names else ():
            if method in wanted:
                columns += [name for name, _ in names]
                roles += [role for _, role in names]
                metrics += [method] * len(names)
    return metric_keys("drift", tuple(columns), tuple(roles), tuple(metrics))


@dataclass(frozen=True)
class _Blocks:
    """What M methods say of the columns of one kind, those of one comparison after the other: C in all.

    ``numbers`` (4, M, C): value, p-value, effect, bound. ``sizes`` (2, M, C): reference and current. The columns of
    comparison i are those from ``starts[i]`` to ``starts[i + 1]``, called ``names[i]``.
    """

    numbers: Floats
    sizes: Integers
    starts: list[int]
    names: Sequence[Names]

    def numbers_of(self, i: int) -> Floats:
        """(4, M * c) of comparison i, method by method."""
        return self.numbers[:, :, self.starts[i] : self.starts[i + 1]].reshape(4, -1)

    def sizes_of(self, i: int) -> Integers:
        """(2, M * c) of comparison i, method by method."""
        return self.sizes[:, :, self.starts[i] : self.starts[i + 1]].reshape(2, -1)


def _measure_kind(kind: str, pairs: Sequence[Sequence[Pair]], wanted: tuple[str, ...]) -> _Blocks:
    """With NaN for what is not finite, and beside a value that is not."""
    alike = [[pair for pair in each if pair[0].layout.kind == kind] for each in pairs]
    starts = [0, *accumulate(map(len, alike))]
    names = [tuple((r.layout.name, r.layout.role) for r, _ in each) for each in alike]
    both = [pair for each in alike for pair in each]
    comparison = Comparison([r for r, _ in both], [c for _, c in both])
    methods = [method for method in BY_KIND[kind] if method in wanted] if both else []
    numbers = np.full((4, len(methods), len(both)), np.nan)
    sizes = np.zeros((2, len(methods), len(both)), np.int64)
    for m, method in enumerate(methods):
        measured = BY_KIND[kind][method](comparison)
        for i, array in enumerate((measured.value, measured.p_value, measured.effect, measured.bound)):
            if array is not None:
                numbers[i, m] = array
        sizes[:, m] = comparison.sizes(whole_rows=method in _OF_ROWS)
    finite = np.isfinite(numbers)
    return _Blocks(np.where(finite & finite[0], numbers, np.nan), sizes, starts, names)


def _pairs(reference: Sequence[ColumnProfile], current: Sequence[ColumnProfile]) -> list[Pair]:
    known = {(r.layout.name, r.layout.role): r for r in reference}
    pairs = []
    for column in current:
        found = known.get((column.layout.name, column.layout.role))
        if found is None:
            continue
        if found.layout is not column.layout and found.layout != column.layout:
            raise ValueError(
                f"profiles of {column.layout.name!r} were counted by different bins and cannot be compared"
            )
        pairs.append((found, column))
    return pairs
