"""Performance before labels: estimated rows without any outcome, realized ones beside them later, and the gap."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from monitoring_pipeline_tests import toy
from monitoring_pipeline_tests.front_door import FrontDoor
from monitoring_pipeline_tests.toy import Task

HEADLINE = {"binary": "roc_auc", "multiclass": "f1_macro", "regression": "mae"}


def estimated(door: FrontDoor, metric: str, kind: str = "estimated") -> pd.DataFrame:
    return door.query(
        "select * from monitoring.performance_current where kind = :kind and metric = :metric and segment = '*'"
        " order by window_start",
        kind=kind,
        metric=metric,
    )


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_estimates_come_before_labels_and_the_gap_with_them(door: FrontDoor, task: Task) -> None:
    it, _ = toy.ready(door.base, 2, task)
    truth = sorted((it.base / "truth").glob("*"))
    kept = {path: path.read_bytes() for path in truth}
    for path in truth:
        path.unlink()
    monitor = it.declare()
    assert door.run(monitor, 0, 1) is None
    metric = HEADLINE[task]
    before = estimated(door, metric)
    assert len(before) == 2 and estimated(door, metric, "realized")["value"].notna().sum() == 0
    assert before["n_predictions"].tolist() == [toy.N_ROWS] * 2 and before["n_labelled"].tolist() == [0, 0]
    assert (before["ci_low"] < before["value"]).all() and (before["value"] < before["ci_high"]).all()
    assert door.query("select * from monitoring.concept_current").empty
    summary = door.query("select estimated from monitoring.window_summary_current order by window_start")
    assert summary["estimated"].tolist() == before["value"].tolist()

    for path, content in kept.items():
        Path(path).write_bytes(content)
    assert door.run(monitor, 0, 1) is None
    assert estimated(door, metric)["value"].tolist() == before["value"].tolist()
    realized = estimated(door, metric, "realized")["value"]
    gap = door.query("select * from monitoring.concept_current where metric = :m order by window_start", m=metric)
    assert gap["gap"].tolist() == pytest.approx((realized - before["value"]).tolist())
    assert (gap["z"].abs() < 3.5).all(), "the toy's concept stands"
    assert door.query("select * from monitoring.stale_window").empty


def test_a_pinned_bound_on_an_estimate_warns_until_outcomes_decide(door: FrontDoor) -> None:
    it, _ = toy.ready(door.base, 1)
    (truth,) = sorted((it.base / "truth").glob("*"))
    content = truth.read_bytes()
    truth.unlink()
    monitor = it.declare(thresholds={"performance": {"roc_auc": {"min": 0.99}}})
    assert door.run(monitor, 0) is None
    (incident,) = door.query("select severity, summary from monitoring.incident_current").itertuples(index=False)
    assert incident.severity == "warning" and "estimated, labels not in yet" in incident.summary
    assert estimated(door, "roc_auc")["degraded"].tolist() == [True]
    truth.write_bytes(content)
    assert door.run(monitor, 0) is None
    found = door.query("select severity, summary from monitoring.incident_current where state <> 'retracted'")
    assert not found["summary"].str.contains("estimated").any()


def test_what_cannot_be_estimated_says_why(door: FrontDoor) -> None:
    it, _ = toy.ready(door.base, 1)
    schema = {key: value for key, value in it.declaration()["schema"].items() if key != "score"}
    monitor = it.declare(schema=schema)
    assert door.run(monitor, 0) is None
    assert estimated(door, "roc_auc").empty
    (event,) = door.instance.fetch_materializations(
        dg.AssetKey([monitor.name, "estimated_performance"]), limit=1
    ).records
    assert event.asset_materialization is not None
    assert "no score is declared" in str(event.asset_materialization.metadata["not_estimated"].value)
