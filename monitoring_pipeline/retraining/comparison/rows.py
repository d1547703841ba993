"""Rows that two models answered, side by side with what came true."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from monitoring_pipeline.monitors.declaration import Task

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Outputs:
    """What one model said of N rows.

    ``prediction`` (N,): the code of the predicted class (see ``PairedRows.classes``; -1: none of them), or the
    predicted number. ``scores``: binary (N, 1), score of the positive class in [0, 1]; of several classes (N, C) in
    the order of ``PairedRows.classes``; None where the model gives none.
    """

    prediction: Floats
    scores: Floats | None = None

    def of(self, rows: Bools) -> Outputs:
        """The same of some of the rows."""
        return Outputs(self.prediction[rows], None if self.scores is None else self.scores[rows])


@dataclass(frozen=True)
class PairedRows:
    """N rows with an outcome and the outputs of both models.

    ``outcome`` (N,): the code of the true class, or the true number. Binary: 1 is the positive class, 0 the other.
    ``day`` (N,): number of the UTC day of the event, from 0; rows of one day are not taken as independent.
    ``segments``: of each declared segmentation, the value of each row, as text (N,). ``groups``: the same of
    the columns of the fairness guard.
    """

    task: Task
    outcome: Floats
    champion: Outputs
    challenger: Outputs
    day: Ints
    classes: tuple[str, ...] = ()
    segments: Mapping[str, NDArray[np.str_]] = field(default_factory=dict)
    groups: Mapping[str, NDArray[np.str_]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.outcome)

    def of(self, rows: Bools) -> PairedRows:
        """Some of the rows; the days are numbered anew, so that none is empty."""
        days = np.unique(self.day[rows], return_inverse=True)[1].astype(np.intp)
        champion, challenger = self.champion.of(rows), self.challenger.of(rows)
        segments = {key: values[rows] for key, values in self.segments.items()}
        groups = {key: values[rows] for key, values in self.groups.items()}
        return PairedRows(self.task, self.outcome[rows], champion, challenger, days, self.classes, segments, groups)

    @property
    def n_days(self) -> int:
        """Days that hold a row."""
        return len(np.unique(self.day))

    @property
    def smallest_class(self) -> int | None:
        """Rows of the rarest class that could occur; None for a number."""
        if self.task == "regression":
            return None
        n_classes = 2 if self.task == "binary" else len(self.classes)
        return int(np.bincount(self.outcome.astype(np.intp), minlength=n_classes).min())
