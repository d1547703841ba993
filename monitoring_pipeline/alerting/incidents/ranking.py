"""Which incident to look at first: importance x effect x loss of performance."""

from __future__ import annotations

from collections.abc import Mapping
from math import log

from monitoring_pipeline.alerting.incidents.alarm import Alarm, Group
from monitoring_pipeline.metrics.performance.direction import higher_is_better
from monitoring_pipeline.monitors.alarms import Alarms

DROP = 0.1  # relative loss of the headline metric that doubles an incident's rank


def rank_of(group: Group, importance: Mapping[str, float], loss: float | None, alarms: Alarms) -> float:
    """The largest importance x effect of the incident's alarms, times 1 + loss / ``DROP``.

    ``importance`` of columns in [0, 1]; what is not in it, and what is about all rows, counts 1. An effect is measured
    in the least one that may alarm; what has no such floor counts 1. ``loss``: relative loss of the headline metric in
    the incident's windows, realized where labels are known, else estimated; None: neither is known, factor 1.
    """
    largest = max((importance.get(alarm.column, 1.0) * _effect(alarm, alarms) for alarm in group.alarms), default=0.0)
    return float(f"{largest * (1 + (loss or 0.0) / DROP):.6g}")  # sums of metrics differ in their last digits


def relative_loss(metric: str, value: float, reference: float) -> float:
    """How much worse than the reference, as a share of it; 0 where it is not worse.

    >>> relative_loss("roc_auc", 0.72, 0.8), relative_loss("mae", 11.0, 10.0), relative_loss("mae", 9.0, 10.0)
    (0.1, 0.1, 0.0)
    """
    worse = (reference - value) if higher_is_better(metric) else (value - reference)
    return round(max(worse / abs(reference), 0.0), 12) if reference else 0.0


def _effect(alarm: Alarm, alarms: Alarms) -> float:
    floor = _floor(alarm, alarms)
    return abs(alarm.effect) / floor if floor else 1.0


def _floor(alarm: Alarm, alarms: Alarms) -> float | None:
    if alarm.source == "declared" or alarm.kind == "quality":
        return None
    if alarm.kind == "performance":
        contrast = alarm.moved.partition(" of ")[0].removeprefix("macro_")
        declared = getattr(alarms.performance, contrast, None)
        return None if declared is None else float(declared.floor)
    return {
        "drift": alarms.drift.shift,
        "volume": log(alarms.volume.ratio),
        "coverage": alarms.coverage.floor,
        "freshness": log(2.0),
    }.get(alarm.kind)
