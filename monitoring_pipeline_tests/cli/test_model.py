"""``model list``, ``show``, ``promote``, ``rollback``: the registry as a person sees it."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from monitoring_pipeline.cli.app import app
from monitoring_pipeline.errors import UserError
from monitoring_pipeline.monitors.declaration import Retention
from monitoring_pipeline.retraining import promotion
from monitoring_pipeline.retraining.artifact_retention import LONG_AGO, too_many
from monitoring_pipeline.settings import Settings
from monitoring_pipeline.stages import incidents, retraining
from monitoring_pipeline.stages.context import StageContext
from monitoring_pipeline.stages.reference import profile_reference
from monitoring_pipeline.warehouse.database import Warehouse
from monitoring_pipeline.warehouse.model_versions import ModelVersion, register_version
from monitoring_pipeline_tests.retraining.fakes import QuickTrainer, decide, quick
from monitoring_pipeline_tests.retraining.shop import RETRAIN, Shop, at
from monitoring_pipeline_tests.stages.story import run
from monitoring_pipeline_tests.toy import Toy

NEW = "2024-03-13-1"
MOMENT = datetime(2024, 6, 1, tzinfo=UTC)


@pytest.fixture
def shop(warehouse: Warehouse, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """A monitor whose first challenger is in service; its file is where the command line looks."""
    monkeypatch.setenv("DATABASE_URL", settings.database_url or "")
    quick(QuickTrainer(), monkeypatch.setattr)
    promote = {"least_days": 5, "least_rows": 100, "margin": 0.3, "calibration": False}
    shop = Shop(warehouse, settings, Toy(tmp_path)).open(range(2), retrain=RETRAIN | {"promote": promote})
    profile_reference(StageContext(shop.monitor, warehouse, settings, "run"))
    decide(shop.ctx, at(12))
    done = retraining.carry_out(shop.ctx)
    assert done is not None and (done.state, done.challenger_version) == ("promoted", NEW), done
    return shop


def model(shop: Shop, *arguments: str) -> str:
    return command(shop, "model", *arguments)


def command(shop: Shop, *arguments: str) -> str:
    """What the command prints; raises what it raises."""
    settings = ["--home", str(shop.settings.home), "--monitors", str(shop.settings.monitors_dir)]
    result = CliRunner().invoke(app, [*settings, *arguments])
    if result.exception is not None:
        raise result.exception
    return result.output


def listed(shop: Shop) -> dict[str, Any]:
    return {one["model_version"]: one for one in json.loads(model(shop, "list", "toy", "--json"))}


def test_list_and_show(shop: Shop) -> None:
    versions = listed(shop)
    assert {name: one["role"] for name, one in versions.items()} == {NEW: "champion", "v1": "retired"}
    assert versions[NEW]["compared"]["champion_version"] == "v1" and versions["v1"]["compared"] is None
    assert NEW in model(shop, "list", "toy")
    said = json.loads(model(shop, "show", "toy", "--json"))
    assert (said["model_version"], said["artifact"]) == (NEW, "whole")
    assert said["comparisons"][0]["guard"] == "headline" and said["promotions"][0]["kind"] == "promotion"
    text = model(shop, "show", "toy")
    assert "compared (headline): roc_auc" in text and "(promotion, by policy)" in text
    assert "artifact: none is kept here" in model(shop, "show", "toy", "v1")
    with pytest.raises(UserError, match="no registered version 'v9'"):
        model(shop, "show", "toy", "v9")


def test_back_and_forth(shop: Shop) -> None:
    said = model(shop, "rollback", "toy", "--reason", "complaints")
    assert said.startswith("v1 is the champion of toy. Its artifact is not kept here")
    assert listed(shop)["v1"]["role"] == "champion"
    assert f"{NEW} is the champion of toy; services see it in" in model(shop, "rollback", "toy")
    assert Path(promotion.pointer_path(shop.ctx)).exists()
    kinds = shop.query("select kind, reason from monitoring.promotion_current order by seq")
    assert [row.kind for row in kinds] == ["first", "promotion", "rollback", "rollback"]
    assert kinds[2].reason == "complaints"
    with pytest.raises(UserError, match="'v7' has never been the champion of toy"):
        model(shop, "rollback", "toy", "v7")
    with pytest.raises(UserError, match="is the champion of toy already"):
        model(shop, "promote", "toy", NEW)


def test_an_altered_artifact_is_said_and_not_brought_back(shop: Shop) -> None:
    model(shop, "rollback", "toy", "v1")
    (row,) = shop.query(f"select artifact_uri from monitoring.model_version_current where model_version = '{NEW}'")
    Path(row.artifact_uri).write_bytes(b"something else")
    assert "the file was altered" in model(shop, "show", "toy", NEW)
    for command in (("rollback", "toy"), ("promote", "toy", NEW)):
        with pytest.raises(UserError, match="was altered and is not loaded"):
            model(shop, *command)
    assert listed(shop)["v1"]["role"] == "champion"


def test_incidents_of_a_damaged_champion_close_with_the_rollback(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    run(StageContext(shop.monitor, shop.warehouse, shop.settings, "run"), range(2))
    (row,) = shop.query(f"select artifact_uri from monitoring.model_version_current where model_version = '{NEW}'")
    Path(row.artifact_uri).unlink()
    assert "cannot be read" in model(shop, "show", "toy")
    opened = "select state, severity from monitoring.incident_current where change = 'damaged artifact'"
    assert list(map(tuple, shop.query(opened))) == [("open", "critical")]
    folded: list[str] = []
    monkeypatch.setattr(incidents, "fold", lambda stages: folded.append(stages.monitor.name))
    model(shop, "rollback", "toy", "v1")
    assert list(map(tuple, shop.query(opened))) == [("resolved", "critical")]
    assert folded == ["toy"], "and those of its windows"


def test_pruned_versions_are_said_and_not_brought_back(shop: Shop) -> None:
    """Of four trained ones the newest is kept, and the one before it; one of another place is never touched."""
    for day in (13, 14, 15):
        decide(shop.ctx, at(day))
        assert retraining.carry_out(shop.ctx).state == "promoted"
    newest, before, *older = [f"2024-03-{day}-1" for day in (16, 15, 14, 13)]
    elsewhere = shop.toy.base / "elsewhere.skops"
    elsewhere.write_bytes(b"a model")
    brought = ModelVersion("brought", "retired", artifact_uri=str(elsewhere), artifact_sha256="0" * 64)
    shop.warehouse.run(lambda conn: register_version(conn, "toy", brought, run_id=None))
    files = {name: Path(one["artifact_uri"]) for name, one in listed(shop).items() if one["artifact_uri"]}
    shop.monitor = shop.toy.declare(retention={"artifact_versions": 1})

    (announced,) = json.loads(command(shop, "db", "prune", "--dry-run", "--json"))["monitors"]
    assert all(path.exists() for path in files.values()), "a dry run"
    assert listed(shop)[older[0]]["pruned_at"] is None
    (deleted,) = json.loads(command(shop, "db", "prune", "--json"))["monitors"]
    assert announced == deleted and deleted["artifacts"] == 2 and deleted["artifact_bytes"] > 0
    assert {name for name, path in files.items() if path.exists()} == {newest, before, "brought"}
    assert {name for name, one in listed(shop).items() if one["pruned_at"]} == set(older)
    assert re.search(r"pruned 20\d\d", model(shop, "list", "toy").replace("\n", " "))

    with pytest.raises(UserError, match=rf"the artifact of model version '{older[0]}' was deleted on 20"):
        model(shop, "rollback", "toy", older[0])
    assert listed(shop)[newest]["role"] == "champion"
    assert f"{before} is the champion" in model(shop, "rollback", "toy")
    assert json.loads(command(shop, "db", "prune", "--json"))["monitors"][0]["artifacts"] == 0


def test_a_file_that_a_crash_left_goes_the_next_time(shop: Shop) -> None:
    for day in (13, 14):
        decide(shop.ctx, at(day))
        retraining.carry_out(shop.ctx)
    old = Path(listed(shop)[NEW]["artifact_uri"])
    content = old.read_bytes()
    shop.monitor = shop.toy.declare(retention={"artifact_versions": 1})
    command(shop, "db", "prune")
    assert not old.exists()
    old.write_bytes(content)
    assert json.loads(command(shop, "db", "prune", "--json"))["monitors"][0]["artifacts"] == 1
    assert not old.exists()


versions = st.lists(
    st.builds(
        lambda name, age, there: ModelVersion(
            name,
            "retired",
            trained_at=None if age is None else MOMENT - timedelta(days=age),
            artifact_uri="a" if there else None,
        ),
        st.text("abc", min_size=1, max_size=3),
        st.none() | st.integers(0, 30),
        st.booleans(),
    ),
    unique_by=lambda one: one.model_version,
    max_size=12,
)


@given(versions, st.none() | st.integers(1, 30), st.none() | st.integers(1, 6), st.sets(st.sampled_from("abc")))
def test_which_are_given_up(known: list[ModelVersion], days: int | None, most: int | None, kept: set[str]) -> None:
    declared = Retention(artifacts=None if days is None else timedelta(days=days), artifact_versions=most)
    gone = too_many(known, kept, declared, MOMENT)
    there = [one for one in known if one.artifact_uri]
    left = [one for one in there if one not in gone]
    assert not kept & {one.model_version for one in gone}
    assert most is None or len([one for one in left if one.model_version not in kept]) <= most
    if most is None:
        assert gone == [] if days is None else {g.model_version for g in gone} == {
            one.model_version for one in there
            if one.model_version not in kept and one.trained_at and MOMENT - one.trained_at >= timedelta(days=days)
        }  # fmt: skip
    elif days is None:  # whatever is given up is no newer than anything of the kept number
        newest = sorted((one.trained_at or LONG_AGO for one in there), reverse=True)[:most]
        assert all((one.trained_at or LONG_AGO) <= min(newest) for one in gone)
