"""A champion whose file is damaged is an incident until it is whole again or another version is in service."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitoring_pipeline.retraining import artifacts, promotion
from monitoring_pipeline.retraining.context import RetrainContext
from monitoring_pipeline.stages import artifact_incidents, incidents, retrain_watch, rotation
from monitoring_pipeline.stages.context import StageContext
from monitoring_pipeline.warehouse import incident_store, model_versions
from monitoring_pipeline.warehouse.incident_store import Incident
from monitoring_pipeline.warehouse.model_versions import ModelVersion
from monitoring_pipeline_tests.retraining.fakes import tiny_model
from monitoring_pipeline_tests.stages.story import Story, run

DECLARED = {
    "ground_truth": {"path": "../truth/*.parquet", "outcome": "y", "label_time": "known"},
    "labels": {"max_delay": "1d"},
    "retrain": {"enabled": True, "estimator": {"class": "sklearn.linear_model.LogisticRegression"}},
}


@pytest.fixture
def stages(story: Story) -> StageContext:
    """Three judged days of four, and two versions with artifacts; ``one`` is the champion."""
    story.toy.write_reference(story.toy.rows(20, 200))
    for day in range(4):
        rows = story.toy.rows(day, 60)
        story.toy.write_log(rows, f"day-{day}")
        story.toy.write_labels(rows, f"day-{day}")
    stages = story.monitor("toy", **DECLARED)
    run(stages, range(3))
    ctx = of(stages)
    for seed, name in enumerate(("one", "two")):
        kept = artifacts.save(tiny_model(ctx, seed), ctx.settings, "toy")
        version = ModelVersion(
            name, "challenger", artifact_uri=kept.uri, artifact_sha256=kept.sha256, artifact_format=kept.format
        )
        with ctx.warehouse.transaction() as conn:
            model_versions.register_version(conn, "toy", version, run_id="test")
    promotion.crown(ctx, "one", "manual", "test", "test")
    return stages


def of(stages: StageContext) -> RetrainContext:
    return RetrainContext(stages.monitor, stages.warehouse, stages.settings, "test")


def file_of(stages: StageContext, name: str) -> Path:
    found = stages.warehouse.run(lambda conn: model_versions.model_versions(conn, "toy"))[name]
    return Path(found.artifact_uri or "")


def said(stages: StageContext) -> list[Incident]:
    known = stages.warehouse.run(lambda conn: incident_store.current(conn, "toy"))
    return [one for one in known.values() if one.change == "damaged artifact"]


def revisions(story: Story) -> int:
    found = story.query("select count(*) as n from monitoring.incident_history where change = 'damaged artifact'")
    return int(found["n"].item())


def test_a_damaged_champion_is_an_incident_until_it_is_whole(story: Story, stages: StageContext) -> None:
    ctx, path = of(stages), file_of(stages, "one")
    assert artifact_incidents.look(ctx) is None and said(stages) == []
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    assert "the file was altered" in (artifact_incidents.look(ctx) or "")
    (one,) = said(stages)
    assert (one.state, one.kind, one.severity, one.reason) == ("open", "service", "critical", "opened")
    assert str(path) in one.summary and "bring the file back from a copy" in one.summary
    assert one.evidence["model_versions"] == ["one"]
    assert (champion := promotion.in_service(ctx)) is not None and champion.version.model_version == "one"

    artifact_incidents.look(ctx)
    incidents.fold(stages)
    assert said(stages) == [one] and revisions(story) == 1, "neither another look nor the fold over alarms changes it"
    run(stages, [3])
    artifact_incidents.look(ctx)
    (later,) = said(stages)
    assert later.last_window > one.last_window and later.n_windows == 2 and later.opened_at == one.opened_at

    path.write_bytes(content)
    assert artifact_incidents.look(ctx) is None
    (over,) = said(stages)
    assert (over.state, over.reason) == ("resolved", "the artifact is whole again")
    path.unlink()
    assert "cannot be read" in (artifact_incidents.look(ctx) or "")
    (again,) = said(stages)
    assert (again.state, again.reason, again.incident_id) == ("open", "amended: open again", one.incident_id)
    assert "No such file" in again.summary


def test_another_champion_ends_it(stages: StageContext) -> None:
    ctx = of(stages)
    file_of(stages, "one").unlink()
    artifact_incidents.look(ctx)
    promotion.crown(ctx, "two", "manual", "test", "test")
    rotation.close_incidents(ctx)
    (one,) = said(stages)
    assert (one.state, one.reason) == ("resolved", "the champion is now two")
    file_of(stages, "two").unlink()
    artifact_incidents.look(ctx)
    assert sorted((one.evidence["model_versions"][0], one.state) for one in said(stages)) == [
        ("one", "resolved"), ("two", "open"),
    ]  # fmt: skip


def test_the_sensor_opens_it_and_sees_that_it_is_whole_again(stages: StageContext) -> None:
    ctx, path = of(stages), file_of(stages, "one")
    content = path.read_bytes()
    path.unlink()
    retrain_watch.look([ctx])
    assert [one.state for one in said(stages)] == ["open"]
    path.write_bytes(content)
    assert retrain_watch.look([ctx]).said == {}, "nothing new to decide on"
    assert [one.state for one in said(stages)] == ["resolved"]
