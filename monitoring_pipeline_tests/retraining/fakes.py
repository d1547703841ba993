"""A trainer that takes milliseconds, and what it takes to carry decisions out without a policy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from sklearn.compose import make_column_transformer
from sklearn.dummy import DummyClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sqlalchemy import text

from monitoring_pipeline.retraining import artifacts
from monitoring_pipeline.retraining.comparison import Outputs, PairedRows
from monitoring_pipeline.retraining.context import Attempt, RetrainContext
from monitoring_pipeline.retraining.judged_rows import Judged, Span
from monitoring_pipeline.retraining.model import Model
from monitoring_pipeline.retraining.training_set import TrainingRows
from monitoring_pipeline.stages import retraining
from monitoring_pipeline.warehouse import model_versions
from monitoring_pipeline.warehouse.model_versions import ModelVersion

DECIDE = text("""
insert into monitoring.retrain_decision (monitor, decided_at, last_evaluated_at, as_of, trigger, decision, reason,
  evidence, evidence_key)
values (:monitor, clock_timestamp(), clock_timestamp(), :as_of, :trigger, 'retrain', 'test', cast(:evidence as jsonb),
  cast(gen_random_uuid() as text))
returning revision_id
""")


def decide(ctx: RetrainContext, as_of: datetime, trigger: str = "new_labels", evidence: str = "{}") -> int:
    """A decision to retrain, as the policy would write it; its id."""
    values = {"monitor": ctx.monitor.name, "as_of": as_of, "trigger": trigger, "evidence": evidence}
    with ctx.warehouse.transaction() as conn:
        return int(conn.execute(DECIDE, values).scalar_one())


@dataclass
class FakeTrainer:
    """Fits a logistic regression on the numbers of the training set; ``useless``: a model that knows nothing.

    ``error``: what it raises instead. ``attempts``: those it was asked for.
    """

    useless: bool = False
    error: Exception | None = None
    attempts: tuple[Attempt, ...] = ()

    def __call__(self, ctx: RetrainContext, attempt: Attempt, rows: TrainingRows | None) -> ModelVersion:
        self.attempts += (attempt,)
        if self.error is not None:
            raise self.error
        assert rows is not None
        numbers = make_column_transformer((SimpleImputer(), ["x", "amount"]))
        estimator: Any = DummyClassifier() if self.useless else make_pipeline(numbers, LogisticRegression())
        estimator.fit(rows.training_set.features, rows.training_set.outcome)
        model = Model(estimator, "binary", ctx.monitor.schema_.features, ("0", "1"))
        return register(ctx, attempt, model, rows.start, rows.end, len(rows.fitted))


def register(
    ctx: RetrainContext, attempt: Attempt, model: Model, start: datetime, end: datetime, n_rows: int
) -> ModelVersion:
    """The artifact, then its row as a challenger."""
    stored = artifacts.save(model, ctx.settings, ctx.monitor.name)
    version = ModelVersion(
        attempt.challenger_version,
        "challenger",
        train_start=start,
        train_end=end,
        algorithm=type(model.estimator).__name__,
        training_metrics={"roc_auc": 0.75},
        artifact_uri=stored.uri,
        artifact_sha256=stored.sha256,
        artifact_format=stored.format,
        artifact_bytes=stored.n_bytes,
        attempt_id=attempt.attempt_id,
        n_rows=n_rows,
        labels_known_at=attempt.as_of,
    )
    ctx.warehouse.run(lambda conn: model_versions.register_version(conn, ctx.monitor.name, version, run_id=ctx.run_id))
    return version


def tiny_model(ctx: RetrainContext, seed: int) -> Model:
    """Knows nothing, and its bytes are never the same twice."""
    estimator = DummyClassifier(random_state=seed).fit([[0.0], [1.0]], [0, 1])
    return Model(estimator, "binary", ctx.monitor.schema_.features, ("0", "1"))


@dataclass
class QuickTrainer:
    """Fits nothing. ``error``: what it raises instead. ``attempts``: those it was asked for."""

    error: Exception | None = None
    attempts: tuple[Attempt, ...] = ()

    def __call__(self, ctx: RetrainContext, attempt: Attempt, rows: object) -> ModelVersion:
        self.attempts += (attempt,)
        if self.error is not None:
            raise self.error
        model = tiny_model(ctx, attempt.attempt_id)
        return register(ctx, attempt, model, attempt.as_of - timedelta(days=9), attempt.as_of, 100)


def made_up_rows(ctx: RetrainContext, attempt: Attempt) -> Judged:
    """900 rows of nine days on which the challenger is better."""
    rng = np.random.default_rng(1)
    outcome = (rng.random(900) < 0.5).astype(float)
    said = [Outputs((s > 0.5) * 1.0, s[:, None]) for s in (rng.random(900), 0.3 * outcome + 0.7 * rng.random(900))]
    rows = PairedRows("binary", outcome, said[0], said[1], np.arange(900) % 9)
    return Judged(rows, Span(attempt.as_of - timedelta(days=9), attempt.as_of, attempt.as_of), "as logged")


def quick(trainer: QuickTrainer, patch: Callable[[Any, str, Any], None] = setattr) -> None:
    """Everything but the driver, the database and the files is made up: for tests of what happens when."""
    patch(retraining, "train_challenger", trainer)
    patch(retraining, "training_rows", lambda ctx, attempt: None)
    patch(retraining, "_reference", lambda ctx, attempt, version: {})
    patch(retraining, "measure_shadow", lambda ctx, monitor, version, span: 0)
    patch(retraining.judged_rows, "judged_rows", made_up_rows)
