"""``collector`` and ``collector-key``: predictions and ground truth over HTTP, for services in other languages."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from monitoring_pipeline.cli.environment import monitor_named
from monitoring_pipeline.cli.output import JsonOption, print_json, print_table, wants_json
from monitoring_pipeline.errors import UserError
from monitoring_pipeline.settings import Settings

keys = typer.Typer(help="API keys of the collector: each writes to one monitor.", no_args_is_help=True)


def collector(
    port: Annotated[int, typer.Option(help="Port to listen on.", min=1, max=65535)] = 8090,
    host: Annotated[str, typer.Option(help="Address to bind to.")] = "127.0.0.1",
    tls_cert: Annotated[Path | None, typer.Option(help="Certificate (PEM), to serve HTTPS.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its private key (PEM).")] = None,
    ship_every: Annotated[float, typer.Option(help="Longest time in seconds until records land.", min=0.1)] = 60.0,
    landing: Annotated[
        str | None, typer.Option(metavar="DIR_OR_URL", help="Where records land. [HOME/collected]", show_default=False)
    ] = None,
    references: Annotated[
        Path | None,
        typer.Option(
            help="Reference documents of versions with live series. [HOME/collector/references]", show_default=False
        ),
    ] = None,
) -> None:
    """Accept predictions and ground truth over HTTP and log them durably, until Ctrl-C.

    Records land as Parquet in MONITOR/predictions and MONITOR/ground_truth of the landing directory (or fsspec URL,
    such as s3://bucket/collected), where a monitor's sources can read them. The OpenAPI page is at /docs. Keys:
    `monitoring-pipeline collector-key create MONITOR`.
    """
    from monitoring_pipeline.collector import KeyStore, serve

    settings = Settings()
    if landing is None:
        settings.private("collected")
    scheme = "https" if tls_cert else "http"
    typer.echo(f"Collector  {scheme}://{host}:{port}/docs\nLanding    {landing or settings.home / 'collected'}")
    if not KeyStore(settings.home).all():
        typer.echo("there are no keys yet; create one: `monitoring-pipeline collector-key create MONITOR`")
    serve(settings.home, settings.monitors_dir, host, port, tls_cert, tls_key, ship_every, landing, references)


@keys.command()
def create(
    monitor: Annotated[str, typer.Argument(help="Name of the monitor.")],
    note: Annotated[str, typer.Option(help="Label for the key: who uses it.")] = "",
) -> None:
    """Create a key and print it. It cannot be shown again."""
    settings = Settings()
    monitor_named(monitor, settings)
    _, secret = _store(settings).create(monitor, note)
    typer.echo(secret)
    typer.echo(f"a key for {monitor}; keep it, it is not shown again", err=True)


@keys.command("list")
def list_(
    monitor: Annotated[str | None, typer.Argument(help="One monitor. [all]")] = None,
    json: JsonOption = False,
) -> None:
    """List the keys by id; the keys themselves are not stored."""
    found = [_row(key) for key in _store(Settings()).all() if monitor in (None, key.monitor)]
    if wants_json(json):
        print_json(found)
    elif found:
        print_table("Keys", found)
    else:
        typer.echo("there are no keys" + (f" for {monitor}" if monitor else ""))


@keys.command()
def revoke(
    monitor: Annotated[str, typer.Argument(help="Name of the monitor.")],
    key: Annotated[str | None, typer.Option(help="Id of one key, from `list`. [all keys of the monitor]")] = None,
) -> None:
    """Revoke keys immediately, also in a running collector."""
    gone = _store(Settings()).revoke(monitor, key)
    if not gone:
        which = f"{monitor} has no key{f' {key}' if key else ''}"
        raise UserError(f"{which}; `monitoring-pipeline collector-key list` shows them")
    typer.echo(f"revoked {', '.join(k.key_id for k in gone)}")


def _store(settings: Settings) -> Any:
    from monitoring_pipeline.collector.keys import KeyStore

    return KeyStore(settings.home)


def _row(key: Any) -> dict[str, object]:
    return {name: value for name, value in asdict(key).items() if name != "sha256"}
