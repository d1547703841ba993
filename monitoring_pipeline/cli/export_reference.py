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
    from monitoring_pipeline.monitors import Monitor
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
    """Write the reference of a model version: bins, categories and counts.

    The declared one is made first if it is not there: a service needs it before its first prediction. Declared features
    without a value in it are named: there is nothing to compare them with.
    """
    from monitoring_pipeline.profiles.document import to_document

    settings = Settings()
    monitor = monitor_named(name, settings)
    made = _reference(monitor, settings, version)
    _warn_of_lacking(monitor, made)
    text = json.dumps(to_document(made), indent=1, sort_keys=True) + "\n" if format is Format.json else _as_series(made)
    if out is None:
        typer.echo(text, nl=False)
    else:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text)
        typer.echo(f"wrote {out}", err=True)


def _reference(monitor: Monitor, settings: Settings, version: str | None) -> Reference:
    """Raises UserError for a version that there is not, SourceError for a declared reference that cannot be read."""
    from monitoring_pipeline.stages.context import StageContext
    from monitoring_pipeline.stages.reference import profile_reference
    from monitoring_pipeline.warehouse import model_versions, profile_store

    name, declared = monitor.name, monitor.reference.model_version
    with open_warehouse(settings) as warehouse:

        def kept() -> tuple[dict[str, Reference], str | None]:
            with warehouse.transaction() as conn:
                found = profile_store.references(conn, name)
                return found, version or model_versions.champion(conn, name) or declared

        references, wanted = kept()
        if wanted not in references and (not references or (wanted is not None and wanted == declared)):
            profile_reference(StageContext(monitor, warehouse, settings, run_id="reference export"))
            references, wanted = kept()
    if version is None and wanted not in references and len(references) == 1:
        return next(iter(references.values()))
    if wanted is None or wanted not in references:
        raise UserError(
            f"{name} has no reference of model version {wanted!r}. There are: {', '.join(sorted(references))}"
        )
    return references[wanted]


def _warn_of_lacking(monitor: Monitor, made: Reference) -> None:
    known = {column.layout.name for column in made.profile.columns if column.n > column.n_missing}
    lacking = [name for name in monitor.schema_.features if name not in known]
    if lacking:
        named = ", ".join(map(repr, lacking[:5])) + (f" and {len(lacking) - 5:,} more" if len(lacking) > 5 else "")
        said = f"warning: the reference has no value of {named}; there are no bins to count such a feature by"
        typer.secho(said, fg="yellow", err=True)


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
