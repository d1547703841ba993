"""Which columns have drifted, and whether the window as a whole has."""

from __future__ import annotations

from dataclasses import dataclass
from math import nan

import numpy as np
from numpy.typing import NDArray

from monitoring_pipeline.alerting.thresholds import Planned, of_drift, of_monitor, unzipped
from monitoring_pipeline.alerting.verdict import (
    FLAGGED,
    NOT_FLAGGED,
    NOT_JUDGED,
    Flags,
    ShareVerdict,
    ThresholdSource,
    Verdict,
    flags,
)
from monitoring_pipeline.measurements import Floats, Measurement, MetricKeys
from monitoring_pipeline.metrics.drift import PRIMARY_METHOD
from monitoring_pipeline.monitors.declaration import Thresholds

SHARE = "drifted_columns_share"  # how the share of drifted columns is called beside the methods


@dataclass(frozen=True)
class _DriftPlan:
    threshold: Floats
    source: tuple[ThresholdSource, ...]
    counted: NDArray[np.intp]  # the positions whose verdicts make the share of drifted columns
    has_primary: bool


def judge_drift(measurement: Measurement, thresholds: Thresholds) -> Verdict:
    """Drifted: the effect (the value, for methods without one) reaches the threshold and the p-value, where the method
    has one, is below ``thresholds.drift_alpha``.

    Not judged where a side holds no values. ``share`` is of the features judged by ``PRIMARY_METHOD``; None when it was
    not measured. Raises ValueError for a measurement of another family.
    """
    value, p_value, effect = measurement.value, measurement.p_value, measurement.effect
    if measurement.family != "drift" or p_value is None or effect is None:
        raise ValueError(f"a measurement of the family {measurement.family!r} cannot be judged as drift")
    plan = _PLANS(measurement.keys, thresholds)
    large = np.where(np.isnan(effect), value, effect) >= plan.threshold
    significant = np.isnan(p_value) | (p_value < thresholds.drift_alpha)
    flagged = flags(large & significant, ~np.isnan(value))
    share = _share(measurement, plan, flagged, thresholds) if plan.has_primary else None
    return Verdict(plan.threshold, plan.source, flagged, share)


def _plan(keys: MetricKeys, thresholds: Thresholds) -> _DriftPlan:
    each = [of_drift(m, column, thresholds) for m, column in zip(keys.metrics, keys.columns, strict=True)]
    primary = np.array(keys.metrics, object) == PRIMARY_METHOD
    features = np.array(keys.roles, object) == "feature"
    return _DriftPlan(*unzipped(each), np.flatnonzero(primary & features), bool(primary.any()) or not len(keys))


def _share(measurement: Measurement, plan: _DriftPlan, flagged: Flags, thresholds: Thresholds) -> ShareVerdict:
    threshold, source = of_monitor(thresholds, SHARE)
    verdicts = flagged[plan.counted]
    judged, drifted = int((verdicts != NOT_JUDGED).sum()), int((verdicts == FLAGGED).sum())
    value = drifted / judged if judged else nan
    sizes = (measurement.n_reference, measurement.n)
    n_reference, n = (0 if x is None else int(x[plan.counted].max(initial=0)) for x in sizes)
    verdict = (FLAGGED if value >= threshold else NOT_FLAGGED) if judged else NOT_JUDGED
    return ShareVerdict(value, threshold, source, verdict, n_reference, n)


_PLANS = Planned(_plan)
