"""``up``: Postgres, Dagster's web server and daemon, and the exporter; one Ctrl-C stops all."""

from __future__ import annotations

import subprocess
import time
from typing import Annotated

import typer

from monitoring_pipeline.cli.environment import dagster_environment
from monitoring_pipeline.cli.grafana import start as start_grafana
from monitoring_pipeline.cli.processes import spawn, stop, terminable
from monitoring_pipeline.errors import UserError
from monitoring_pipeline.settings import Settings


def up(
    port: Annotated[int, typer.Option(help="Port of Dagster's web server, on loopback.", min=1, max=65535)] = 3000,
    exporter_port: Annotated[
        int, typer.Option(help="Port of the Prometheus exporter, on loopback.", min=1, max=65535)
    ] = 9187,
    grafana: Annotated[
        bool, typer.Option("--grafana", help="Start the `grafana` on the PATH too, provisioned.")
    ] = False,
    grafana_port: Annotated[int, typer.Option(help="Port of Grafana, on loopback.", min=1, max=65535)] = 3001,
) -> None:
    """Serve everything on this machine until Ctrl-C."""
    serve(port, exporter_port, grafana_port=grafana_port if grafana else None)


def serve(port: int, exporter_port: int, replay: bool = False, grafana_port: int | None = None) -> None:
    """Runs the servers as children; when one dies the others are stopped and UserError names it."""
    dagster = ("-m", "dagster", "dev", "-m", "monitoring_pipeline.definitions", "-h", "127.0.0.1", "-p", str(port))
    exporter = ("-m", "monitoring_pipeline.cli", "exporter", "--port", str(exporter_port))
    children: dict[str, subprocess.Popen[bytes]] = {}
    settings, web = Settings(), f"http://127.0.0.1:{port}"
    with terminable(), dagster_environment(settings) as warehouse:
        try:
            if grafana_port:
                children["Grafana"] = start_grafana(warehouse, settings, grafana_port, web)
            children["Dagster"] = spawn(*dagster)
            children["exporter"] = spawn(*exporter, *(["--replay"] if replay else []))
            typer.echo(f"Dagster   {web}")
            typer.echo(f"Exporter  http://127.0.0.1:{exporter_port}/metrics")
            typer.echo(f"Grafana   {_where_grafana_is(grafana_port)}")
            typer.echo("Database  monitoring-pipeline db url\nCtrl-C stops all.")
            _wait(children)
        except KeyboardInterrupt:
            typer.echo("stopping")
        finally:
            stop(list(children.values()))


def _where_grafana_is(port: int | None) -> str:
    if port:
        return f"http://127.0.0.1:{port}"
    return "monitoring-pipeline grafana provision --dir DIR, for a Grafana of yours; or `up --grafana`"


def _wait(children: dict[str, subprocess.Popen[bytes]]) -> None:
    while True:
        for name, child in children.items():
            if child.poll() is not None:
                raise UserError(
                    f"{name} ended with exit code {child.returncode}; see its output above. Is its port in use?"
                )
        time.sleep(0.5)
