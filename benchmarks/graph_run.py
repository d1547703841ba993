"""What benchmarks of runs of a monitor's graph share: its reference, and CPU of this process and of Postgres."""

from __future__ import annotations

import resource

import psutil

from monitoring_pipeline.monitors import Monitor
from monitoring_pipeline.warehouse.database import Warehouse


def materialize_reference(monitor: Monitor) -> None:
    """The monitor's reference asset, run in this process."""
    import dagster as dg

    from monitoring_pipeline.graph.factory import build_monitor_graph

    job = build_monitor_graph(monitor).resolve_job_def(f"{monitor.name}_windows_job")
    with dg.DagsterInstance.get() as instance:
        key = dg.AssetKey([monitor.name, "reference"])
        quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
        assert job.execute_in_process(instance=instance, asset_selection=[key], run_config=quiet).success


def done(failed: str | None) -> None:
    """Raises RuntimeError with what ``run_range`` says has failed."""
    if failed:
        raise RuntimeError(failed)


def own_cpu() -> float:
    """Seconds of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def postgres_cpu(warehouse: Warehouse) -> float:
    """Seconds of the server and its processes, those that have ended included."""
    assert warehouse.server is not None and warehouse.server.status.pid is not None
    server = psutil.Process(warehouse.server.status.pid)
    ended, running = server.cpu_times(), [one.cpu_times() for one in server.children(recursive=True)]
    return sum(one.user + one.system for one in (ended, *running)) + ended.children_user + ended.children_system
