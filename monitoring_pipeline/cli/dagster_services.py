"""``dagster``: the parts of Dagster as services of their own, in containers say. ``up`` runs them together."""

from __future__ import annotations

import os
import re
import sys
from typing import Annotated

import typer

from monitoring_pipeline.cli.environment import dagster_environment, write_whole
from monitoring_pipeline.errors import UserError
from monitoring_pipeline.settings import Settings

MODULE = "monitoring_pipeline.definitions"
WORKSPACE = """\
load_from:
  - grpc_server:
      host: "{host}"
      port: {port}
      location_name: monitoring_pipeline
"""
app = typer.Typer(help="Dagster's code server, web server and daemon, each a service of its own.", no_args_is_help=True)
Host = Annotated[str, typer.Option(help="Address to bind to.")]
AllowedHosts = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-host", metavar="NAME",
        help="Host name by which a proxy or a browser asks for Dagster's pages, such as dagster.example.org or"
        " *.example.org; those of loopback are always allowed. Repeatable.",
    ),
]  # fmt: skip
Code = Annotated[str, typer.Option(metavar="HOST:PORT", help="Where the code server is.")]


@app.command()
def code(
    port: Annotated[int, typer.Option(help="Port to listen on.", min=1, max=65535)] = 4000, host: Host = "127.0.0.1"
) -> None:
    """Serve the assets of all monitors, and run them."""
    _become(Settings(), "dagster", "api", "grpc", "-m", MODULE, "-h", host, "-p", str(port))


@app.command()
def web(
    port: Annotated[int, typer.Option(help="Port to listen on.", min=1, max=65535)] = 3000,
    host: Host = "127.0.0.1",
    code: Code = "127.0.0.1:4000",
    allow_host: AllowedHosts = None,
) -> None:
    """Serve Dagster's pages, to our own pages and to programs only."""
    settings, names = Settings(), checked_names(allow_host)
    _become(settings, "monitoring_pipeline.cli.dagster_web", _workspace(settings, code), host, str(port), *names)


@app.command()
def daemon(
    code: Code = "127.0.0.1:4000",
    check: Annotated[bool, typer.Option("--check", help="Only tell by the exit code whether it lives.")] = False,
) -> None:
    """Run schedules, sensors and the queue of runs."""
    settings = Settings()
    if check:
        _become(settings, "dagster._daemon", "liveness-check")
    _become(settings, "dagster._daemon", "run", "-w", _workspace(settings, code))


def checked_names(names: list[str] | None) -> list[str]:
    """Raises UserError for what is neither a host name nor ``*.`` before one."""
    for name in names or []:
        if name != "*" and not re.fullmatch(r"(\*\.)?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*", name):
            raise UserError(f"--allow-host: {name!r} is no host name; write dagster.example.org or *.example.org")
    return names or []


def _workspace(settings: Settings, code: str) -> str:
    """Path of a file that says where the code server is. Raises UserError for what is no HOST:PORT."""
    host, colon, port = code.rpartition(":")
    if not (host and colon and port.isdigit() and '"' not in host):
        raise UserError(f"--code: {code!r} is no address; write HOST:PORT, as code:4000")
    path = settings.private("dagster") / "workspace.yaml"
    write_whole(path, WORKSPACE.format(host=host, port=port).encode())
    return str(path)


def _become(settings: Settings, module: str, *arguments: str) -> None:
    """This process becomes the service, so that signals reach it; the database is there and migrated by then.

    Raises UserError without DATABASE_URL: the embedded server would stop with us.
    """
    if not settings.database_url:
        raise UserError("set DATABASE_URL: services that run apart share a server of yours; `up` has one of its own")
    with dagster_environment(settings):
        pass
    os.execv(sys.executable, [sys.executable, "-m", module, *arguments])
