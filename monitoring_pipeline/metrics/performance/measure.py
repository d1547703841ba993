"""Every performance figure of one window and segment, as rows with their verdicts."""

from __future__ import annotations

from collections import OrderedDict

from monitoring_pipeline.metric_rows import PerformanceRow
from monitoring_pipeline.metrics.performance.calibration import calibration_figures
from monitoring_pipeline.metrics.performance.confusion import binary_figures, cells, confusion_of, multiclass_figures
from monitoring_pipeline.metrics.performance.intervals import Estimate
from monitoring_pipeline.metrics.performance.judgement import judge
from monitoring_pipeline.metrics.performance.ranking import ranking_figures
from monitoring_pipeline.metrics.performance.regression import regression_figures
from monitoring_pipeline.monitors.declaration import Thresholds
from monitoring_pipeline.profiles.outcome import OutcomeProfile
from monitoring_pipeline.profiles.profile import LabelledProfile


def measure_performance(
    labelled: LabelledProfile,
    reference: LabelledProfile | None,
    *,
    thresholds: Thresholds,
    coverage: float | None,
    mature: bool,
    positive_threshold: float = 0.5,
) -> list[PerformanceRow]:
    """Realized figures with 95 % intervals. ``coverage`` is the labelled share of the window in [0, 1].

    ``positive_threshold`` matters for a binary monitor that logs a score and no prediction. A figure that the
    labelled rows do not define (none, or one class only) is a row whose value is None. A row's ``n_labelled`` is the
    window's, except in ``reliability`` and ``mean_score``, where it is the bin's.
    """
    figures = measure_outcome(labelled.outcome, positive_threshold)
    usual = _REFERENCES.figures(reference.outcome, positive_threshold) if reference is not None else {}
    outcome = labelled.outcome
    rows = []
    for metric, estimate in figures.items():
        threshold, source, degraded = judge(metric, estimate, usual.get(metric), thresholds)
        n_labelled = estimate.n if metric.startswith(_BINNED) else outcome.n_labelled
        rows.append(
            PerformanceRow(
                labelled.segment, metric, "realized", estimate.value, estimate.low, estimate.high,
                threshold, source, degraded, outcome.n_predictions, n_labelled, coverage, mature,
            )
        )  # fmt: skip
    return rows


def measure_outcome(outcome: OutcomeProfile, positive_threshold: float = 0.5) -> dict[str, Estimate]:
    """Every figure of an outcome profile by its name; the task decides which there are."""
    if outcome.layout.task == "regression":
        return regression_figures(outcome)
    matrix = confusion_of(outcome, positive_threshold)
    classes = outcome.layout.classes
    figures = binary_figures(matrix) if outcome.layout.task == "binary" else multiclass_figures(matrix, classes)
    if outcome.layout.scored:
        figures |= ranking_figures(outcome)
        figures |= calibration_figures(outcome)
    return figures | cells(matrix, classes)


_BINNED = ("reliability[", "mean_score[")


class _References:
    """Figures of the few references in use: hundreds of windows are held against the same one."""

    def __init__(self, size: int = 64) -> None:
        self._size = size
        # the profile is kept with its figures, so that its id cannot be given to another
        self._known: OrderedDict[tuple[int, float], tuple[OutcomeProfile, dict[str, Estimate]]] = OrderedDict()

    def figures(self, outcome: OutcomeProfile, positive_threshold: float) -> dict[str, Estimate]:
        key = (id(outcome), positive_threshold)
        if key not in self._known:
            self._known[key] = (outcome, measure_outcome(outcome, positive_threshold))
            if len(self._known) > self._size:
                self._known.popitem(last=False)
        return self._known[key][1]


_REFERENCES = _References()
