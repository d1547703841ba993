"""Part ``outcomes``: predictions against outcomes.

``counts``: n_predictions, n_labelled, n_scored, n_nonzero, score_counts, labelled_counts, positive_counts, confusion,
error_counts, each row by row. ``sums``: score_sums, labelled_sums, sums. Format 1 wrote a confusion of K+1 columns, in
which a missing prediction was counted as a class the layout lacks.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np

from monitoring_pipeline.profiles.layout import Layout
from monitoring_pipeline.profiles.outcome import OutcomeProfile
from monitoring_pipeline.profiles.parts.part import Counts, Part, Sums, take

SCALARS = ("n_predictions", "n_labelled", "n_scored", "n_nonzero")
COUNTS = ("score_counts", "labelled_counts", "positive_counts", "confusion", "error_counts")
SUMS = ("score_sums", "labelled_sums", "sums")


def flatten(outcome: OutcomeProfile) -> tuple[Counts, Sums]:
    """Counts and sums as described above, in the newest format."""
    counts = [np.array([getattr(outcome, name) for name in SCALARS], np.int64)]
    counts += [getattr(outcome, name).ravel() for name in COUNTS]
    return np.concatenate(counts), np.concatenate([getattr(outcome, name).ravel() for name in SUMS])


def unflatten(layout: Layout, format_number: int, counts: Counts, sums: Sums) -> OutcomeProfile:
    """Inverse of ``flatten``, also of what format 1 wrote."""
    shapes = OutcomeProfile.shapes(layout.outcome)
    rows, columns = shapes["confusion"]
    if format_number == 1 and rows:
        shapes["confusion"] = (rows, columns - 1)
    values: dict[str, Any] = dict(zip(SCALARS, counts[: len(SCALARS)].tolist(), strict=True))
    values |= dict(zip(COUNTS, take(counts[len(SCALARS) :], *(shapes[name] for name in COUNTS)), strict=True))
    values |= dict(zip(SUMS, take(sums, *(shapes[name] for name in SUMS)), strict=True))
    if format_number == 1 and rows:
        values["confusion"] = _told_apart(layout, values["confusion"])
    return OutcomeProfile(layout=layout.outcome, **values)


def _told_apart(layout: Layout, confusion: Counts) -> Counts:
    """(K+1, K+1) as (K+1, K+2): the last column as ``other``. Where a binary monitor has a score and no prediction of
    a known class at all, only scores were logged: there it is ``missing``."""
    only_scores = layout.outcome.task == "binary" and bool(layout.outcome.scored) and not confusion[:, :-1].any()
    return np.insert(confusion, confusion.shape[1] - 1 if only_scores else confusion.shape[1], 0, axis=1)


def _merge(values: Sequence[OutcomeProfile]) -> OutcomeProfile:
    return reduce(OutcomeProfile.merge, values)


OUTCOMES: Part[OutcomeProfile] = Part("outcomes", 2, lambda layout: True, _merge, flatten, unflatten, of_labels=True)
