"""A run whose process was killed is ended by whoever comes next; one that is worked on is left alone."""

from __future__ import annotations

import socket
import subprocess
import sys

import dagster as dg
import pytest

from monitoring_pipeline.graph.orphans import PROCESS_TAG, end_orphans, this_process
from monitoring_pipeline_tests.front_door import FrontDoor
from monitoring_pipeline_tests.toy import ready


def unfinished(instance: dg.DagsterInstance, process: str | None) -> str:
    """A run that Dagster believes to be under way."""
    tags = {"monitoring/monitor": "toy"} | ({PROCESS_TAG: process} if process else {})
    run = instance.create_run_for_job(
        dg.job(name="toy_job")(lambda: None), tags=tags, status=dg.DagsterRunStatus.STARTED
    )
    return run.run_id


@pytest.fixture
def dead_process() -> str:
    code = "from monitoring_pipeline.graph.orphans import this_process; print(this_process())"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_only_a_run_that_nobody_works_on_is_ended(dead_process: str) -> None:
    host = socket.gethostname()
    elsewhere = dead_process.replace(host, "another-host", 1)
    reused_pid = this_process().rpartition(":")[0] + ":1"
    with dg.DagsterInstance.ephemeral() as instance:
        left = [unfinished(instance, process) for process in (this_process(), elsewhere, None)]
        dead = [unfinished(instance, process) for process in (dead_process, reused_pid)]
        assert sorted(end_orphans(instance)) == sorted(dead)
        statuses = {run.run_id: run.status for run in instance.get_runs()}
        assert {statuses[run_id] for run_id in dead} == {dg.DagsterRunStatus.FAILURE}
        assert {statuses[run_id] for run_id in left} == {dg.DagsterRunStatus.STARTED}
        assert end_orphans(instance) == []


def test_the_sensors_wait_for_a_run_under_way_and_not_for_a_dead_one(door: FrontDoor, dead_process: str) -> None:
    it, monitor = ready(door.base, 1)
    assert door.run(monitor, 0) is None
    more = it.rows(0, 310).iloc[300:]
    it.write_log(more.assign(id="late-" + more["id"]), "straggler")
    alive = unfinished(door.instance, this_process())
    assert door.ask(monitor, "stale_windows") == []
    run = door.instance.get_run_by_id(alive)
    assert run is not None
    door.instance.report_run_failed(run)
    unfinished(door.instance, dead_process)
    (request,) = door.ask(monitor, "stale_windows")
    assert door.do(monitor, request)


def test_a_monitor_whose_runs_die_again_and_again_rests(door: FrontDoor, dead_process: str) -> None:
    it, monitor = ready(door.base, 1)
    assert door.run(monitor, 0) is None
    more = it.rows(0, 310).iloc[300:]
    it.write_log(more.assign(id="late-" + more["id"]), "straggler")
    for _ in range(2):
        unfinished(door.instance, dead_process)
        assert len(door.ask(monitor, "stale_windows")) == 1
    unfinished(door.instance, dead_process)
    assert door.ask(monitor, "stale_windows") == []
