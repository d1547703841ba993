"""A promoted version of the example's model, as the service answers with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, Self

from monitoring_pipeline.demo.flights import BOOLEAN
from monitoring_pipeline.demo.service_model import Answer, request_frame

if TYPE_CHECKING:
    from monitoring_pipeline.retraining.model import Model
    from monitoring_pipeline.serving import ChampionPointer


class Answering(Protocol):
    """What the service needs of a model: the demo's own, or a promoted one."""

    @property
    def model_version(self) -> str:
        """Its version."""
        ...

    @property
    def pipeline(self) -> Any:
        """The fitted scikit-learn pipeline."""
        ...

    def with_pipeline(self, pipeline: Any) -> Self:
        """The same over a pipeline that answers alike."""
        ...

    def predict(self, rows: list[Mapping[str, Any]]) -> list[Answer]:
        """One answer per request."""
        ...


@dataclass(frozen=True)
class PromotedModel:
    """A model from the registry."""

    model_version: str
    model: Model

    @property
    def pipeline(self) -> Any:
        """The fitted scikit-learn pipeline."""
        return self.model.estimator

    def with_pipeline(self, pipeline: Any) -> PromotedModel:
        """The same threshold over a pipeline that answers alike, such as an instrumented copy."""
        return replace(self, model=replace(self.model, estimator=pipeline))

    def predict(self, rows: list[Mapping[str, Any]]) -> list[Answer]:
        """One answer per request. Raises ValueError when a number is none."""
        frame = request_frame(self.model.features, rows)
        flags = [name for name in BOOLEAN if name in frame]
        scores = self.model.estimator.predict_proba(frame.astype(dict.fromkeys(flags, "float64")))[:, 1]
        return [Answer(int(score >= self.model.threshold), score) for score in scores.tolist()]


def load_champion(pointer: ChampionPointer) -> PromotedModel:
    """The artifact the pointer names, verified. Raises RetrainError; a pickle is not opened."""
    from monitoring_pipeline.retraining.artifacts import open_artifact

    return PromotedModel(pointer.model_version, open_artifact(pointer.uri, pointer.sha256, pointer.format))
