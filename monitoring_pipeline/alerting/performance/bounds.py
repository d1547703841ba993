"""Which performance metrics are degraded: by a declared bound, else as the calibrated verdict on the model says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import cast

import numpy as np
from numpy.typing import NDArray

from monitoring_pipeline.alerting.thresholds import Planned, of_monitor
from monitoring_pipeline.alerting.verdict import FLAGGED, NOT_FLAGGED, NOT_JUDGED, ThresholdSource, Verdict, flags
from monitoring_pipeline.measurements import Floats, Measurement, MetricKeys
from monitoring_pipeline.metrics.performance.direction import higher_is_better
from monitoring_pipeline.monitors.declaration import Bound, Thresholds

# The metrics that show what a calibrated verdict is about, by the contrast that was judged.
SHOWN_BY = {
    "auc": ("roc_auc",), "level": ("roc_auc",), "slope": ("roc_auc",), "macro_auc": ("f1_macro", "roc_auc_macro"),
    "bias": ("mae",), "scale": ("mae",), "error": ("accuracy",),
}  # fmt: skip


@dataclass(frozen=True)
class Judged:
    """The calibrated verdict on a subject: ``status`` and ``source`` as in ``alerting.status``, ``contrast`` judged.
    ``mature``: whether its labels are complete enough; None: not known."""

    status: str
    contrast: str
    source: str
    mature: bool | None = None


Subjects = Mapping[str, Judged]


@dataclass(frozen=True)
class _PerformancePlan:
    """``pinned``: whether a bound or a drop is declared. ``least`` and ``most``: declared bounds, NaN where there is
    none. ``direction``: 1 where higher is better, -1 where lower is, 0 where neither or a bound is declared.
    """

    pinned: NDArray[np.bool_]
    least: Floats
    most: Floats
    direction: Floats
    source: tuple[ThresholdSource, ...]


def judge_performance(
    measurement: Measurement, thresholds: Thresholds, *, mature: bool, subjects: Subjects = MappingProxyType({})
) -> Verdict:
    """Degraded by a declared threshold: the whole interval lies beyond it, so that no value of few rows is called
    degraded for chance alone.

    A declared bound is taken as it is, the nearer end of it is shown; with a declared ``performance_drop``, the others
    are held against the reference's value worsened by that share. Without either, the metrics of ``SHOWN_BY`` repeat
    the calibrated verdict on their subject, by its name in ``subjects``, and have no threshold; others are not judged.
    Not judged either: undefined, without an interval, or nothing to compare with. ``mature`` is kept with the verdict
    and does not change it. Raises ValueError for a measurement without intervals.
    """
    value, low, high, reference = (
        measurement.value, measurement.low, measurement.high, measurement.reference_value,
    )  # fmt: skip
    if low is None or high is None or reference is None:
        raise ValueError(f"a measurement of the family {measurement.family!r} cannot be judged as performance")
    plan = _PLANS(measurement.keys, thresholds)
    usual = reference - plan.direction * thresholds.performance_drop * np.abs(reference)
    least = np.where(plan.direction > 0, usual, plan.least)
    most = np.where(plan.direction < 0, usual, plan.most)
    bounded = ~(np.isnan(least) & np.isnan(most))
    judged = bounded & ~(np.isnan(value) | np.isnan(low) | np.isnan(high))
    by_bound = flags((high < least) | (low > most), judged)
    shown = _repeated(measurement.keys, subjects)
    flagged = np.where(plan.pinned, by_bound, np.array([flag for flag, _ in shown], np.int8))
    flagged[np.isnan(value)] = NOT_JUDGED
    threshold = np.where(plan.pinned, _shown(value, least, most), np.nan)
    sources = tuple(
        source if pinned else other
        for source, pinned, (_, other) in zip(plan.source, plan.pinned.tolist(), shown, strict=True)
    )
    return Verdict(threshold, sources, flagged, mature=mature)


def _repeated(keys: MetricKeys, subjects: Subjects) -> list[tuple[int, ThresholdSource]]:
    """(flag, source) of each metric by the subject it shows."""
    by_metric: dict[str, tuple[int, ThresholdSource]] = {}
    for name, judged in subjects.items():
        flag = NOT_JUDGED if judged.status == "abstained" else FLAGGED if judged.status == "alarm" else NOT_FLAGGED
        for metric in SHOWN_BY.get(judged.contrast, ()):
            by_metric[metric if name in ("", "macro") else f"{metric}[{name}]"] = (flag, _source(judged))
    return [by_metric.get(metric, (NOT_JUDGED, "none")) for metric in keys.metrics]


def _source(judged: Judged) -> ThresholdSource:
    return "none" if judged.status == "abstained" else cast("ThresholdSource", judged.source)


def _shown(value: Floats, least: Floats, most: Floats) -> Floats:
    """The nearer end of each bound, the lower one when both are as near or there is no value."""
    upper = np.isnan(least) | (np.abs(most - value) < np.abs(least - value))
    return np.where(upper, most, least)


def _plan(keys: MetricKeys, thresholds: Thresholds) -> _PerformancePlan:
    none = Bound()
    bounds = [thresholds.performance.get(metric, none) for metric in keys.metrics]
    declared = [bound.min is not None or bound.max is not None for bound in bounds]
    ways = [0 if bound else _direction(m) for m, bound in zip(keys.metrics, declared, strict=True)]
    _, usual = of_monitor(thresholds, "performance_drop")
    return _PerformancePlan(
        np.array(declared, bool) | (usual == "declared"),
        np.array([b.min for b in bounds], float),
        np.array([b.max for b in bounds], float),
        np.array(ways, float),
        tuple("declared" if bound else usual for bound in declared),
    )


def _direction(metric: str) -> int:
    better = higher_is_better(metric)
    return 0 if better is None else 1 if better else -1


_PLANS = Planned(_plan)
