"""Where thresholds come from, and a cache of what they mean for a measurement's keys."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import numpy as np

from monitoring_pipeline.alerting.verdict import ThresholdSource
from monitoring_pipeline.measurements import Floats, MetricKeys
from monitoring_pipeline.monitors.declaration import DRIFT_THRESHOLDS, ColumnThresholds, Thresholds

Plan = TypeVar("Plan")
Sourced = tuple[float, ThresholdSource]
NO_COLUMN = ColumnThresholds()
NONE: Sourced = (float("nan"), "default")
SHARES_OF_CATEGORIES = ("unseen_share", "vanished_share")


def of_monitor(thresholds: Thresholds, name: str) -> Sourced:
    """A threshold of the monitor and whether its declaration gives it."""
    return getattr(thresholds, name), "declared" if name in thresholds.model_fields_set else "default"


def of_drift(method: str, column: str, thresholds: Thresholds) -> Sourced:
    """A drift method's threshold: declared for the column, else declared for the monitor, else the default."""
    own = thresholds.columns.get(column, NO_COLUMN)
    if method in SHARES_OF_CATEGORIES:
        return of_monitor(thresholds, "unseen_share") if own.unseen_share is None else (own.unseen_share, "declared")
    if method in own.drift:
        return own.drift[method], "declared"
    if method in thresholds.drift:
        return thresholds.drift[method], "declared"
    return DRIFT_THRESHOLDS[method], "default"


def unzipped(each: Sequence[Sourced]) -> tuple[Floats, tuple[ThresholdSource, ...]]:
    """(K,) thresholds that cannot be written to, for they are shared, and their K sources."""
    values = np.array([threshold for threshold, _ in each], float)
    values.flags.writeable = False
    return values, tuple(source for _, source in each)


class Planned(Generic[Plan]):
    """Plans by (keys, thresholds): hundreds of windows have the same keys and are judged by the same declaration.

    ``Thresholds`` hold dictionaries and have no hash: they are told apart as objects, kept so that no other gets
    their id.
    """

    def __init__(self, make: Callable[[MetricKeys, Thresholds], Plan], size: int = 512) -> None:
        self._make, self._size = make, size
        self._known: OrderedDict[tuple[MetricKeys, int], tuple[Thresholds, Plan]] = OrderedDict()

    def __call__(self, keys: MetricKeys, thresholds: Thresholds) -> Plan:
        """The plan, made at the first call."""
        found = self._known.get((keys, id(thresholds)))
        if found is None:
            found = self._known[keys, id(thresholds)] = (thresholds, self._make(keys, thresholds))
            if len(self._known) > self._size:
                self._known.popitem(last=False)
        return found[1]
