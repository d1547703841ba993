"""Dagster's web server behind our gate, as ``up`` and ``dagster web`` start it.

    python -m monitoring_pipeline.cli.dagster_web WORKSPACE HOST PORT [NAME…]

Dagster's own command takes no middleware. NAME: further host names by which it may be asked for.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

STATEMENT_TIMEOUT_MS = 15_000
RECYCLE_SECONDS = 3_600
MOST_CONNECTIONS = 20
POLL_MS = 2_000  # how often a page asks again for what changes; as `dagster dev`


def serve(workspace: str, host: str, port: int, names: Sequence[str] = ()) -> None:
    """Runs until SIGINT or SIGTERM. ``DAGSTER_HOME`` says which instance."""
    import uvicorn
    from dagster import DagsterInstance
    from dagster._core.workspace.context import WorkspaceProcessContext
    from dagster._core.workspace.load_target import WorkspaceFileTarget
    from dagster._utils.log import configure_loggers
    from dagster_webserver.app import create_app_from_workspace_process_context as create_app
    from dagster_webserver.version import __version__

    from monitoring_pipeline.cli.web_gate import gated

    configure_loggers(formatter="colored", log_level="INFO")
    with DagsterInstance.get() as instance:
        instance.optimize_for_webserver(STATEMENT_TIMEOUT_MS, RECYCLE_SECONDS, MOST_CONNECTIONS)
        target = WorkspaceFileTarget([workspace])
        with WorkspaceProcessContext(instance, workspace_load_target=target, version=__version__) as context:
            app = gated(create_app(context, live_data_poll_rate=POLL_MS), names)
            uvicorn.run(app, host=host, port=port, log_level="warning")


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4:])
