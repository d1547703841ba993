"""The Typer application: global options, commands, and what a user's mistake looks like."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from monitoring_pipeline import __version__
from monitoring_pipeline.cli import (
    backtest,
    collector,
    dagster_services,
    database,
    declare,
    demo,
    example,
    export_reference,
    exporter,
    grafana,
    incidents,
    judge,
    model,
    output,
    retrain,
    run,
    status,
    up,
)
from monitoring_pipeline.errors import UserError, storable

app = typer.Typer(
    name="monitoring-pipeline",
    help="Orchestrated model monitoring: declare a monitor in YAML, run its graph, query the results in Postgres.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


def _version(value: bool) -> None:
    if value:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def options(
    home: Annotated[Path | None, typer.Option(help="Where state is kept. [$MONITORING_HOME, ./.monitoring]")] = None,
    monitors: Annotated[
        Path | None, typer.Option(help="Directory of monitor files. [$MONITORS_DIR, ./monitors]")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print data as JSON.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log what happens.")] = False,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True)] = False,
) -> None:
    """Global options become the environment, so that every child process sees the same."""
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING, format="%(levelname)s %(name)s: %(message)s"
    )
    if not verbose:
        # What Dagster's storage logs at each attempt to reach a database; in the end one message says it.
        for handler in logging.getLogger().handlers:
            handler.addFilter(lambda record: not str(record.msg).startswith("Retrying failed database connection"))
    output.as_json.set(json)
    # Our sessions set what they need; Dagster's would take these, and a word that Postgres does not know stops them.
    os.environ.pop("PGOPTIONS", None)
    os.environ["MONITORING_HOME"] = str((home or Path(os.environ.get("MONITORING_HOME", ".monitoring"))).resolve())
    os.environ["MONITORS_DIR"] = str((monitors or Path(os.environ.get("MONITORS_DIR", "monitors"))).resolve())


app.command("demo")(demo.demo)
app.command("init")(declare.init)
app.command("validate")(declare.validate)
app.command("run")(run.run)
app.command("judge")(judge.judge)
app.command("incidents")(incidents.incidents)
app.command("retrain")(retrain.retrain)
app.command("backtest")(backtest.backtest)
app.command("up")(up.up)
app.command("status")(status.status)
app.command("exporter")(exporter.exporter)
app.command("collector")(collector.collector)
app.add_typer(model.app, name="model")
app.add_typer(database.app, name="db")
app.add_typer(dagster_services.app, name="dagster")
app.add_typer(grafana.app, name="grafana")
app.add_typer(export_reference.app, name="reference")
app.add_typer(collector.keys, name="collector-key")
app.add_typer(example.app, name="example")


def main() -> None:
    """Entry point of ``monitoring-pipeline``."""
    try:
        app()
    except UserError as error:
        typer.secho(str(error), fg="red", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        typer.echo("stopped", err=True)
        sys.exit(1)
    except Exception as error:
        said = _of_surroundings(error)
        if said is None:
            raise
        typer.secho(storable(said), fg="red", err=True)
        sys.exit(1)


def _of_surroundings(error: Exception) -> str | None:
    """What the user can mend where no one place of ours can say it; None for a defect of ours."""
    if isinstance(error, ValidationError) and error.title == "Settings":
        return "\n".join(
            f"{'.'.join(map(str, one['loc']))}: {one['msg']}, not {one['input']!r}; correct this environment variable"
            for one in error.errors()
        )
    home = os.environ.get("MONITORING_HOME", "")
    if isinstance(error, OSError) and home and str(error.filename or "").startswith(home):
        return f"{error.filename}: {error.strerror}; let this user write below {home}, or name another home by --home"
    if type(error).__name__ in (
        "DagsterPostgresException",
        "OperationalError",
    ):  # Dagster's own connections are told so
        why = str(error.__cause__ or error).strip().splitlines()[0]
        return f"Dagster's database does not answer ({why}); start the server again, then repeat the command"
    duckdb = sys.modules.get("duckdb")  # not imported for commands that need none of it
    if duckdb is not None and isinstance(error, duckdb.OutOfMemoryException):
        return (
            "the sources need more memory than DuckDB may use; set MONITORING_DUCKDB_MEMORY to more (600MB when it is"
            " not set), or read smaller files of fewer columns"
        )
    return None
