"""The sensor of retraining as the daemon asks it: one decision for the same evidence, asked for until it is done."""

from __future__ import annotations

from typing import Any

import pytest

from monitoring_pipeline.graph.factory import build_fleet, build_monitor_graph
from monitoring_pipeline_tests.front_door import QUIET, FrontDoor
from monitoring_pipeline_tests.toy import Toy, ready

DAYS = 4
DECLARED: dict[str, Any] = {
    "enabled": True,
    "estimator": {"class": "sklearn.linear_model.LogisticRegression"},
    "when": {"new_labels": {"rows": 500}},
    "guards": {"min_labels": 100},
    "promote": {"compare_on": "1d"},
}


@pytest.mark.slow
def test_new_labels_ask_for_one_retraining(door: FrontDoor) -> None:
    _, monitor = ready(door.base, DAYS, retrain=DECLARED)
    paused = Toy(door.base, name="paused").declare(retrain=DECLARED, paused=True)
    assert door.ask(monitor, "retraining") == []
    assert door.run(monitor, 0, DAYS - 1) is None

    (asked,) = door.ask_fleet([paused, monitor], "retraining")
    assert asked.job_name == "retrain_toy" and asked.run_key is None
    decided = door.query("select * from monitoring.retrain_decision_current")
    (row,) = decided.itertuples()
    assert (row.decision, row.trigger) == ("retrain", "new_labels")
    assert asked.tags["monitoring/decision"] == f"{row.decision_id}" and asked.tags["monitoring/monitor"] == "toy"
    # The daemon dies before the run begins, and another takes over: the same is asked for, nothing is decided anew.
    (again,) = door.ask(monitor, "retraining")
    assert again.tags == asked.tags
    assert door.query("select * from monitoring.retrain_decision_current").shape[0] == 1

    job = build_monitor_graph(monitor).get_job_def("retrain_toy")
    assert job.execute_in_process(instance=door.instance, run_config=QUIET, raise_on_error=False).success
    outcome = door.query("select outcome from monitoring.retrain_decision_current")["outcome"].tolist()
    assert outcome == ["inconclusive"], "one day says nothing of two models"
    tick = door.tick([monitor], "retraining")
    assert tick.run_requests == [] and tick.skip_message == "nothing new to decide on"


def test_only_monitors_whose_retraining_is_enabled_have_it(door: FrontDoor) -> None:
    monitor = Toy(door.base).declare(retrain=DECLARED | {"enabled": False})
    assert "retraining" not in {sensor.name for sensor in build_fleet([monitor]).sensors or ()}
