"""The one resource: hands the stages a plain ``StageContext``; the domain never sees Dagster."""

from __future__ import annotations

import atexit

import dagster as dg

from monitoring_pipeline.graph.orphans import PROCESS_TAG, this_process
from monitoring_pipeline.monitors import Monitor
from monitoring_pipeline.settings import Settings
from monitoring_pipeline.stages.context import StageContext
from monitoring_pipeline.warehouse.database import Warehouse

_open: dict[str, Warehouse] = {}


def warehouse_of(settings: Settings) -> Warehouse:
    """The process's connection to the metrics database; opened at first use (starts the embedded server, migrates)."""
    key = f"{settings.database_url}|{settings.home.resolve()}"
    if key not in _open:
        _open[key] = Warehouse.open(settings)
    return _open[key]


@atexit.register
def close_warehouses() -> None:
    """Closes what ``warehouse_of`` opened: the last user of an embedded server is the one that stops it."""
    while _open:
        _open.popitem()[1].close()


class MonitoringResource(dg.ConfigurableResource):
    """Where the system keeps its state: taken from MONITORING_HOME, DATABASE_URL and the other settings."""

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """Tags the run with the process that executes it, so that a run whose process died is found."""
        if context.run is not None and context.instance is not None:
            context.instance.add_run_tags(context.run.run_id, {PROCESS_TAG: this_process()})

    def settings(self) -> Settings:
        """Settings of this process, from its environment."""
        return Settings()

    def warehouse(self) -> Warehouse:
        """The process's own pooled warehouse."""
        return warehouse_of(self.settings())

    def stage_context(self, monitor: Monitor, run_id: str) -> StageContext:
        """What a stage of ``monitor`` works with in the run ``run_id``."""
        settings = self.settings()
        return StageContext(monitor, warehouse_of(settings), settings, run_id)


# One object: Dagster merges the graphs of several monitors only when they share their resources.
MONITORING = MonitoringResource()
