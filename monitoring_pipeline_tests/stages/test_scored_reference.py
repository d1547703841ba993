"""A reference that holds features alone is scored by the registered model."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from monitoring_pipeline.errors import RetrainError, UnscoredError
from monitoring_pipeline.lake.inspection import check_sources
from monitoring_pipeline.profiles.document import to_document
from monitoring_pipeline.retraining import artifacts
from monitoring_pipeline.retraining.model import Model
from monitoring_pipeline.stages.context import StageContext
from monitoring_pipeline.stages.declaring import declare
from monitoring_pipeline.stages.prechecks import what_stops_a_run
from monitoring_pipeline.stages.reference import profile_reference
from monitoring_pipeline.warehouse import model_versions, profile_store
from monitoring_pipeline.warehouse.model_versions import ModelVersion
from monitoring_pipeline_tests.stages.story import Story, run
from monitoring_pipeline_tests.toy import START, Toy

NUMBERS = ["x", "amount"]


def days(toy: Toy) -> pd.DataFrame:
    return pd.concat([toy.rows(START - timedelta(days=n), 200) for n in range(6, 0, -1)], ignore_index=True)


def fitted(toy: Toy, rows: pd.DataFrame) -> Model:
    estimator = make_pipeline(make_column_transformer((SimpleImputer(), NUMBERS)), LogisticRegression())
    return Model(estimator.fit(rows, rows["y"]), "binary", toy.declare().schema_.features, ("0", "1"), 0.4)


def register(stages: StageContext, model: Model, name: str = "v1") -> ModelVersion:
    kept = artifacts.save(model, stages.settings, stages.monitor.name)
    version = ModelVersion(
        name, "champion", artifact_uri=kept.uri, artifact_sha256=kept.sha256, artifact_format=kept.format
    )
    with stages.warehouse.transaction() as conn:
        declare(conn, stages.monitor)
        model_versions.register_version(conn, stages.monitor.name, version, run_id=None)
    return version


@pytest.fixture
def unscored(story: Story) -> StageContext:
    rows = days(story.toy)
    story.toy.write_reference(rows.drop(columns=["score", "predicted"]))
    return StageContext(story.toy.declare(), story.warehouse, story.settings, "run")


def document(stages: StageContext) -> dict:
    with stages.warehouse.transaction() as conn:
        return to_document(profile_store.references(conn, stages.monitor.name)["v1"])


def test_without_a_registered_model_it_is_an_error_with_the_remedy(unscored: StageContext) -> None:
    with pytest.raises(UnscoredError, match=r"reference\.parquet: has no column 'predicted' \(schema\.prediction\)"):
        profile_reference(unscored)
    with pytest.raises(UnscoredError, match="or register the model that made the predictions, with its artifact"):
        profile_reference(unscored)
    said = [one for one in check_sources(unscored.monitor, unscored.settings) if "scores it" in one.message]
    assert [".".join(map(str, one.location)) for one in said] == ["schema.prediction"] and not said[0].stops
    assert not [one for one in what_stops_a_run(unscored.monitor, unscored.settings) if "predicted" in one.message]


def test_it_is_what_a_reference_with_the_models_answers_would_be(story: Story, unscored: StageContext) -> None:
    rows = days(story.toy)
    model = fitted(story.toy, rows)
    version = register(unscored, model)
    made = profile_reference(unscored)
    assert made.scored_by == f"rows of v1 by v1 (SHA-256 {version.artifact_sha256})"
    again = profile_reference(unscored)
    assert (again.changed, again.scored_by) == (False, made.scored_by)

    other = Toy(story.toy.base / "other", name="other")
    score = model.estimator.predict_proba(rows)[:, 1]
    other.write_reference(rows.assign(score=score, predicted=(score >= model.threshold).astype(int)))
    stages = StageContext(other.declare(), story.warehouse, story.settings, "run")
    assert profile_reference(stages).scored_by is None
    one, expected = (json.dumps(document(s), sort_keys=True).replace('"toy"', '"other"') for s in (unscored, stages))
    assert one == expected


def test_windows_are_held_against_it_and_another_champion_leaves_it(story: Story, unscored: StageContext) -> None:
    version = register(unscored, fitted(story.toy, days(story.toy)))
    profile_reference(unscored)
    before = document(unscored)
    story.toy.write_days([0, 1])
    run(unscored, [0, 1])
    with story.warehouse.transaction() as conn:
        later = replace(version, model_version="v2")
        model_versions.register_version(conn, unscored.monitor.name, later, run_id=None)
    assert not profile_reference(unscored).changed and document(unscored) == before


def test_an_altered_artifact_scores_nothing(story: Story, unscored: StageContext) -> None:
    version = register(unscored, fitted(story.toy, days(story.toy)))
    path = Path(version.artifact_uri or "")
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(RetrainError, match="the file was altered and is not loaded"):
        profile_reference(unscored)
    with story.warehouse.transaction() as conn:
        assert profile_store.references(conn, "toy") == {}


def test_one_of_two_outputs_is_no_reference_of_features(story: Story, unscored: StageContext) -> None:
    story.toy.write_reference(days(story.toy).drop(columns="score"))
    register(unscored, fitted(story.toy, days(story.toy)))
    with pytest.raises(Exception, match=r"has no column 'score' \(schema\.score\)") as raised:
        profile_reference(unscored)
    assert not isinstance(raised.value, UnscoredError)
