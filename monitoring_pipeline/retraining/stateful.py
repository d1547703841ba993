"""Stateful training: the champion is continued by ``partial_fit`` on the rows that it has not seen.

The preparation of the columns stays as the champion's: an encoder fitted anew would give the old weights other columns.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline

from monitoring_pipeline.errors import RetrainError
from monitoring_pipeline.monitors.retraining import Estimator
from monitoring_pipeline.retraining.contract import TrainedModel, TrainingSet, TrainRequest
from monitoring_pipeline.retraining.estimators import estimator_class

PASSES = 5  # over the new rows; on the demo one pass of SGD gained half of what five did
BATCH = 1024


def continues(declared: Estimator, parent: Any) -> bool:
    """Whether the champion is of the declared estimator, so that it can be continued."""
    final = parent[-1] if isinstance(parent, Pipeline) else None
    return final is not None and type(final) is estimator_class(declared.class_)


def proceed(declared: Estimator, training: TrainingSet, request: TrainRequest) -> TrainedModel:
    """A copy of the parent after ``PASSES`` over the rows in batches, in an order of the seed.

    Raises RetrainError when a row is of a class that the parent does not know.
    """
    model: Pipeline = copy.deepcopy(request.parent)
    final, rng = model[-1], np.random.default_rng(request.seed)
    rows, outcome = model[:-1].transform(training.features), training.outcome.to_numpy()
    known = getattr(final, "classes_", None)
    if known is not None and (new := sorted(set(outcome.tolist()) - set(known.tolist()))):
        raise RetrainError(
            f"the rows have classes that the champion was not trained on: {', '.join(map(repr, new))}; a continued"
            " model cannot learn them: train once with mode: stateless"
        )
    for done in range(PASSES):
        order = rng.permutation(len(outcome))
        for start in range(0, len(order), BATCH):
            some = order[start : start + BATCH]
            final.partial_fit(rows[some], outcome[some])
        request.progress(passes=done + 1, of=PASSES)
    return TrainedModel(model, parameters=dict(declared.parameters), algorithm=type(final).__name__)
