"""``grafana``: files for a Grafana that is there already; and the Grafana that ``up --grafana`` starts."""

from __future__ import annotations

import os
import secrets
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from monitoring_pipeline.cli.environment import open_warehouse
from monitoring_pipeline.cli.grafana_files import PASSWORD, YOURS, environment, write_files
from monitoring_pipeline.cli.processes import launch
from monitoring_pipeline.errors import UserError
from monitoring_pipeline.settings import Settings

if TYPE_CHECKING:
    from monitoring_pipeline.warehouse.database import Warehouse

PROMETHEUS = "http://127.0.0.1:9090"
app = typer.Typer(help="Dashboards and alerts for Grafana.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Dashboards and alerts for Grafana."""


@app.command()
def provision(
    directory: Annotated[Path, typer.Option("--dir", help="Where the files go.")],
    dagster_url: Annotated[str, typer.Option(help="Dagster as people reach it.")] = "http://127.0.0.1:3000",
    prometheus_url: Annotated[str, typer.Option(help="Prometheus as Grafana reaches it.")] = PROMETHEUS,
) -> None:
    """Write data sources, dashboards and alert rules for a Grafana of yours, and say how to start it with them.

    Contact points and routes are written once; what you change in them stays.
    """
    kept = write_files(directory)
    with open_warehouse() as warehouse:
        variables = environment(directory, warehouse.url, dagster_url, prometheus_url)
    for name, value in variables.items():
        typer.echo(f"{name}={shlex.quote(value)}")
    for name in kept:
        typer.secho(
            f"kept your {directory / name}; ours is as shipped with `grafana provision` into an empty directory",
            err=True,
        )
    typer.secho(_what_next(directory), err=True)


def _what_next(directory: Path) -> str:
    return (
        f"Written to {directory}. Give Grafana the environment above and {PASSWORD}, the password that"
        " `monitoring-pipeline db grafana-role` sets, and restart it."
        f" Adapt {directory / YOURS[0]}: where alerts go."
    )


def start(warehouse: Warehouse, settings: Settings, port: int, dagster: str) -> subprocess.Popen[bytes]:
    """Grafana on loopback with everything provisioned, its state below the home.

    Raises UserError when there is no ``grafana`` on the PATH, or no password for its role can be had.
    """
    program = shutil.which("grafana")
    if program is None:
        raise UserError(
            "there is no program `grafana` on the PATH; install Grafana (https://grafana.com/grafana/download), or run"
            " `monitoring-pipeline grafana provision --dir DIR` for one that runs elsewhere"
        )
    directory = settings.home.resolve() / "grafana"
    write_files(directory)
    password = _reader_password(warehouse)
    variables = environment(directory, warehouse.url, dagster, os.environ.get("PROMETHEUS_URL", PROMETHEUS))
    variables |= {name: os.environ[name] for name in ("ALERT_PAGE_URL", "ALERT_TICKET_URL") if name in os.environ}
    home = _install_directory(Path(program))
    command = [program, "server", *(["--homepath", str(home)] if home else [])]
    return launch(command, variables | {PASSWORD: password} | _server(directory, port))


def _reader_password(warehouse: Warehouse) -> str:
    """The password in the environment; of the embedded server's role a new one at each start, kept nowhere."""
    from monitoring_pipeline.warehouse.reader_role import enable_login

    if password := os.environ.get(PASSWORD):
        return password
    if warehouse.server is None:
        raise UserError(
            f"set {PASSWORD} to the password of grafana_reader; `monitoring-pipeline db grafana-role` sets it"
        )
    password = secrets.token_urlsafe(24)
    with warehouse.transaction() as connection:
        enable_login(connection, password)
    return password


def _server(directory: Path, port: int) -> dict[str, str]:
    """Loopback; everybody there may look; an administrator only with $GRAFANA_PASSWORD."""
    password = os.environ.get("GRAFANA_PASSWORD")
    login = {"GF_SECURITY_ADMIN_PASSWORD": password} if password else {
        "GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION": "true",
        "GF_AUTH_DISABLE_LOGIN_FORM": "true",
    }  # fmt: skip
    return login | {
        "GF_SERVER_HTTP_ADDR": "127.0.0.1",
        "GF_SERVER_HTTP_PORT": str(port),
        "GF_SERVER_ROOT_URL": f"http://127.0.0.1:{port}/",
        "GF_PATHS_DATA": str(directory / "data"),
        "GF_PATHS_LOGS": str(directory / "logs"),
        "GF_PATHS_PLUGINS": str(directory / "plugins"),
        "GF_LOG_LEVEL": "warn",
        "GF_AUTH_ANONYMOUS_ENABLED": "true",
        "GF_AUTH_ANONYMOUS_ORG_ROLE": "Viewer",
        "GF_ANALYTICS_REPORTING_ENABLED": "false",
        "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
        "GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES": "false",
        "GF_SECURITY_DISABLE_GRAVATAR": "true",
        "GF_NEWS_NEWS_FEED_ENABLED": "false",
        "GF_PLUGINS_PREINSTALL_DISABLED": "true",
    }


def _install_directory(program: Path) -> Path | None:
    """Where Grafana's own files lie: beside its ``bin``, or where packages put them. None: it finds them itself."""
    named = [Path(os.environ["GF_PATHS_HOME"])] if "GF_PATHS_HOME" in os.environ else []
    for place in (*named, program.resolve().parent.parent, Path("/usr/share/grafana")):
        if (place / "conf" / "defaults.ini").is_file():
            return place
    return None
