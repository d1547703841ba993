"""The daily schedule of retention: one for the whole code location, and its job does what ``db prune`` does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import dagster as dg
from sqlalchemy import text

from monitoring_pipeline.definitions import definitions
from monitoring_pipeline.graph.retention import retention_graph
from monitoring_pipeline.warehouse.database import Warehouse
from monitoring_pipeline_tests.front_door import QUIET, FrontDoor
from monitoring_pipeline_tests.toy import Toy, ready


def test_the_code_location_has_one_schedule_for_all_monitors(door: FrontDoor) -> None:
    for name in ("one", "two"):
        Toy(door.base, name=name).declare()
    door.base.joinpath("monitors", "slip.yaml").write_text("name: slip\n")
    repository = definitions().get_repository_def()
    (schedule,) = repository.schedule_defs
    assert (schedule.name, schedule.job_name) == ("retention_daily", "retention_job")
    assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING
    assert {"one_windows_job", "two_windows_job", "retention_job"} <= set(repository.job_names)


def test_the_job_prunes_every_monitor_and_makes_months_ahead(door: FrontDoor) -> None:
    _, monitor = ready(door.base, 3, labels={"max_delay": "1d"}, retention={"measurements": "30d"})
    assert door.run(monitor, 0, 2) is None
    with Warehouse.open(door.settings) as warehouse, warehouse.transaction() as conn:
        conn.execute(text("update monitoring.prediction_window set ingested_at = window_end"))
    job = retention_graph([monitor]).get_job_def("retention_job")
    assert job.execute_in_process(instance=door.instance, run_config=QUIET).success
    assert door.query("select count(*) from monitoring.measurement").iloc[0, 0] == 0
    assert door.query("select count(*) from monitoring.profile").iloc[0, 0] > 0
    soon = datetime.now(UTC) + timedelta(days=35)
    partition = f"monitoring.measurement_y{soon:%Y}m{soon:%m}"
    assert door.query("select to_regclass(:name) is not null", name=partition).iloc[0, 0]
