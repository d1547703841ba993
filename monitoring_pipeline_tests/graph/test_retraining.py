"""The whole loop through Dagster's job: declared estimator, child process, comparison, promotion, the next version."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from monitoring_pipeline.graph.factory import build_monitor_graph
from monitoring_pipeline.graph.keys import RETRAINING, asset_key
from monitoring_pipeline.graph.resources import warehouse_of
from monitoring_pipeline.monitors import Monitor
from monitoring_pipeline.retraining.context import RetrainContext
from monitoring_pipeline.serving import read_champion
from monitoring_pipeline_tests.front_door import QUIET, FrontDoor
from monitoring_pipeline_tests.retraining.fakes import decide
from monitoring_pipeline_tests.toy import START, Toy, day

DAYS = 16
DECLARED: dict[str, Any] = {
    "enabled": True,
    "estimator": {"class": "sklearn.linear_model.LogisticRegression"},
    "guards": {"min_labels": 100},
    "when": {"new_labels": {"rows": 1000}},
    "promote": {"compare_on": "7d", "least_days": 5, "least_rows": 500, "margin": 0.05},
}


def opened(door: FrontDoor, **retrain: Any) -> tuple[Toy, Monitor]:
    toy = Toy(door.base)
    toy.write_reference()
    toy.write_days(range(DAYS))
    return toy, toy.declare(retrain=DECLARED | retrain, labels={"max_delay": "2d"})


def context(door: FrontDoor, monitor: Monitor) -> RetrainContext:
    return RetrainContext(monitor, warehouse_of(door.settings), door.settings, "test")


def retrain(door: FrontDoor, monitor: Monitor, tags: dict[str, str] | None = None) -> dg.ExecuteInProcessResult:
    job = build_monitor_graph(monitor).resolve_job_def(f"retrain_{monitor.name}")
    return job.execute_in_process(instance=door.instance, run_config=QUIET, tags=tags, raise_on_error=False)


def materialized(result: dg.ExecuteInProcessResult, monitor: Monitor) -> dict[str, dict[str, Any]]:
    """By asset: the metadata of its materialization."""
    events = [
        event.step_materialization_data.materialization
        for event in result.all_events
        if event.event_type_value == "ASSET_MATERIALIZATION"
    ]  # fmt: skip
    return {e.asset_key.path[-1]: {k: getattr(v, "value", v) for k, v in e.metadata.items()} for e in events}


@pytest.mark.slow
def test_from_a_decision_to_the_champion_that_answers(door: FrontDoor) -> None:
    toy, monitor = opened(door)
    assert door.run(monitor, 0, DAYS - 1) is None

    nothing = retrain(door, monitor)
    assert nothing.success and not materialized(nothing, monitor)

    (request,) = door.ask(monitor, "retraining")
    assert request.job_name == "retrain_toy"
    result = retrain(door, monitor, dict(request.tags))
    assert result.success
    shown = materialized(result, monitor)
    assert list(shown) == list(RETRAINING)
    name = shown["training_set"]["challenger"]
    assert shown["training_set"]["rows"] + shown["training_set"]["rows_held_out"] > 1000
    assert shown["candidate"]["algorithm"] == "LogisticRegression" and shown["candidate"]["seconds"] > 0
    assert 0.5 < shown["evaluation"]["roc_auc"] < 1
    assert shown["comparison"]["outcome"] == "promote" and "against the champion's" in shown["comparison"]["reason"]
    pictures = {key for key, value in shown["comparison"].items() if str(value).startswith("![picture]")}
    assert pictures == {"roc", "reliability", "gain"}
    assert sum(len(str(value)) for value in shown["comparison"].values()) < 150_000
    assert shown["promotion"]["state"] == "promoted"

    pointer = read_champion(shown["promotion"]["pointer"])
    assert pointer.model_version == name and Path(pointer.reference).exists()
    said = door.query("select model_version, role from monitoring.model_version_current order by role")
    assert said.values.tolist() == [[name, "champion"], ["v1", "retired"]]
    compared = door.query("select guard, verdict, rows_from, rows_to from monitoring.model_comparison_current")
    version = door.query("select * from monitoring.model_version_current where role = 'champion'").iloc[0]
    assert (compared["rows_from"] >= version["train_end"]).all()
    assert set(compared["guard"]) == {"headline", "segment", "calibration"}
    assert door.query("select outcome from monitoring.retrain_decision_current")["outcome"].tolist() == ["promoted"]
    assert door.ask(monitor, "retraining") == []

    # The service logs the new version from now on; its windows are compared with its own reference.
    rows = toy.rows(DAYS).assign(version=name)
    toy.write_log(rows, f"{START + timedelta(days=DAYS)}")
    assert door.run(monitor, DAYS) is None
    drift = door.query(
        "select distinct model_version, n_reference from monitoring.drift_current"
        f" where window_start >= '{day(DAYS).start}' and baseline = 'training' and segment = '*'"
        " and column_name = 'amount'"
    )
    held_out = shown["evaluation"]["reference_rows"]
    assert drift["model_version"].tolist() == [name] and drift["n_reference"].tolist() == [held_out]


def test_a_failed_attempt_fails_the_run_and_says_why(door: FrontDoor) -> None:
    _, monitor = opened(door, guards={"min_labels": 100_000})
    assert door.run(monitor, 0, DAYS - 1) is None
    decide(context(door, monitor), day(DAYS - 1).end)
    result = retrain(door, monitor)
    assert not result.success
    failures = [e for e in result.all_events if e.event_type_value == "STEP_FAILURE"]
    assert "failed in training" in str(failures[0].event_specific_data)
    assert "retrain.guards.min_labels asks for 100000" in str(failures[0].event_specific_data)
    assert list(materialized(result, monitor)) == ["training_set"]


def test_only_a_monitor_that_says_how_has_these_assets(tmp_path: Path) -> None:
    toy = Toy(tmp_path)
    without, having = toy.declare(), toy.declare(retrain=DECLARED)
    keys = {asset_key(having, name) for name in RETRAINING}

    def assets(monitor: Monitor) -> set[dg.AssetKey]:
        return set(build_monitor_graph(monitor).resolve_all_asset_keys())

    assert assets(having) - assets(without) == keys
    windows = build_monitor_graph(having).resolve_job_def("toy_windows_job")
    assert not keys & set(windows.asset_layer.selected_asset_keys)
