"""A fitted model with what is needed to score rows by it: what an artifact holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from monitoring_pipeline.errors import RetrainError

FORMAT = 1
DEFAULT_THRESHOLD = 0.5


@dataclass(frozen=True)
class Model:
    """``estimator`` takes a frame of ``features`` in this order. ``classes``: binary (negative, positive), multiclass
    all, regression none, as the log writes them. ``threshold``: score from which a row is positive (binary).
    """

    estimator: Any
    task: Literal["binary", "multiclass", "regression"]
    features: tuple[str, ...]
    classes: tuple[str, ...] = ()
    threshold: float = DEFAULT_THRESHOLD

    def to_document(self) -> dict[str, Any]:
        """Plain values and the estimator."""
        return {
            "format": FORMAT, "estimator": self.estimator, "task": self.task, "features": list(self.features),
            "classes": list(self.classes), "threshold": float(self.threshold),
        }  # fmt: skip

    @classmethod
    def from_document(cls, document: Any) -> Model:
        """Raises RetrainError when it is no such document, or of a format that this version does not know."""
        if not isinstance(document, Mapping) or "estimator" not in document:
            raise RetrainError(
                "the artifact holds no model of this pipeline; register models with `monitoring_pipeline.retraining`"
            )
        if document["format"] != FORMAT:
            raise RetrainError(
                f"the artifact has format {document['format']}, and this version reads {FORMAT}; use the version of"
                " monitoring-pipeline that wrote it"
            )
        return cls(
            document["estimator"], document["task"], tuple(document["features"]), tuple(document["classes"]),
            float(document["threshold"]),
        )  # fmt: skip


def threshold_of(estimator: Any, given: float | None = None) -> float:
    """The trainer's threshold, else the model's own ``threshold``, else .5. Raises RetrainError outside [0, 1]."""
    own = getattr(estimator, "threshold", None) if given is None else given
    if own is None:
        return DEFAULT_THRESHOLD
    if isinstance(own, bool) or not isinstance(own, int | float) or not 0 <= own <= 1:
        raise RetrainError(f"the trainer's threshold is {own!r}; return a number in [0, 1]")
    return float(own)
