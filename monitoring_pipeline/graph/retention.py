"""Once a day what the monitors' ``retention`` says is too old is deleted, and next months' partitions are created."""

from collections.abc import Sequence
from datetime import UTC, datetime

import dagster as dg

from monitoring_pipeline.errors import UserError
from monitoring_pipeline.graph.resources import MONITORING, MonitoringResource
from monitoring_pipeline.monitors import Monitor
from monitoring_pipeline.stages import retention as stage

DAILY = "23 3 * * *"  # UTC: away from the full hour, at which windows are taken in


def retention_graph(monitors: Sequence[Monitor]) -> dg.Definitions:
    """The job ``retention_job`` for all monitors of the code location, and its daily schedule, switched on."""

    @dg.op(name="retention", description="Deletes what is too old, as `monitoring-pipeline db prune` does.")
    def prune(context: dg.OpExecutionContext, monitoring: MonitoringResource) -> None:
        now, warehouse = datetime.now(UTC), monitoring.warehouse()
        try:
            for done in stage.prune_all(warehouse, monitoring.settings(), monitors, now):
                context.log.info(" ".join(f"{what}={n}" for what, n in vars(done).items()))
            dropped = stage.keep_months(warehouse, monitors, now)
        except UserError as error:
            raise dg.Failure(description=str(error), allow_retries=False) from error
        context.log.info(f"dropped partitions: {', '.join(dropped) or 'none'}")

    @dg.job(
        name="retention_job",
        description="Deletes what the monitors' `retention` says is too old.",
        executor_def=dg.in_process_executor,
    )
    def retention_job() -> None:
        prune()

    schedule = dg.ScheduleDefinition(
        name="retention_daily",
        job=retention_job,
        cron_schedule=DAILY,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Daily: deletes what is past its retention and creates partitions for the coming months.",
    )
    return dg.Definitions(
        jobs=[retention_job],
        schedules=[schedule],
        resources={"monitoring": MONITORING},
        executor=dg.in_process_executor,
    )
