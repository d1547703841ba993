"""The outcome profile: predictions counted against outcomes in one window and segment, before and after labels."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitoring_pipeline.profiles.layout import OutcomeLayout

REGRESSION_SUMS = ("e", "abs_e", "e2", "e4", "ape", "ape2", "d", "d2", "d3", "d4", "e2d", "e2d2")
CLASSIFICATION_SUMS = ("squared", "squared2", "log_loss", "log_loss2")
BINNED = ("score_counts", "score_sums", "labelled_counts", "positive_counts", "labelled_sums")


@dataclass(frozen=True)
class OutcomeProfile:
    """Counts and sums that add up; shapes with C scored classes, B = len(score_edges)+1 bins, K classes.

    ``n_predictions`` rows, ``n_labelled`` of them with an outcome.

    Classification
      ``score_counts``    (C, B) all rows by score bin, ``score_sums`` (C, B) the sum of their scores
      ``labelled_counts`` (C, B) labelled rows, ``positive_counts`` (C, B) those whose outcome is the class,
      ``labelled_sums``   (C, B) sum of the labelled rows' scores
      ``confusion``       (K+1, K+2) labelled rows by (outcome, prediction): the last row is an outcome the layout
                          lacks, the last two columns a predicted class it lacks (other) and none at all (missing)
      ``sums``            ``CLASSIFICATION_SUMS`` over labelled rows with scores: the squared error sum_k (p_k - y_k)^2
                          (binary: (p - y)^2 of the positive class alone), its square, -ln p(outcome) with p clipped to
                          [1e-15, 1 - 1e-15], its square; ``n_scored`` is their number
    Regression, over labelled rows where both are finite (``n_scored``): e = prediction - outcome, d = outcome - centre
      ``error_counts``    (len(error_edges)+1,) right-closed bins of e
      ``sums``            ``REGRESSION_SUMS``: e, |e|, e², e⁴, |e/outcome| and its square over outcome != 0
                          (``n_nonzero``), d, d², d³, d⁴, e²d, e²d²
    Arrays that do not apply to the task are empty.
    """

    layout: OutcomeLayout
    n_predictions: int
    n_labelled: int
    n_scored: int
    n_nonzero: int
    score_counts: NDArray[np.int64]
    score_sums: NDArray[np.float64]
    labelled_counts: NDArray[np.int64]
    positive_counts: NDArray[np.int64]
    labelled_sums: NDArray[np.float64]
    confusion: NDArray[np.int64]
    error_counts: NDArray[np.int64]
    sums: NDArray[np.float64]

    @staticmethod
    def shapes(layout: OutcomeLayout) -> dict[str, tuple[int, ...]]:
        """Of the arrays, by name."""
        regression = layout.task == "regression"
        binned = (len(layout.scored), len(layout.score_edges) + 1 if layout.scored else 0)
        k = 0 if regression else len(layout.classes) + 1
        return {
            **dict.fromkeys(BINNED, binned),
            "confusion": (k, k + 1 if k else 0),
            "error_counts": (len(layout.error_edges) + 1 if regression else 0,),
            "sums": (len(REGRESSION_SUMS if regression else CLASSIFICATION_SUMS),),
        }

    @classmethod
    def empty(cls, layout: OutcomeLayout) -> OutcomeProfile:
        """The profile of no rows: the neutral element of ``merge``."""
        arrays: dict[str, Any] = {
            name: np.zeros(shape, np.float64 if name.endswith("sums") else np.int64)
            for name, shape in cls.shapes(layout).items()
        }
        return cls(layout, 0, 0, 0, 0, **arrays)

    def merge(self, other: OutcomeProfile) -> OutcomeProfile:
        """The profile of both sets of rows. Layouts must be equal."""
        if self.layout != other.layout:
            raise ValueError("outcome profiles were counted by different bins and cannot be added")
        added = {f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self) if f.name != "layout"}
        return OutcomeProfile(layout=self.layout, **added)
