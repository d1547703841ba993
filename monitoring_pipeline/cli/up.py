"""``up``: Postgres, Dagster's servers and daemon, and the exporter, kept running; one Ctrl-C stops all."""

from __future__ import annotations

import socket as socketlib
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from monitoring_pipeline.cli.dagster_services import MODULE, AllowedHosts, checked_names
from monitoring_pipeline.cli.environment import dagster_environment
from monitoring_pipeline.cli.grafana import start as start_grafana
from monitoring_pipeline.cli.processes import spawn, terminable
from monitoring_pipeline.cli.supervision import Process, Service, Supervisor, has_working_child
from monitoring_pipeline.errors import UserError
from monitoring_pipeline.settings import Settings

# The name is the one that `dagster dev` gave the location: schedules and sensors remember by it whether they are on.
WORKSPACE = """\
load_from:
  - grpc_server:
      socket: "{socket}"
      location_name: monitoring_pipeline.definitions
"""


def up(
    port: Annotated[int, typer.Option(help="Port of Dagster's web server, on loopback.", min=1, max=65535)] = 3000,
    exporter_port: Annotated[
        int, typer.Option(help="Port of the Prometheus exporter, on loopback.", min=1, max=65535)
    ] = 9187,
    grafana: Annotated[
        bool, typer.Option("--grafana", help="Start the `grafana` on the PATH too, provisioned.")
    ] = False,
    grafana_port: Annotated[int, typer.Option(help="Port of Grafana, on loopback.", min=1, max=65535)] = 3001,
    allow_host: AllowedHosts = None,
) -> None:
    """Serve everything on this machine until Ctrl-C."""
    names = checked_names(allow_host)
    serve(port, exporter_port, grafana_port=grafana_port if grafana else None, names=names)


def serve(
    port: int, exporter_port: int, replay: bool = False, grafana_port: int | None = None, names: Sequence[str] = ()
) -> None:
    """Runs the servers as children and keeps them running; UserError names the one that cannot be kept."""
    settings, web = Settings(), f"http://127.0.0.1:{port}"
    taken = {"--port": port, "--exporter-port": exporter_port} | (
        {"--grafana-port": grafana_port} if grafana_port else {}
    )
    _check_ports(taken)
    with terminable(), dagster_environment(settings) as warehouse, TemporaryDirectory(prefix="monitoring-") as private:
        services = _dagster(Path(private), port, names)
        replayed = ["--replay"] if replay else []
        exporter = ("-m", "monitoring_pipeline.cli", "exporter", "--port", str(exporter_port), *replayed)
        services["exporter"] = Service(lambda: spawn(*exporter))
        if grafana_port:
            services["Grafana"] = Service(lambda: start_grafana(warehouse, settings, grafana_port, web))
        supervisor = Supervisor(services, warehouse.server)
        try:
            typer.echo(f"Dagster   {web}")
            typer.echo(f"Exporter  http://127.0.0.1:{exporter_port}/metrics")
            typer.echo(f"Grafana   {_where_grafana_is(grafana_port)}")
            typer.echo("Database  monitoring-pipeline db url\nCtrl-C stops all.")
            supervisor.keep()
        except KeyboardInterrupt:
            typer.echo("stopping")
        finally:
            supervisor.stop()


def _dagster(private: Path, port: int, names: Sequence[str]) -> dict[str, Service]:
    """Dagster's three processes. The code server listens where only this user can come: who reaches it runs code."""
    socket = private / "code"
    workspace = private / "workspace.yaml"
    workspace.write_text(WORKSPACE.format(socket=socket))
    code = ("-m", "dagster", "code-server", "start", "-m", MODULE, "--socket", str(socket), "--log-level", "warning")
    web = ("-m", "monitoring_pipeline.cli.dagster_web", str(workspace), "127.0.0.1", str(port), *names)
    daemon = ("-m", "dagster._daemon", "run", "-w", str(workspace))

    def start_code() -> Process:
        socket.unlink(missing_ok=True)  # of one that was killed
        return spawn(*code)

    return {
        "code server": Service(start_code, lives=lambda child: has_working_child(child, unless=not socket.exists())),
        "web server": Service(lambda: spawn(*web), after=socket),
        "daemon": Service(lambda: spawn(*daemon), after=socket),
    }


def _check_ports(ports: dict[str, int]) -> None:
    """Raises UserError for one that is taken, before anything is started."""
    for option, port in ports.items():
        with socketlib.socket() as probe:
            probe.setsockopt(socketlib.SOL_SOCKET, socketlib.SO_REUSEADDR, 1)  # as servers do: one just left is free
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as error:
                raise UserError(f"port {port} cannot be had: {error.strerror}; choose another with {option}") from error


def _where_grafana_is(port: int | None) -> str:
    if port:
        return f"http://127.0.0.1:{port}"
    return "monitoring-pipeline grafana provision --dir DIR, for a Grafana of yours; or `up --grafana`"
