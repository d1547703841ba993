"""Who can be estimated, and by what: the estimator that a reference allows, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from monitoring_pipeline.metrics.estimation.classification import expected_metrics, score_model
from monitoring_pipeline.metrics.estimation.errors import expected_errors
from monitoring_pipeline.metrics.performance.calibration import proper_scores
from monitoring_pipeline.metrics.performance.confusion import binary_metrics, cells, confusion_of, multiclass_metrics
from monitoring_pipeline.metrics.performance.intervals import Estimate
from monitoring_pipeline.metrics.performance.ranking import ranking_metrics
from monitoring_pipeline.metrics.performance.regression import regression_metrics
from monitoring_pipeline.profiles.outcome import OutcomeProfile
from monitoring_pipeline.profiles.profile import LabelledProfile, Profile

Estimates = dict[str, Estimate]
Estimator = Callable[[Profile], Estimates]


def estimator_of(reference: LabelledProfile | None) -> Estimator | str:
    """What estimates a window counted by the reference's bins; a sentence where nothing can be estimated from it."""
    if reference is None or not reference.outcome.n_labelled:
        return "not estimated: the reference has no outcomes to learn from"
    outcome = reference.outcome
    if outcome.layout.task == "regression":
        return _of_errors(reference)
    if not outcome.layout.scored:
        return "not estimated: no score is declared, and a class alone says nothing of its chance"
    if outcome.layout.task == "multiclass" and outcome.layout.scored != outcome.layout.classes:
        return "not estimated: not every class of the reference has a score"
    known, positive = outcome.labelled_counts.sum(axis=1), outcome.positive_counts.sum(axis=1)
    if np.any(positive == 0) or np.any(positive == known):
        return "not estimated: the reference's outcomes are all of one class, or lack a class"
    model, empty = score_model(outcome), OutcomeProfile.empty(outcome.layout)

    def of(profile: Profile) -> Estimates:
        bins = profile.parts.get("prediction_bins")
        return {} if bins is None else expected_metrics(model, bins.counts, empty)

    return of


def _of_errors(reference: LabelledProfile) -> Estimator | str:
    bins = reference.parts.get("labelled_bins")
    if bins is None or not bins.n.sum():
        return "not estimated: the reference's errors are not counted by bin; materialize the reference again"

    def of(profile: Profile) -> Estimates:
        (column,) = (c for c in profile.columns if c.layout.role == "prediction")
        return expected_errors(bins, column.counts.astype(float))

    return of


def known_values(outcome: OutcomeProfile) -> Estimates:
    """The realized values of the metrics that can be estimated, by the same names."""
    if outcome.layout.task == "regression":
        return regression_metrics(outcome)
    matrix, classes = confusion_of(outcome), outcome.layout.classes
    found = binary_metrics(matrix) if outcome.layout.task == "binary" else multiclass_metrics(matrix, classes)
    return found | ranking_metrics(outcome) | proper_scores(outcome) | cells(matrix, classes)
