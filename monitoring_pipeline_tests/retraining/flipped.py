"""Days whose outcomes flip in the middle, judged once for the session: for the tests of what follows from that."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from monitoring_pipeline.retraining.context import RetrainContext
from monitoring_pipeline.settings import Settings
from monitoring_pipeline.stages.retrain_decisions import evaluate
from monitoring_pipeline.warehouse.database import Warehouse
from monitoring_pipeline.warehouse.embedded import EmbeddedPostgres
from monitoring_pipeline.warehouse.model_versions import ModelVersion, register_version
from monitoring_pipeline.warehouse.retrain_decisions import DecisionRow
from monitoring_pipeline_tests import toy
from monitoring_pipeline_tests.conftest import fresh_database
from monitoring_pipeline_tests.stages.story import Story, run
from monitoring_pipeline_tests.toy import Toy

DAYS = 18
DELAY = timedelta(hours=30)
LAG = 2
"""Days from the end of a window until all its labels have arrived."""
FLIPPED = 8
"""From this day on outcomes are the contrary of what they were."""
TRUTH = {"path": "../truth/*.parquet", "outcome": "y", "label_time": "known"}
EASY: dict[str, Any] = {
    "estimator": {"class": "sklearn.linear_model.LogisticRegression"},
    "guards": {"min_labels": 500},
    "promote": {"shadow": "always"},
}


CHAMPION = ModelVersion("v1", "champion", train_end=toy.day(0).start)


def end_of(day: int) -> datetime:
    return toy.day(day).end


@pytest.fixture(scope="session")
def lived(embedded_server: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """Two weeks and a half whose outcomes flip in the middle, judged at once; the model in service is registered."""
    base = tmp_path_factory.mktemp("flipped")
    for url in fresh_database(embedded_server.url("postgres")):
        settings = Settings(home=base / "home", monitors_dir=base / "monitors", database_url=url)
        with Warehouse.open(settings, patience=5) as warehouse:
            story = Story(Toy(base), warehouse, settings)
            story.write_reference()
            for day in range(DAYS):
                rows = story.write(day)
                known = rows.assign(y=1 - rows["y"]) if day >= FLIPPED else rows
                story.toy.write_labels(known, f"{day}", delay=DELAY)
            stages = story.monitor(ground_truth=TRUTH, retrain=EASY)
            with warehouse.transaction() as conn:
                register_version(conn, "toy", CHAMPION, run_id=None)
            run(stages, range(DAYS))
            yield story


@pytest.fixture
def flipped(lived: Story) -> Iterator[Story]:
    """The same without decisions of other tests."""
    yield lived
    with lived.warehouse.transaction() as conn:
        for table in ("training_curve", "training_metric", "tuning_trial", "model_comparison", "promotion"):
            conn.execute(text(f"delete from monitoring.{table}"))
        conn.execute(text("update monitoring.model_version set attempt_id = null"))
        conn.execute(text("delete from monitoring.retrain_attempt"))
        conn.execute(text("delete from monitoring.retrain_decision"))
        conn.execute(text("delete from monitoring.model_version"))
        register_version(conn, "toy", CHAMPION, run_id=None)


def with_policy(story: Story, **retrain: Any) -> RetrainContext:
    """The same files under another policy."""
    stages = story.monitor(ground_truth=TRUTH, retrain=EASY | retrain)
    return RetrainContext(stages.monitor, stages.warehouse, stages.settings, "test")


def replay(ctx: RetrainContext, days: Sequence[int]) -> list[DecisionRow]:
    return [evaluate(ctx, end_of(day)) for day in days]
