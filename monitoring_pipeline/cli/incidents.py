"""``incidents``: what is wrong, since when, and what to do about it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from monitoring_pipeline.cli.environment import open_warehouse
from monitoring_pipeline.cli.output import JsonOption, print_json, wants_json
from monitoring_pipeline.errors import UserError

if TYPE_CHECKING:
    from monitoring_pipeline.warehouse.incident_store import Incident

COLOURS = {"critical": "red", "warning": "yellow", "info": "blue"}


def incidents(
    name: Annotated[str | None, typer.Argument(help="One monitor. [all]")] = None,
    all_: Annotated[bool, typer.Option("--all", help="Also those that are resolved or retracted.")] = False,
    json: JsonOption = False,
) -> None:
    """Open incidents, the worst first: each with its sentence, severity, windows, columns and evidence."""
    from monitoring_pipeline.warehouse import incident_store
    from monitoring_pipeline.warehouse.ledger import monitor_names

    with open_warehouse() as warehouse, warehouse.transaction() as conn:
        names = monitor_names(conn)
        if name and name not in names:
            raise UserError(f"the database has no monitor {name!r}; it is added by `monitoring-pipeline run {name}`")
        found = [
            (monitor, one)
            for monitor in ([name] if name else names)
            for one in incident_store.current(conn, monitor).values()
            if all_ or one.state == "open"
        ]
    found.sort(key=lambda each: _order(*each))
    if wants_json(json):
        print_json([{"monitor": monitor} | asdict(one) for monitor, one in found])
        return
    if not found:
        typer.echo("no incidents" if all_ else "no open incidents; --all shows those that are resolved")
    for monitor, one in found:
        _print(monitor, one)


def _order(monitor: str, one: Incident) -> tuple[object, ...]:
    severity = ("critical", "warning", "info").index(one.severity)
    return one.state != "open", severity, -one.rank, monitor, one.first_window


def _print(monitor: str, one: Incident) -> None:
    typer.secho(
        f"{monitor} {one.incident_id}  {one.severity} {one.kind}, {one.state}", fg=COLOURS[one.severity], bold=True
    )
    typer.echo(f"  {one.summary}")
    if one.columns:
        more = f" and {len(one.columns) - 8} more" if len(one.columns) > 8 else ""
        typer.echo(f"  columns: {', '.join(one.columns[:8])}{more}")
    if one.segments and one.segments != ("*",):
        typer.echo(f"  segments: {', '.join(one.segments[:8])}")
