"""Which quality metrics of a window are violations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr, bdtrc, pdtr, pdtrc

from monitoring_pipeline.alerting.thresholds import NO_COLUMN, NONE, Planned, Sourced, of_monitor, unzipped
from monitoring_pipeline.alerting.verdict import NOT_JUDGED, ThresholdSource, Verdict, flags
from monitoring_pipeline.measurements import Floats, Measurement, MetricKeys
from monitoring_pipeline.monitors.declaration import Thresholds

USUAL_VALUE = 0.5  # a value that most of the reference has may well fill a window: a day without rain
OF_MONITOR = ("duplicate_share", "quarantined_share", "type_violation_share", "label_coverage")
NEVER_ALLOWED = ("constant", "column_missing", "retyped", "column_extra")  # violated as soon as they are above 0
RISING = ("missing_share", "nan_share", "inf_share")  # judged by their rise above the reference's
STRANGE = ("out_of_range_share", "unseen_share")  # the reference's own share is allowed on top
PINNABLE = ("missing_share", *STRANGE)
BY_CHANCE = 0.001  # a default threshold is exceeded by more than chance: in fewer windows than this it would be
USUAL_SHARE = 0.001  # of values beyond a reference's range or categories: it shows neither, however usual they are


@dataclass(frozen=True)
class _QualityPlan:
    """Positions of what is judged specially; ``threshold`` is what holds without a reference, ``rise`` on top of it."""

    threshold: Floats
    source: tuple[ThresholdSource, ...]
    rising: NDArray[np.intp]
    strange: NDArray[np.intp]
    sampled: NDArray[np.intp]
    constant: NDArray[np.intp]
    coverage: NDArray[np.intp]
    volume: NDArray[np.intp]
    rise: float
    rise_source: ThresholdSource


def judge_quality(measurement: Measurement, thresholds: Thresholds, *, mature: bool) -> Verdict:
    """Violated: the value is above its threshold.

    Missing, NaN and infinite: above the reference's share plus ``missing_share_change``; out of range and unseen: above
    the reference's own share plus the monitor's; a threshold pinned for the column replaces either. Constant: unless
    most of the reference has that value. Volume: outside ``volume_ratio``, whose end on the side of the ratio is shown.
    Label coverage: below its threshold once the window is ``mature``. A column that appears (``column_extra``), is
    missing or changes its type is a violation. Metrics without a threshold are not judged.

    A declared threshold is obeyed as it stands: one missing value of five rows is 20 %. A default one is exceeded only
    where chance does not explain it: the rows, drawn at the reference's share (at the threshold, for label coverage;
    around the usual number, for volume), would be as far off in fewer than ``BY_CHANCE`` of windows. Raises ValueError
    for a measurement of another family.
    """
    value, reference = measurement.value, measurement.reference_value
    if measurement.family != "quality" or reference is None:
        raise ValueError(f"a measurement of the family {measurement.family!r} cannot be judged as quality")
    plan = _PLANS(measurement.keys, thresholds)
    threshold = _with_reference(plan, reference)
    threshold[plan.volume] = np.where(value[plan.volume] >= 1, thresholds.volume_ratio[1], thresholds.volume_ratio[0])
    violated = value > threshold
    violated[plan.constant] &= ~(reference[plan.constant] > USUAL_VALUE)
    violated[plan.coverage] = value[plan.coverage] < threshold[plan.coverage]
    low, high = thresholds.volume_ratio
    violated[plan.volume] = (value[plan.volume] < low) | (value[plan.volume] > high)
    sources = _sources(plan, reference)
    violated &= (np.array(sources, object) != "default") | ~_explained(plan, measurement, reference, threshold)
    flagged = flags(violated, ~(np.isnan(value) | np.isnan(threshold)))
    if not mature:
        flagged[plan.coverage] = NOT_JUDGED
    return Verdict(threshold, sources, flagged)


def _explained(plan: _QualityPlan, measurement: Measurement, reference: Floats, threshold: Floats) -> NDArray[np.bool_]:
    """(K,) whether chance explains a value beyond its threshold; not said of metrics that are facts, not samples.

    Shares by the binomial tail from the reference's share, label coverage by that from its threshold, and rows by the
    Poisson tails around the usual number, unless there is no row at all.
    """
    explained = np.zeros(len(measurement.keys), bool)
    value, n = np.nan_to_num(measurement.value), measurement.n
    usual = np.nan_to_num(reference)
    usual[plan.strange] = np.maximum(usual[plan.strange], USUAL_SHARE)
    at = plan.sampled
    count = np.round(value[at] * n[at])
    explained[at] = np.where(count > 0, bdtrc(count - 1, n[at], np.minimum(usual[at], 1.0)), 1.0) >= BY_CHANCE
    at = plan.coverage
    explained[at] = bdtr(np.round(value[at] * n[at]), n[at], threshold[at]) >= BY_CHANCE
    at = plan.volume
    rows = n[at]
    usual_rows = rows / np.where(value[at] > 0, value[at], np.nan)
    explained[at] = np.minimum(pdtr(rows, usual_rows), pdtrc(rows - 1, usual_rows)) >= BY_CHANCE
    return explained


def _with_reference(plan: _QualityPlan, reference: Floats) -> Floats:
    """(K,) thresholds, a new array; NaN for the rise of a share that the reference does not have."""
    threshold = plan.threshold.copy()
    threshold[plan.rising] = np.minimum(reference[plan.rising] + plan.rise, 1.0)
    own = np.nan_to_num(reference[plan.strange])  # values beyond the range or categories that the reference kept
    threshold[plan.strange] = np.minimum(threshold[plan.strange] + own, 1.0)
    return threshold


def _sources(plan: _QualityPlan, reference: Floats) -> tuple[ThresholdSource, ...]:
    """The plan's, with a declared rise only where there is a reference to rise from."""
    if plan.rise_source == "default" or not plan.rising.size:
        return plan.source
    sources = list(plan.source)
    for at in plan.rising[~np.isnan(reference[plan.rising])].tolist():
        sources[at] = plan.rise_source
    return tuple(sources)


def _plan(keys: MetricKeys, thresholds: Thresholds) -> _QualityPlan:
    pairs = list(zip(keys.metrics, keys.columns, strict=True))
    pinned = [_pinned(metric, column, thresholds) for metric, column in pairs]
    each = [
        _of_monitor(metric, thresholds) if pin is None else (pin, "declared")
        for (metric, _), pin in zip(pairs, pinned, strict=True)
    ]

    def unpinned(*metrics: str) -> NDArray[np.intp]:
        found = [i for i, (metric, _) in enumerate(pairs) if metric in metrics and pinned[i] is None]
        return np.array(found, np.intp)

    return _QualityPlan(
        *unzipped(each), unpinned(*RISING), unpinned(*STRANGE), unpinned(*RISING, *STRANGE), unpinned("constant"),
        unpinned("label_coverage"), unpinned("volume_ratio"),
        *of_monitor(thresholds, "missing_share_change"),
    )  # fmt: skip


def _pinned(metric: str, column: str, thresholds: Thresholds) -> float | None:
    return getattr(thresholds.columns.get(column, NO_COLUMN), metric) if metric in PINNABLE else None


def _of_monitor(metric: str, thresholds: Thresholds) -> Sourced:
    if metric in OF_MONITOR or metric in STRANGE:
        return of_monitor(thresholds, metric)
    if metric in NEVER_ALLOWED:
        return 0.0, "default"
    if metric == "volume_ratio":
        return thresholds.volume_ratio[0], of_monitor(thresholds, metric)[1]
    return NONE


_PLANS = Planned(_plan)
