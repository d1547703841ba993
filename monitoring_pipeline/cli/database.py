"""``db``: the database in use."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import Annotated

import typer

from monitoring_pipeline.cli.environment import open_warehouse
from monitoring_pipeline.errors import UserError
from monitoring_pipeline.settings import Settings

app = typer.Typer(help="The database in use: embedded, or that of DATABASE_URL.", no_args_is_help=True)


@app.command()
def url(
    dagster: Annotated[bool, typer.Option(help="The database of Dagster's runs instead of the metrics.")] = False,
) -> None:
    """Start the server if need be, leave it running, print its URL with the password, for psql and Grafana."""
    from monitoring_pipeline.warehouse.database import Warehouse

    with Warehouse.open(Settings(), leave_running=True) as warehouse:
        chosen = warehouse.dagster_url if dagster else warehouse.url
    typer.echo(chosen.replace("postgresql+psycopg2://", "postgresql://"))


@app.command()
def migrate() -> None:
    """Bring the schema up to date; nothing happens when it is."""
    with open_warehouse() as warehouse:
        typer.echo(f"the schema at {warehouse.safe_url} is up to date")


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def psql(context: typer.Context) -> None:
    """Open psql on the metrics; arguments are passed on, such as -c 'table monitoring.window_status'."""
    program = shutil.which("psql")
    if program is None:
        raise UserError(
            "psql is not installed (Debian: postgresql-client); any client works with `monitoring-pipeline db url`"
        )
    with open_warehouse() as warehouse:
        address = warehouse.engine.url
        environment = {
            **os.environ,
            "PGPASSWORD": str(address.password or ""),
            "PGOPTIONS": "-c search_path=monitoring,public",
        }
        # The password goes by the environment: arguments can be read by every user of the machine.
        target = [
            "-h",
            address.host or "",
            "-p",
            str(address.port or 5432),
            "-U",
            address.username or "",
            address.database or "",
        ]
        done = subprocess.run([program, *[t for t in target if t], *context.args], env=environment, check=False)
    raise typer.Exit(1 if done.returncode else 0)


@app.command()
def stop() -> None:
    """Stop the embedded server. A server of DATABASE_URL is not ours to stop."""
    from monitoring_pipeline.warehouse.embedded import EmbeddedPostgres

    settings = Settings()
    if settings.database_url:
        raise UserError("DATABASE_URL is set: its server is not ours to stop")
    typer.echo("stopped" if EmbeddedPostgres(settings.home).stop() else "was not running")
