"""The model of the first quarter as the first champion, its artifact kept as those of its challengers are.

So it can be scored anew in a comparison, continued, and brought back by ``model rollback``.
"""

from __future__ import annotations

from pathlib import Path

from monitoring_pipeline.demo import models
from monitoring_pipeline.demo.flights import FEATURES
from monitoring_pipeline.demo.model_card import ModelCard
from monitoring_pipeline.errors import RetrainError
from monitoring_pipeline.retraining import artifacts, promotion
from monitoring_pipeline.retraining.context import RetrainContext
from monitoring_pipeline.retraining.model import DEFAULT_THRESHOLD, Model
from monitoring_pipeline.warehouse import model_versions
from monitoring_pipeline.warehouse.model_versions import ModelVersion

REASON = "the version that served when the replay began"


def register(ctx: RetrainContext, card: ModelCard) -> None:
    """Once more changes nothing: a version that is registered and whole stays as it is, and so does a later champion.

    Raises UserError when the model that the demo trained is missing or was altered.
    """
    name = ctx.monitor.name
    known = ctx.warehouse.run(lambda conn: model_versions.model_versions(conn, name))
    was = known.get(card.model_version)
    if was is None or not _is_kept(was, card):
        version = _version(ctx, card, was)
        ctx.warehouse.run(lambda conn: model_versions.register_version(conn, name, version, run_id=ctx.run_id))
    if not any(version.role == "champion" for version in known.values()):
        promotion.crown(ctx, card.model_version, "first", by_whom="demo", reason=REASON)


def _is_kept(was: ModelVersion, card: ModelCard) -> bool:
    """Whether this very model is registered, with an artifact that can be loaded."""
    if was.artifact_format is None or dict(was.training_metrics) != dict(card.training_metrics):
        return False
    try:
        artifacts.verified(was.artifact_uri or "", was.artifact_sha256 or "")
    except RetrainError:
        return False
    return True


def _version(ctx: RetrainContext, card: ModelCard, was: ModelVersion | None) -> ModelVersion:
    fitted = models.load(Path(card.artifact_uri), card.artifact_sha256)
    binary = ctx.monitor.task == "binary"
    threshold = DEFAULT_THRESHOLD if fitted.threshold is None else fitted.threshold
    model = Model(fitted.pipeline, ctx.monitor.task, FEATURES, ("0", "1") if binary else (), threshold)
    stored = artifacts.save(model, ctx.settings, ctx.monitor.name)
    return ModelVersion(
        card.model_version,
        "challenger" if was is None else was.role,
        trained_at=card.trained_at,
        train_start=card.train_start,
        train_end=card.train_end,
        algorithm=card.algorithm,
        hyperparameters=card.hyperparameters,
        training_metrics=card.training_metrics,
        n_rows=card.n_fitted,
        artifact_uri=stored.uri,
        artifact_sha256=stored.sha256,
        artifact_format=stored.format,
        artifact_bytes=stored.n_bytes,
    )
