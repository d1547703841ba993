"""Every method over every column, as rows with their verdicts."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from monitoring_pipeline.metric_rows import ROW_COLUMN, DriftRow, ThresholdSource
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
from monitoring_pipeline.monitors.declaration import DRIFT_THRESHOLDS, ColumnThresholds, Thresholds
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
SUMMARY = "drifted_columns_share"
METHODS = (*NUMERICAL, "unseen_share", "vanished_share", SUMMARY)
PRIMARY_METHOD = "psi"  # the method whose verdict makes a column a drifted one
_OF_ROWS = frozenset({"missing_share_change"})  # compared over all rows, not over values


def measure_drift(
    reference: Sequence[ColumnProfile],
    current: Sequence[ColumnProfile],
    *,
    baseline: str,
    segment: str,
    thresholds: Thresholds,
    methods: Collection[str] | None = None,
) -> list[DriftRow]:
    """Drift of every column that both sides hold, by ``methods`` (all of ``METHODS`` when None), then the share of
    drifted columns.

    A row is ``drifted`` when its effect (the value, for methods without one) reaches the threshold and its p-value,
    if the method has one, is below ``thresholds.drift_alpha``; None when a side holds no values. A column is drifted
    by ``PRIMARY_METHOD``; the row of column ``*`` counts features only. Raises ValueError when the two sides were
    counted by different bins or a method is unknown.
    """
    wanted = set(METHODS if methods is None else methods)
    if unknown := wanted - set(METHODS):
        raise ValueError(f"unknown drift method {min(unknown)!r}; one of {', '.join(METHODS)}")
    pairs = _pairs(reference, current)
    asked = wanted | {PRIMARY_METHOD} if SUMMARY in wanted else wanted
    rows: list[DriftRow] = []
    for kind, known in (("numerical", NUMERICAL), ("categorical", CATEGORICAL)):
        of_kind = [pair for pair in pairs if pair[0].layout.kind == kind]
        if of_kind:
            comparison = Comparison([r for r, _ in of_kind], [c for _, c in of_kind])
            for method, measure in known.items():
                if method in asked:
                    rows += _rows(method, measure(comparison), comparison, baseline, segment, thresholds)
    kept = [row for row in rows if row.method in wanted]
    return [*kept, _summary(rows, baseline, segment, thresholds)] if SUMMARY in wanted else kept


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


def _rows(
    method: str, measured: Measured, pair: Comparison, baseline: str, segment: str, thresholds: Thresholds
) -> list[DriftRow]:
    none: list[float | None] = [None] * len(pair.reference)
    figures = zip(
        pair.reference,
        _finite(measured.value),
        none if measured.p_value is None else _finite(measured.p_value),
        none if measured.effect is None else _finite(measured.effect),
        none if measured.bound is None else _finite(measured.bound),
        *pair.sizes(whole_rows=method in _OF_ROWS),
        strict=True,
    )
    usual = _threshold(method, None, thresholds)
    alpha, declared = thresholds.drift_alpha, thresholds.columns
    rows = []
    for r, value, p_value, effect, bound, n_reference, n_current in figures:
        layout = r.layout
        threshold, source = _threshold(method, declared[layout.name], thresholds) if layout.name in declared else usual
        drifted: bool | None = None
        if value is None:
            p_value = effect = bound = None
        else:
            drifted = (value if effect is None else effect) >= threshold and (p_value is None or p_value < alpha)
        rows.append(
            DriftRow(
                baseline, segment, layout.name, layout.role, method, value, threshold, source,
                p_value, effect, bound, drifted, n_reference, n_current,
            )
        )  # fmt: skip
    return rows


def _threshold(method: str, own: ColumnThresholds | None, thresholds: Thresholds) -> tuple[float, ThresholdSource]:
    """Declared for the column, else declared for the monitor, else the default."""
    if method in ("unseen_share", "vanished_share"):
        if own is not None and own.unseen_share is not None:
            return own.unseen_share, "declared"
        return thresholds.unseen_share, "declared" if "unseen_share" in thresholds.model_fields_set else "default"
    if own is not None and method in own.drift:
        return own.drift[method], "declared"
    if method in thresholds.drift:
        return thresholds.drift[method], "declared"
    return DRIFT_THRESHOLDS[method], "default"


def _summary(rows: Sequence[DriftRow], baseline: str, segment: str, thresholds: Thresholds) -> DriftRow:
    judged = [r for r in rows if r.method == PRIMARY_METHOD and r.role == "feature"]
    verdicts = [r.drifted for r in judged if r.drifted is not None]
    value = sum(verdicts) / len(verdicts) if verdicts else None
    threshold = thresholds.drifted_columns_share
    declared = "drifted_columns_share" in thresholds.model_fields_set
    return DriftRow(
        baseline, segment, ROW_COLUMN, "feature", SUMMARY, value, threshold, "declared" if declared else "default",
        None, None, None, None if value is None else value >= threshold,
        max((r.n_reference for r in judged), default=0), max((r.n_current for r in judged), default=0),
    )  # fmt: skip


def _finite(values: Floats) -> list[float | None]:
    return [v if -_MOST < v < _MOST else None for v in values.tolist()]


_MOST = float("inf")
