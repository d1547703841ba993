"""The demo's first champion is one like those that follow: it can be loaded, compared, and brought back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from monitoring_pipeline.demo.registering import register
from monitoring_pipeline.monitors.loading import load_monitor
from monitoring_pipeline.resources import data_dir
from monitoring_pipeline.retraining import artifacts, promotion, scoring
from monitoring_pipeline.retraining.context import RetrainContext
from monitoring_pipeline.settings import Settings
from monitoring_pipeline.stages.declaring import declare
from monitoring_pipeline.warehouse import attempt_store, model_versions
from monitoring_pipeline.warehouse.database import Warehouse
from monitoring_pipeline.warehouse.model_versions import ModelVersion

from .conftest import Demo

NAME, FIRST = "late15_retrained", "2013-q1"


def versions(ctx: RetrainContext) -> dict[str, ModelVersion]:
    return ctx.warehouse.run(lambda conn: model_versions.model_versions(conn, NAME))


@pytest.mark.slow
def test_the_first_champion_is_loaded_and_brought_back(
    demo: Demo, warehouse: Warehouse, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MONITORING_HOME", str(demo.home))
    monitor = load_monitor(data_dir("monitors") / f"{NAME}.yaml")
    card = next(one for one in demo.prepared.cards if one.monitor == "late15")
    ctx = RetrainContext(monitor, warehouse, settings, "test")
    warehouse.run(lambda conn: declare(conn, monitor))
    register(ctx, card)
    first = versions(ctx)[FIRST]
    assert (first.role, first.artifact_format, first.n_rows) == ("champion", "skops", card.n_fitted)

    rows = demo.reference("late15").head(2000)
    said = scoring.outputs(artifacts.load(ctx, FIRST), rows, monitor)
    np.testing.assert_allclose(said["score"], rows["score"], atol=1e-12)
    assert said["prediction"].astype(int).tolist() == rows["prediction"].tolist()

    register(ctx, card)
    assert versions(ctx)[FIRST] == first, "the artifact is not written again"
    assert first.artifact_uri is not None
    later = replace(first, model_version="later", role="challenger")
    warehouse.run(lambda conn: model_versions.register_version(conn, NAME, later, run_id="test"))
    promotion.crown(ctx, "later", "manual", "test", "test")
    Path(first.artifact_uri).write_bytes(b"")
    register(ctx, card)
    assert {name: one.role for name, one in versions(ctx).items()} == {FIRST: "retired", "later": "champion"}
    artifacts.load(ctx, FIRST)
    promotion.crown(ctx, FIRST, "rollback", "test", "test")
    made = warehouse.run(lambda conn: attempt_store.promotions(conn, NAME))
    assert [(one.kind, one.model_version) for one in made] == [
        ("first", FIRST), ("manual", "later"), ("rollback", FIRST),
    ]  # fmt: skip
