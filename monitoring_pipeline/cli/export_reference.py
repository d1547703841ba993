"""``reference``: the reference profile of the version in service, to ship with a model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from monitoring_pipeline.cli.environment import monitor_named, open_warehouse
from monitoring_pipeline.errors import UserError
from monitoring_pipeline.settings import Settings

if TYPE_CHECKING:
    from monitoring_pipeline.profiles.document import Reference

app = typer.Typer(help="The reference profile that windows and services are compared with.", no_args_is_help=True)


class Format(StrEnum):
    """How the reference is written: a JSON document, or series as Prometheus reads them."""

    json = "json"
    prom = "prom"


@app.callback()
def reference() -> None:
    """Keeps ``export`` a subcommand of its own."""


@app.command()
def export(
    name: Annotated[str, typer.Argument(help="Name of the monitor.")],
    format: Annotated[
        Format, typer.Option(help="json for `Monitoring(...)`, prom for Prometheus' text format.")
    ] = Format.json,
    version: Annotated[
        str | None, typer.Option(help="Model version. [the champion, else the declared one, else the only one]")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="File to write. [standard output]")] = None,
) -> None:
    """Write the reference of a model version: bins, categories and counts."""
    from monitoring_pipeline.profiles.document import to_document
    from monitoring_pipeline.warehouse import model_versions, profile_store

    settings = Settings()
    monitor = monitor_named(name, settings)
    with open_warehouse(settings) as warehouse, warehouse.transaction() as conn:
        references = profile_store.references(conn, name)
        wanted = version or model_versions.champion(conn, name) or monitor.reference.model_version
    if version is None and wanted not in references and len(references) == 1:
        (wanted,) = references
    if wanted not in references:
        known = ", ".join(sorted(references)) or f"none; `monitoring-pipeline run {name}` makes the declared one"
        raise UserError(f"{name} has no reference of model version {wanted!r}. There are: {known}")
    if format is Format.json:
        text = json.dumps(to_document(references[wanted]), indent=1, sort_keys=True) + "\n"
    else:
        text = _as_series(references[wanted])
    if out is None:
        typer.echo(text, nl=False)
    else:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text)
        typer.echo(f"wrote {out}", err=True)


def _as_series(made: Reference) -> str:
    """The constant series that an instrumented service publishes beside its counters, as Prometheus reads them."""
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.metrics_core import Metric
    from prometheus_client.registry import Collector

    from monitoring_pipeline.serving.reference_series import reference_families

    class Constants(Collector):
        def collect(self) -> Iterator[Metric]:
            return reference_families(made)

    registry = CollectorRegistry()
    registry.register(Constants())
    return generate_latest(registry).decode()
