"""``exporter``: the monitor's own metrics for Prometheus."""

from __future__ import annotations

from typing import Annotated

import typer

from monitoring_pipeline.cli.environment import open_warehouse


def exporter(
    port: Annotated[int, typer.Option(help="Port to serve /metrics and /healthz on.", min=1, max=65535)] = 9187,
    host: Annotated[str, typer.Option(help="Address to bind to.")] = "127.0.0.1",
    replay: Annotated[
        bool,
        typer.Option("--replay", help="Show the newest values regardless of age, for a replay such as the demo."),
    ] = False,
) -> None:
    """Serve the newest values of every monitor, and the health of monitoring itself, until Ctrl-C."""
    from monitoring_pipeline.exporter import serve

    with open_warehouse() as warehouse:
        typer.echo(f"serving http://{host}:{port}/metrics")
        serve(warehouse, port, host, replay=replay)
