"""What a run plans is stored in one statement, as Dagster's own storage would store it event by event."""

from __future__ import annotations

import dagster as dg
import sqlalchemy as sa
from dagster_postgres import PostgresEventLogStorage

from monitoring_pipeline.cli.environment import dagster_environment
from monitoring_pipeline.graph.storage import BatchingEventLog
from monitoring_pipeline.settings import Settings

PARTITIONS = dg.DailyPartitionsDefinition("2024-03-01", end_date="2024-03-05")
ROWS = sa.text("""
select dagster_event_type, step_key, asset_key, partition from event_logs where run_id = :run_id order by id
""")
CHECKS = sa.text("""
select asset_key, check_name, execution_status from asset_check_executions where run_id = :run_id order by check_name
""")


@dg.multi_asset(specs=[dg.AssetSpec(name, partitions_def=PARTITIONS) for name in ("left", "right")])
def both():
    for name in ("left", "right"):
        yield dg.MaterializeResult(asset_key=name)


@dg.asset_check(asset="left")
def sound() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


def _run(instance: dg.DagsterInstance, storage: type[PostgresEventLogStorage]) -> str:
    """A run of a range with this event storage; its number."""
    log = instance.event_log_storage
    log.__class__ = storage
    job = dg.Definitions([both], asset_checks=[sound], jobs=[dg.define_asset_job("all")]).resolve_job_def("all")
    tags = {"dagster/asset_partition_range_start": "2024-03-01", "dagster/asset_partition_range_end": "2024-03-04"}
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    result = job.execute_in_process(instance=instance, tags=tags, run_config=quiet)
    assert result.success
    return result.run_id


def test_planned_events_are_stored_as_dagster_stores_them(monkeypatch, tmp_path):
    monkeypatch.setenv("MONITORING_HOME", str(tmp_path))
    with dagster_environment(Settings()), dg.DagsterInstance.get() as instance:
        assert isinstance(instance.event_log_storage, BatchingEventLog)
        kept = {}
        for storage in (PostgresEventLogStorage, BatchingEventLog):
            run_id = _run(instance, storage)
            with instance.event_log_storage._connect() as conn:
                rows = [tuple(row[:4]) for row in conn.execute(ROWS, {"run_id": run_id})]
                checks = [tuple(row) for row in conn.execute(CHECKS, {"run_id": run_id})]
                last = conn.execute(sa.text("select last_run_id from asset_keys order by asset_key")).scalars().all()
            assert last == [run_id, run_id]
            kept[storage] = rows, checks
        theirs, ours = kept[PostgresEventLogStorage], kept[BatchingEventLog]
        assert ours == theirs
        planned = [row for row in ours[0] if row[0] == "ASSET_MATERIALIZATION_PLANNED"]
        assert len(planned) == 8 and {row[3] for row in planned} == set(PARTITIONS.get_partition_keys())
