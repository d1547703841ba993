"""``db``: the database in use."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from monitoring_pipeline.cli.environment import open_warehouse
from monitoring_pipeline.cli.output import JsonOption, print_json, print_table, wants_json
from monitoring_pipeline.errors import DeclarationError, UserError
from monitoring_pipeline.settings import Settings

if TYPE_CHECKING:
    from monitoring_pipeline.monitors import Monitor
    from monitoring_pipeline.warehouse.database import Warehouse

PASSWORD_VARIABLE = "GRAFANA_READER_PASSWORD"

app = typer.Typer(help="The database: embedded, or the one DATABASE_URL names.", no_args_is_help=True)


@app.command()
def url(
    dagster: Annotated[bool, typer.Option(help="Dagster's database instead of the metrics database.")] = False,
) -> None:
    """Print the database's URL with the password, for psql and Grafana.

    The embedded server is started if needed, and runs from then on until `db stop`, whatever else begins or ends.
    """
    with _kept_warehouse() as warehouse:
        chosen = warehouse.dagster_url if dagster else warehouse.url
    typer.echo(chosen.replace("postgresql+psycopg2://", "postgresql://"))


@app.command()
def start() -> None:
    """Start the embedded server, and let it run until `db stop`. Without it a server stops with the last command."""
    if Settings().database_url:
        raise UserError("DATABASE_URL is set; its server is not started by this command")
    with _kept_warehouse() as warehouse:
        typer.echo(f"{warehouse.safe_url} runs until `monitoring-pipeline db stop`")


@contextmanager
def _kept_warehouse() -> Iterator[Warehouse]:
    """The database; an embedded server outlives this command and all that come after it."""
    with open_warehouse() as warehouse:
        if warehouse.server is not None:
            warehouse.server.keep_running()
        yield warehouse


@app.command()
def migrate() -> None:
    """Apply missing migrations to the schema, and let the role grafana_reader read its views."""
    from monitoring_pipeline.warehouse.reader_role import grant_views

    with open_warehouse() as warehouse:
        with warehouse.transaction() as connection:
            grant_views(connection)  # the role may have been made after the views
        typer.echo(f"the schema at {warehouse.safe_url} is up to date")


@app.command()
def reference() -> None:
    """Print the page of all views and their columns, as Markdown, from the comments in the database."""
    from monitoring_pipeline.warehouse.reference_page import page

    with open_warehouse() as warehouse, warehouse.transaction() as connection:
        typer.echo(page(connection), nl=False)


@app.command("grafana-role")
def grafana_role() -> None:
    """Let the role grafana_reader log in, with the password of $GRAFANA_READER_PASSWORD or one that is asked for.

    The role reads the public views and nothing else. Run again to change the password.
    """
    from monitoring_pipeline.warehouse.reader_role import READER, enable_login

    password = os.environ.get(PASSWORD_VARIABLE) or _ask_for_password(READER)
    with open_warehouse() as warehouse:
        with warehouse.transaction() as connection:
            enable_login(connection, password)
        typer.echo(f"{READER} may log in to {warehouse.engine.url.database} and read its views")


def _ask_for_password(role: str) -> str:
    """Typed twice at a terminal. Raises UserError without one."""
    if not sys.stdin.isatty():
        raise UserError(f"set {PASSWORD_VARIABLE} to the password that {role} is to have, or run this at a terminal")
    return str(typer.prompt(f"Password for {role}", hide_input=True, confirmation_prompt=True))


@app.command()
def prune(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print what would be deleted.")] = False,
    json: JsonOption = False,
) -> None:
    """Delete what the monitors' `retention` says is too old: rows of the database and files of the lake.

    The daily schedule `retention_daily` does the same. A monitor whose file cannot be read is left as it is.
    """
    from monitoring_pipeline.stages import retention

    settings, now = Settings(), datetime.now(UTC)
    monitors, broken = _readable_monitors(settings)
    with open_warehouse(settings) as warehouse:
        found = retention.prune_all(warehouse, settings, monitors, now, dry_run)
        dropped = [] if dry_run else retention.keep_months(warehouse, monitors, now)
    if wants_json(json):
        print_json({"dry_run": dry_run, "monitors": [asdict(one) for one in found], "dropped_partitions": dropped})
    else:
        print_table("Would be deleted" if dry_run else "Deleted", [asdict(one) for one in found])
        if dropped:
            typer.echo(f"dropped empty partitions: {', '.join(dropped)}")
        if not found:
            typer.echo(f"there are no monitors in {settings.monitors_dir}")
    for error in broken:
        typer.secho(f"skipped: {error}", fg="red", err=True)
    raise typer.Exit(1 if broken else 0)


def _readable_monitors(settings: Settings) -> tuple[list[Monitor], list[DeclarationError]]:
    """The monitors whose files can be read, and what is wrong with the others."""
    from monitoring_pipeline.monitors.loading import load_monitor, monitor_files

    monitors, broken = [], []
    for path in monitor_files(settings.monitors_dir):
        try:
            monitors.append(load_monitor(path))
        except DeclarationError as error:
            broken.append(error)
    return monitors, broken


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def psql(context: typer.Context) -> None:
    """Open psql on the metrics database; arguments are passed on, such as -c 'table monitoring.window_status'."""
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
    """Stop the embedded server. The server of DATABASE_URL is never stopped."""
    from monitoring_pipeline.warehouse.embedded import EmbeddedPostgres

    settings = Settings()
    if settings.database_url:
        raise UserError("DATABASE_URL is set; its server is not stopped by this command")
    typer.echo("stopped" if EmbeddedPostgres(settings.home).stop() else "was not running")
