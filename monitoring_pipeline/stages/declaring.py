"""Makes a monitor and the stages known to the warehouse."""

from sqlalchemy import Connection

from monitoring_pipeline.monitors import Monitor
from monitoring_pipeline.stages.catalogue import STAGES, stage_configs
from monitoring_pipeline.warehouse import ledger


def declare(conn: Connection, monitor: Monitor) -> None:
    """Keeps the stage catalogue and the monitor's declaration; the same once more changes nothing."""
    ledger.know_stages(conn, [(stage.name, stage.asset, stage.needs_labels) for stage in STAGES])
    ledger.declare_monitor(conn, monitor, stage_configs(monitor))
