"""Verdicts on measurements of drift: a pinned threshold is obeyed, else the verdict on the column is repeated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import nan
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from monitoring_pipeline.alerting.drift.judgement import ABSTAINED, ALARM
from monitoring_pipeline.alerting.thresholds import SHARES_OF_CATEGORIES, Planned, of_drift, of_monitor, unzipped
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
class ColumnStatus:
    """The calibrated verdict on a column: ``status`` as in ``judgement``, ``source`` of what it rests on."""

    status: int
    source: ThresholdSource


Columns = Mapping[str, ColumnStatus]
UNKNOWN = ColumnStatus(ABSTAINED, "none")


@dataclass(frozen=True)
class _DriftPlan:
    threshold: Floats  # NaN where none is pinned
    pinned: NDArray[np.bool_]
    tests: NDArray[np.intp]  # (2, K) of Wasserstein's positions those of its column's tests; elsewhere its own
    counted: NDArray[np.intp]  # the positions whose verdicts make the share of drifted columns
    has_primary: bool


def judge_drift(measurement: Measurement, thresholds: Thresholds, columns: Columns = MappingProxyType({})) -> Verdict:
    """Drifted by a pinned threshold: the effect (the value, for methods without one) reaches it and the p-value is
    below ``thresholds.drift_alpha``. Where none is pinned: as ``columns`` says, by name.

    Wasserstein's distance has no p-value and is large for any few rows: it is significant where Kolmogorov-Smirnov's
    or PSI's p of the column is, as far as they were measured.

    Not judged where a side holds no values, or the column is not. ``share`` is of the features judged by
    ``PRIMARY_METHOD``; None when it was not measured. Raises ValueError for a measurement of another family.
    """
    value, p_value, effect = measurement.value, measurement.p_value, measurement.effect
    if measurement.family != "drift" or p_value is None or effect is None:
        raise ValueError(f"a measurement of the family {measurement.family!r} cannot be judged as drift")
    plan = _PLANS(measurement.keys, thresholds)
    large = np.where(np.isnan(effect), value, effect) >= plan.threshold
    shown = np.fmin(*p_value[plan.tests])
    significant = np.isnan(shown) | (shown < thresholds.drift_alpha)
    by_threshold = flags(large & significant, ~np.isnan(value))
    found = [columns.get(column, UNKNOWN) for column in measurement.keys.columns]
    by_column = np.array([_flag(one.status) for one in found], np.int8)
    by_column[np.isnan(value)] = NOT_JUDGED
    flagged = np.where(plan.pinned, by_threshold, by_column)
    told = zip(plan.pinned.tolist(), found, strict=True)
    sources = tuple("declared" if pinned else one.source for pinned, one in told)
    share = _share(measurement, plan, flagged, thresholds) if plan.has_primary else None
    return Verdict(plan.threshold, sources, flagged, share)


def pinned_status(measurement: Measurement, verdict: Verdict) -> dict[str, int]:
    """By column with a pinned threshold: the status that it decides, in the words of ``judgement``.

    A pinned share of unseen categories decides nothing here: it is a threshold of data quality, and whether the other
    categories drifted is still to be answered.
    """
    found: dict[str, int] = {}
    keys = measurement.keys
    told = zip(keys.metrics, keys.columns, verdict.source, verdict.flagged.tolist(), strict=True)
    for method, column, source, flag in told:
        if source == "declared" and method not in SHARES_OF_CATEGORIES:
            status = ALARM if flag == FLAGGED else ABSTAINED if flag == NOT_JUDGED else 0
            found[column] = max(found.get(column, ABSTAINED), status)
    return found


def _flag(status: int) -> int:
    return NOT_JUDGED if status == ABSTAINED else FLAGGED if status == ALARM else NOT_FLAGGED


def _plan(keys: MetricKeys, thresholds: Thresholds) -> _DriftPlan:
    named = zip(keys.metrics, keys.columns, strict=True)
    values, sources = unzipped([of_drift(metric, column, thresholds) for metric, column in named])
    pinned = np.array([source == "declared" for source in sources], bool)
    primary = np.array(keys.metrics, object) == PRIMARY_METHOD
    features = np.array(keys.roles, object) == "feature"
    threshold = np.where(pinned, values, nan)
    threshold.flags.writeable = False
    counted = np.flatnonzero(primary & features)
    return _DriftPlan(threshold, pinned, _tests(keys), counted, bool(primary.any()) or not len(keys))


def _tests(keys: MetricKeys) -> NDArray[np.intp]:
    named = {key: i for i, key in enumerate(zip(keys.metrics, keys.columns, keys.roles, strict=True))}
    found = np.tile(np.arange(len(keys)), (2, 1))
    for (method, column, role), at in named.items():
        if method == "wasserstein":
            found[:, at] = [named.get((test, column, role), at) for test in ("kolmogorov_smirnov", "psi")]
    return found


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
