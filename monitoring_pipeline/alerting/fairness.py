"""Fairness: differences between groups against pinned thresholds; nothing is judged that nobody pinned."""

from __future__ import annotations

import numpy as np

from monitoring_pipeline.alerting.thresholds import NONE, Planned, Sourced, unzipped
from monitoring_pipeline.alerting.verdict import Verdict, flags
from monitoring_pipeline.measurements import Measurement, MetricKeys
from monitoring_pipeline.metrics.fairness import label_free
from monitoring_pipeline.monitors.declaration import Thresholds
from monitoring_pipeline.monitors.protected import Protected

RATIO = "demographic_parity_ratio"


def judge_fairness(
    m: Measurement, thresholds: Thresholds, protected: tuple[Protected, ...], *, mature: bool
) -> Verdict:
    """Violated: the whole interval of a difference lies beyond ±threshold, or that of the ratio below the threshold or
    above its inverse.

    What rests on outcomes is judged once the window is ``mature``, and a group with at least ``min_rows`` rows on both
    sides. Raises ValueError for a measurement of another family.
    """
    if m.family != "fairness" or m.low is None or m.high is None or m.n_reference is None:
        raise ValueError(f"a measurement of the family {m.family!r} cannot be judged as fairness")
    threshold, source = _PLANS(m.keys, thresholds)
    is_ratio = np.array([metric.startswith(RATIO) for metric in m.keys.metrics])
    inverse = np.divide(1.0, threshold, out=np.full(len(threshold), np.inf), where=threshold > 0)
    with np.errstate(invalid="ignore"):
        beyond = np.where(
            is_ratio, (m.high < threshold) | (m.low > inverse), (m.low > threshold) | (m.high < -threshold)
        )
    least = {one.column: one.min_rows for one in protected}
    needed = np.array([least.get(column, 0) for column in m.keys.columns])
    enough = (m.n >= needed) & (m.n_reference >= needed)
    known = np.array([mature or label_free(metric) for metric in m.keys.metrics])
    defined = ~(np.isnan(m.low) | np.isnan(m.high) | np.isnan(threshold))
    return Verdict(threshold, source, flags(beyond, enough & known & defined), mature=mature)


def _plan(keys: MetricKeys, thresholds: Thresholds) -> tuple:
    pinned = thresholds.fairness
    names = (metric.partition("[")[0] for metric in keys.metrics)
    each: list[Sourced] = [(pinned[name], "declared") if name in pinned else NONE for name in names]
    return unzipped(each)


_PLANS: Planned[tuple] = Planned(_plan)
