"""Parts ``prediction_bins`` and ``labelled_bins``: what performance is estimated from where outcomes are not known.

Classification, with C scored classes, B score bins and P predicted classes: the K classes, then a class the layout
lacks and no prediction; of more than 20 classes only this class, another and none. ``prediction_bins`` (C, B, P) counts
all
rows; ``labelled_bins`` (2, C, B, P) labelled rows, and those whose outcome is the class.
Regression has ``labelled_bins`` only: of the rows with a finite prediction and outcome the number and the sums of |e|,
e, e² and e⁴ (e = prediction - outcome) by bin of the prediction and by bin of each feature, at most 100 of them. Each
column's bins are preceded by one of missing values, as ``engines`` codes them.
Kept for ``*`` only. Format 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitoring_pipeline.profiles.layout import ColumnLayout, Layout
from monitoring_pipeline.profiles.parts.part import Counts, Part, Sums, take

ALL_CLASSES_UP_TO = 20
MAX_FEATURES = 100
ERROR_SUMS = ("abs_e", "e", "e2", "e4")


@dataclass(frozen=True)
class PredictionBins:
    """``counts`` (C, B, P): rows by scored class, score bin and predicted class."""

    counts: NDArray[np.int64]


@dataclass(frozen=True)
class LabelledBins:
    """Classification: ``labelled`` and ``positive`` (C, B, P). Regression: ``n`` (W,) and ``errors`` (4, W), the
    ``ERROR_SUMS``, of all bins of ``error_columns`` one after the other. What does not apply is empty."""

    labelled: NDArray[np.int64]
    positive: NDArray[np.int64]
    n: NDArray[np.int64]
    errors: NDArray[np.float64]


def n_predicted(layout: Layout) -> int:
    """P, as the module describes."""
    k = len(layout.outcome.classes)
    return k + 2 if k <= ALL_CLASSES_UP_TO else 3


def bins_shape(layout: Layout) -> tuple[int, int, int]:
    """(C, B, P)."""
    o = layout.outcome
    return (len(o.scored), len(o.score_edges) + 1, n_predicted(layout)) if o.scored else (0, 0, 0)


def error_columns(layout: Layout) -> tuple[ColumnLayout, ...]:
    """Columns whose bins errors are summed by: the prediction, then the first 100 features. Classification: none."""
    if layout.outcome.task != "regression":
        return ()
    prediction = [c for c in layout.columns if c.role == "prediction"]
    features = [c for c in layout.columns if c.role == "feature"]
    return (*prediction, *features[:MAX_FEATURES])


def error_widths(layout: Layout) -> tuple[int, ...]:
    """Bins of each of ``error_columns``, the one of missing values included."""
    return tuple(c.n_bins + 1 for c in error_columns(layout))


def _predictions_of(layout: Layout, _format: int, counts: Counts, sums: Sums) -> PredictionBins:
    (found,) = take(counts, bins_shape(layout))
    return PredictionBins(found)


def _labelled_of(layout: Layout, _format: int, counts: Counts, sums: Sums) -> LabelledBins:
    shape, width = bins_shape(layout), sum(error_widths(layout))
    labelled, positive, n = take(counts, shape, shape, (width,))
    (errors,) = take(sums, (len(ERROR_SUMS), width))
    return LabelledBins(labelled, positive, n, errors)


def _merge_labelled(values: Sequence[LabelledBins]) -> LabelledBins:
    return LabelledBins(
        np.sum([v.labelled for v in values], axis=0),
        np.sum([v.positive for v in values], axis=0),
        np.sum([v.n for v in values], axis=0),
        np.sum([v.errors for v in values], axis=0),
    )


PREDICTION_BINS: Part[PredictionBins] = Part(
    name="prediction_bins",
    format=1,
    applies=lambda layout: bool(layout.outcome.scored),
    merge=lambda values: PredictionBins(np.sum([v.counts for v in values], axis=0)),
    flatten=lambda value: (value.counts.ravel(), np.zeros(0)),
    unflatten=_predictions_of,
    segments=False,
)
LABELLED_BINS: Part[LabelledBins] = Part(
    name="labelled_bins",
    format=1,
    applies=lambda layout: bool(layout.outcome.scored) or layout.outcome.task == "regression",
    merge=_merge_labelled,
    flatten=lambda v: (np.concatenate((v.labelled.ravel(), v.positive.ravel(), v.n)), v.errors.ravel()),
    unflatten=_labelled_of,
    of_labels=True,
    segments=False,
)
