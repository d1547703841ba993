"""Every performance metric of one window and segment, as one measurement."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from math import nan

import numpy as np

from monitoring_pipeline.measurements import WHOLE_ROWS, Floats, Measurement, metric_keys
from monitoring_pipeline.metrics.performance.calibration import calibration_metrics
from monitoring_pipeline.metrics.performance.confusion import binary_metrics, cells, confusion_of, multiclass_metrics
from monitoring_pipeline.metrics.performance.intervals import Estimate
from monitoring_pipeline.metrics.performance.ranking import ranking_metrics
from monitoring_pipeline.metrics.performance.regression import regression_metrics
from monitoring_pipeline.profiles.outcome import OutcomeProfile
from monitoring_pipeline.profiles.profile import LabelledProfile


def measure_performance(
    labelled: LabelledProfile, reference: LabelledProfile | None, *, positive_threshold: float = 0.5
) -> Measurement:
    """Realized performance with 95 % intervals, and the reference's value of each metric (NaN without a reference).

    ``positive_threshold`` matters for a binary monitor that logs a score and no prediction. A metric that the
    labelled rows do not define (none, or one class only) is NaN. ``n`` is the window's labelled rows, except in
    ``reliability`` and ``mean_score``, where it is the bin's.
    """
    outcome = labelled.outcome
    estimates = measure_outcome(outcome, positive_threshold)
    usual = _REFERENCES.estimates(reference.outcome, positive_threshold) if reference is not None else {}
    names = tuple(estimates)
    value, low, high = _arrays(estimates)
    n = [e.n if metric.startswith(_BINNED) else outcome.n_labelled for metric, e in estimates.items()]
    return Measurement(
        "realized", labelled.model_version, "", labelled.segment,
        metric_keys("realized", (WHOLE_ROWS,) * len(names), ("",) * len(names), names),
        value, np.array(n, np.int64), low=low, high=high,
        reference_value=np.array([_number(usual[m].value) if m in usual else nan for m in names], float),
        n_predictions=outcome.n_predictions, n_labelled=outcome.n_labelled,
    )  # fmt: skip


def measure_outcome(outcome: OutcomeProfile, positive_threshold: float = 0.5) -> dict[str, Estimate]:
    """Every metric of an outcome profile by its name; the task decides which there are."""
    if outcome.layout.task == "regression":
        return regression_metrics(outcome)
    matrix = confusion_of(outcome, positive_threshold)
    classes = outcome.layout.classes
    found = binary_metrics(matrix) if outcome.layout.task == "binary" else multiclass_metrics(matrix, classes)
    if outcome.layout.scored:
        found |= ranking_metrics(outcome)
        found |= calibration_metrics(outcome)
    return found | cells(matrix, classes)


_BINNED = ("reliability[", "mean_score[")


def _arrays(estimates: Mapping[str, Estimate]) -> Floats:
    """(3, K) value, low and high; NaN where undefined."""
    each = estimates.values()
    return np.array([[_number(x) for x in (e.value, e.low, e.high)] for e in each], float).reshape(-1, 3).T.copy()


def _number(value: float | None) -> float:
    return nan if value is None else value


class _References:
    """Metrics of the few references in use: hundreds of windows are compared with the same one."""

    def __init__(self, size: int = 64) -> None:
        self._size = size
        # the profile is kept with its metrics, so that its id cannot be given to another
        self._known: OrderedDict[tuple[int, float], tuple[OutcomeProfile, dict[str, Estimate]]] = OrderedDict()

    def estimates(self, outcome: OutcomeProfile, positive_threshold: float) -> dict[str, Estimate]:
        """``measure_outcome`` of a reference, computed at the first call."""
        key = (id(outcome), positive_threshold)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = (outcome, measure_outcome(outcome, positive_threshold))
            if len(self._known) > self._size:
                self._known.popitem(last=False)
        return found[1]


_REFERENCES = _References()
