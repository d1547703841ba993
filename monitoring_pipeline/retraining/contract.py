"""What a trainer is given and what it gives back. User code imports these from ``monitoring_pipeline.retraining``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import pandas as pd

Split = Literal["train", "validation"]


@dataclass(frozen=True)
class TrainingSet:
    """Labelled rows in the order of event time.

    ``features``: one column per declared feature under its declared name, in the order numerical, categorical, boolean;
    numerical and boolean (1, 0) as float64, categorical as object of text; NaN where missing. ``outcome``: binary 1 for
    the positive class and 0; multiclass text; regression float64. ``event_time``: UTC, missing for rows of a reference
    without times. All three share one index.
    """

    features: pd.DataFrame
    outcome: pd.Series
    event_time: pd.Series
    numerical: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    boolean: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.outcome)


def _silent(**_: Any) -> None:
    """No one listens."""


@dataclass(frozen=True)
class TrainRequest:
    """How to train. ``seed``: for whatever is random. ``parameters``: what a search tries; empty without one.

    ``classes``: binary (negative, positive) as the log writes them; multiclass all classes; regression empty.
    ``metric``: what the challenger is compared by. ``parent``: the champion's model, when training is stateful and
    there is one. ``progress(iteration=3, loss=.2)`` is written to the log of the run.
    """

    monitor: str
    task: Literal["binary", "multiclass", "regression"]
    seed: int
    metric: str
    classes: tuple[str, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    parent: Any = None
    progress: Callable[..., None] = _silent


@dataclass(frozen=True)
class Curve:
    """A metric after each iteration, in their order."""

    split: Split
    metric: str
    values: Sequence[float]


@dataclass(frozen=True)
class TrainedModel:
    """What a trainer returns.

    ``model``: has ``predict`` and, where the monitor declares scores, ``predict_proba``, each taking the frame of
    features; a scikit-learn estimator or pipeline can be kept without pickle. ``threshold``: score from which a row is
    positive (binary), in [0, 1]; None: the model's own ``threshold``, else .5. ``parameters``: recorded beside the
    version. ``algorithm``: a name for people; default: the estimator's class.
    """

    model: Any
    threshold: float | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    algorithm: str | None = None
    curves: Sequence[Curve] = ()
