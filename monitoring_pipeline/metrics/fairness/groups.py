"""What a group's stored counts say: rates of a class's predictions, calibration of its scores, errors.

Of a multiclass model each class against the rest, for at most ten classes; calibration of binary scores only, because
the variance of one class's score error is not among the stored sums.
"""

from __future__ import annotations

from collections.abc import Mapping

from monitoring_pipeline.metrics.fairness.rates import Mean, Rate, Share, mean_of
from monitoring_pipeline.metrics.performance.confusion import confusion_of
from monitoring_pipeline.profiles.column import ColumnProfile
from monitoring_pipeline.profiles.outcome import CLASSIFICATION_SUMS, REGRESSION_SUMS, OutcomeProfile
from monitoring_pipeline.profiles.profile import Profile

MAX_CLASSES = 10
THRESHOLD = 0.5  # of a score without a prediction
Rates = Mapping[str, Rate]


def rates_of(profile: Profile | None, outcome: OutcomeProfile | None) -> dict[str, Rates]:
    """Rates by name of each class compared, by the suffix of its metrics' names: empty for binary and regression.

    ``profile``: predictions of the group, without which there is no selection rate; ``outcome``: those against
    outcomes, without which there is nothing else.
    """
    if outcome is None:
        return {}
    if outcome.layout.task == "regression":
        return {"": errors(outcome)}
    classes = outcome.layout.classes
    if outcome.layout.task == "binary":
        found = selection(profile, outcome, 1) | confusion_rates(outcome, 1)
        return {"": found | (calibration(outcome) if outcome.layout.scored else {})}
    return {
        f"[class={name}]": selection(profile, outcome, i) | confusion_rates(outcome, i)
        for i, name in enumerate(classes[:MAX_CLASSES])
    }


def selection(profile: Profile | None, outcome: OutcomeProfile, at: int) -> dict[str, Rate]:
    """``selection_rate``: share of the group's predictions that are the class, labelled or not.

    Of a binary model that logs scores alone: of the scores above 0.5, or the layout's edge nearest to it.
    """
    name = outcome.layout.classes[at]
    column = _predictions(profile)
    if column is not None and column.n_values:
        known = name in column.layout.categories
        k = float(column.counts[column.layout.categories.index(name)]) if known else 0.0
        return {"selection_rate": Share(k, column.n_values)}
    if outcome.layout.task != "binary" or not outcome.layout.scored or not outcome.layout.score_edges:
        return {"selection_rate": Share(0, 0)}
    edges = outcome.layout.score_edges
    edge = min(range(len(edges)), key=lambda i: abs(edges[i] - THRESHOLD))
    counts = outcome.score_counts[0]
    return {"selection_rate": Share(float(counts[edge + 1 :].sum()), int(counts.sum()))}


def _predictions(profile: Profile | None) -> ColumnProfile | None:
    columns = profile.columns if profile is not None else ()
    return next((c for c in columns if c.layout.role == "prediction" and c.layout.kind == "categorical"), None)


def confusion_rates(outcome: OutcomeProfile, at: int) -> dict[str, Rate]:
    """Of a class, over labelled rows with a prediction: ``true_positive_rate`` tp / (tp + fn), ``false_positive_rate``
    fp / (fp + tn) and ``precision`` tp / (tp + fp)."""
    matrix = confusion_of(outcome, THRESHOLD)
    hits, actual, predicted = matrix[at, at], matrix[at].sum(), matrix[:, at].sum()
    others = matrix.sum() - actual
    return {
        "true_positive_rate": Share(float(hits), int(actual)),
        "false_positive_rate": Share(float(predicted - hits), int(others)),
        "precision": Share(float(hits), int(predicted)),
    }


def calibration(outcome: OutcomeProfile) -> dict[str, Rate]:
    """``calibration_gap``: mean score minus share of positives, over labelled rows with a score.

    Its variance is that of score − outcome, whose squares the Brier score sums.
    """
    gap = float(outcome.labelled_sums.sum() - outcome.positive_counts.sum())
    squares = float(outcome.sums[CLASSIFICATION_SUMS.index("squared")])
    return {"calibration_gap": mean_of(gap, squares, outcome.n_scored)}


def errors(outcome: OutcomeProfile) -> dict[str, Rate]:
    """``mae``, the mean absolute error, and ``mean_error``, prediction − outcome."""
    of = dict(zip(REGRESSION_SUMS, outcome.sums.tolist(), strict=True))
    absolute: Mean = mean_of(of["abs_e"], of["e2"], outcome.n_scored, 0.0)
    return {"mae": absolute, "mean_error": mean_of(of["e"], of["e2"], outcome.n_scored)}
