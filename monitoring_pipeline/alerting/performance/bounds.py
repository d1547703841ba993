"""Which performance metrics are degraded."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from monitoring_pipeline.alerting.thresholds import Planned, of_monitor
from monitoring_pipeline.alerting.verdict import ThresholdSource, Verdict, flags
from monitoring_pipeline.measurements import Floats, Measurement, MetricKeys
from monitoring_pipeline.metrics.performance.direction import higher_is_better
from monitoring_pipeline.monitors.declaration import Bound, Thresholds


@dataclass(frozen=True)
class _PerformancePlan:
    """``least`` and ``most``: declared bounds, NaN where there is none. ``direction``: 1 where higher is better, -1
    where lower is, 0 where neither or a bound is declared.
    """

    least: Floats
    most: Floats
    direction: Floats
    source: tuple[ThresholdSource, ...]


def judge_performance(measurement: Measurement, thresholds: Thresholds, *, mature: bool) -> Verdict:
    """Degraded: the whole interval lies beyond the threshold, so that no value of few rows is called degraded for
    chance alone.

    A declared bound is taken as it is, the nearer end of it is shown; without one, the reference's value worsened by
    the share ``performance_drop``. Not judged: undefined, without an interval, or nothing to compare with. ``mature``
    is kept with the verdict and does not change it. Raises ValueError for a measurement without intervals.
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
    flagged = flags((high < least) | (low > most), judged)
    return Verdict(_shown(value, least, most), plan.source, flagged, mature=mature)


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
        np.array([b.min for b in bounds], float),
        np.array([b.max for b in bounds], float),
        np.array(ways, float),
        tuple("declared" if bound else usual for bound in declared),
    )


def _direction(metric: str) -> int:
    better = higher_is_better(metric)
    return 0 if better is None else 1 if better else -1


_PLANS = Planned(_plan)
