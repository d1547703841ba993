"""Every method over every column, as one measurement."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from monitoring_pipeline.measurements import Measurement, MetricKeys, metric_keys
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
METHODS = (*NUMERICAL, "unseen_share", "vanished_share")
PRIMARY_METHOD = "psi"  # the method that stands for a column where only one is shown
_OF_ROWS = frozenset({"missing_share_change"})  # compared over all rows, not over values

Names = tuple[tuple[str, str], ...]  # name and role of each column


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
    wanted = METHODS if methods is None else _known(tuple(methods))
    arrays, names = _Arrays(), []
    pairs = _pairs(reference_columns, current_columns)
    for kind, of_kind in (("numerical", NUMERICAL), ("categorical", CATEGORICAL)):
        alike = [pair for pair in pairs if pair[0].layout.kind == kind]
        names.append(tuple((r.layout.name, r.layout.role) for r, _ in alike))
        if alike:
            comparison = Comparison([r for r, _ in alike], [c for _, c in alike])
            for method, measure in of_kind.items():
                if method in wanted:
                    arrays.add(measure(comparison), comparison.sizes(whole_rows=method in _OF_ROWS))
    return arrays.measurement(model_version, baseline, segment, _keys(*names, wanted))


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
class _Arrays:
    """What the methods return, one after the other."""

    value: list[Floats] = field(default_factory=list)
    p_value: list[Floats] = field(default_factory=list)
    effect: list[Floats] = field(default_factory=list)
    bound: list[Floats] = field(default_factory=list)
    n_reference: list[Floats] = field(default_factory=list)
    n_current: list[Floats] = field(default_factory=list)

    def add(self, measured: Measured, sizes: tuple[Floats, Floats]) -> None:
        none = np.full(measured.value.size, np.nan)
        self.value.append(measured.value)
        self.p_value.append(none if measured.p_value is None else measured.p_value)
        self.effect.append(none if measured.effect is None else measured.effect)
        self.bound.append(none if measured.bound is None else measured.bound)
        self.n_reference.append(sizes[0])
        self.n_current.append(sizes[1])

    def measurement(self, model_version: str, baseline: str, segment: str, keys: MetricKeys) -> Measurement:
        """With NaN for what is not finite, and beside a value that is not."""
        numbers = np.array([_joined(x) for x in (self.value, self.p_value, self.effect, self.bound)])
        finite = np.isfinite(numbers)
        value, p_value, effect, bound = np.where(finite & finite[0], numbers, np.nan)
        n_reference, n = (_joined(x).astype(np.int64) for x in (self.n_reference, self.n_current))
        return Measurement(
            "drift", model_version, baseline, segment, keys, value, n,
            n_reference=n_reference, p_value=p_value, effect=effect, error_bound=bound,
        )  # fmt: skip


def _joined(parts: Sequence[Floats]) -> Floats:
    return np.concatenate(parts) if parts else np.zeros(0)


def _pairs(
    reference: Sequence[ColumnProfile], current: Sequence[ColumnProfile]
) -> list[tuple[ColumnProfile, ColumnProfile]]:
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
