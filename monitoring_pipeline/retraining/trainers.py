"""The trainer that a declaration names, called and checked: the user's function, or the declared estimator."""

from __future__ import annotations

import traceback
from pathlib import Path

from monitoring_pipeline.errors import DeclarationError, RetrainError
from monitoring_pipeline.monitors.retraining import RetrainPolicy
from monitoring_pipeline.monitors.trainer import trainer_of
from monitoring_pipeline.retraining.contract import TrainedModel, TrainingSet, TrainRequest

OURS = str(Path(__file__).parent)


def trained(policy: RetrainPolicy, training: TrainingSet, request: TrainRequest) -> TrainedModel:
    """What the trainer makes of the rows. Raises RetrainError when it raises, or returns what cannot predict."""
    try:
        if policy.estimator is not None:
            from monitoring_pipeline.retraining import estimators, stateful  # no scikit-learn where a trainer has none

            continued = request.parent is not None and stateful.continues(policy.estimator, request.parent)
            train = stateful.proceed if continued else estimators.train
            made = train(policy.estimator, training, request)
        else:
            made = trainer_of(policy.trainer or "")(training, request)
    except (RetrainError, MemoryError):
        raise
    except DeclarationError as error:
        raise RetrainError(str(error)) from error
    except Exception as error:
        raise RetrainError(f"the trainer raised {type(error).__name__}: {error}{_where(error)}") from error
    return _checked(made, policy)


def _checked(made: object, policy: RetrainPolicy) -> TrainedModel:
    name = policy.trainer or (policy.estimator.class_ if policy.estimator else "")
    if not isinstance(made, TrainedModel):
        raise RetrainError(
            f"{name} returned {type(made).__name__}; return monitoring_pipeline.retraining.TrainedModel(model=…)"
        )
    if not callable(getattr(made.model, "predict", None)):
        raise RetrainError(
            f"{name} returned a model of type {type(made.model).__name__} that cannot predict; it needs `predict`, and"
            " `predict_proba` where the monitor declares scores"
        )
    return made


def _where(error: BaseException) -> str:
    """File and line of the user's code that raised, or that called what raised."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith(OURS)]
    own = [f for f in frames if "site-packages" not in f.filename and "/lib/python" not in f.filename]
    return f" ({own[-1].filename}:{own[-1].lineno})" if own else ""
