"""``model list``, ``show``, ``promote``, ``rollback``: the registry as a person sees it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from monitoring_pipeline.cli.app import app
from monitoring_pipeline.errors import UserError
from monitoring_pipeline.retraining import promotion
from monitoring_pipeline.settings import Settings
from monitoring_pipeline.stages import incidents, retraining
from monitoring_pipeline.stages.context import StageContext
from monitoring_pipeline.stages.reference import profile_reference
from monitoring_pipeline.warehouse.database import Warehouse
from monitoring_pipeline_tests.retraining.fakes import QuickTrainer, decide, quick
from monitoring_pipeline_tests.retraining.shop import RETRAIN, Shop, at
from monitoring_pipeline_tests.stages.story import run
from monitoring_pipeline_tests.toy import Toy

NEW = "2024-03-13-1"


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
    """What the command prints; raises what it raises."""
    settings = ["--home", str(shop.settings.home), "--monitors", str(shop.settings.monitors_dir)]
    result = CliRunner().invoke(app, [*settings, "model", *arguments])
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
