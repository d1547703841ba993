"""``status``: how each monitor stands."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from monitoring_pipeline.cli.environment import open_warehouse
from monitoring_pipeline.cli.output import JsonOption, print_json, print_table, wants_json
from monitoring_pipeline.errors import UserError

if TYPE_CHECKING:
    from monitoring_pipeline.monitors import Window
    from monitoring_pipeline.warehouse.status import MonitorStatus


def status(
    name: Annotated[str | None, typer.Argument(help="One monitor. [all]")] = None, json: JsonOption = False
) -> None:
    """Per monitor: last window, lag, coverage, open incidents, failed windows, champion version."""
    from monitoring_pipeline.stages.freshness_watch import late_now
    from monitoring_pipeline.warehouse.status import monitor_statuses

    with open_warehouse() as warehouse, warehouse.transaction() as conn:
        found = [_without_gone_files(one) for one in monitor_statuses(conn, name)]
        late = {monitor: one.value or 0.0 for monitor, one in late_now(conn).items()}
    if name and not found:
        raise UserError(f"the database has no monitor {name!r}; it is added by `monitoring-pipeline run {name}`")
    if wants_json(json):
        print_json([asdict(one) | {"rows_late_seconds": late.get(one.monitor)} for one in found])
        return
    if not found:
        typer.echo("no monitor has run yet; run `monitoring-pipeline run NAME` or `monitoring-pipeline demo`")
    print_table("Monitors", [_row(one) for one in found])
    for one in found:
        if one.stale_windows:
            typer.echo(
                f"{one.monitor}: stale because of "
                + ", ".join(f"{reason} ({n})" for reason, n in one.stale_windows.items())
            )
        if one.monitor in late:
            typer.echo(f"{one.monitor}: no rows {_age(late[one.monitor])} after the end of a window; unusually late")
        if one.n_unknown_labels:
            typer.echo(f"{one.monitor}: {one.n_unknown_labels} labels match no prediction yet")
    print_table("Failed windows", [row for one in found for row in _failures(one)])
    print_table(
        "Unreadable files",
        [{"monitor": one.monitor, "file": p, "why": why} for one in found for p, why in one.unreadable_files.items()],
    )


def _without_gone_files(one: MonitorStatus) -> MonitorStatus:
    """Nobody misses what an unreadable file held once it is taken away."""
    from monitoring_pipeline.lake.duck import protocol_of
    from monitoring_pipeline.lake.sources.sql import is_sql

    there = {p: why for p, why in one.unreadable_files.items() if is_sql(p) or protocol_of(p) or Path(p).exists()}
    return replace(one, unreadable_files=there)


def _row(one: MonitorStatus) -> dict[str, object]:
    return {
        "monitor": one.monitor,
        "last window": _name(one.last_window) if one.last_window else "-",
        "lag": _age(one.lag_seconds),
        "rows": one.n_rows,
        "labelled": f"{one.coverage:.1%}" if one.coverage is not None else "-",
        "to come": one.n_to_come,
        "stale": sum(one.stale_windows.values()),
        "failed": len({f.window for f in one.failed_windows}),
        "open": one.open_incidents,
        "champion": one.champion_version or "-",
    }


def _name(window: Window) -> str:
    return (
        f"{window.start:%Y-%m-%d}"
        if window.end - window.start >= timedelta(days=1)
        else f"{window.start:%Y-%m-%d %H:%M}"
    )


def _age(seconds: float | None) -> str:
    """In the largest whole unit: ``42m``, ``7h``, ``3d``."""
    if seconds is None:
        return "-"
    for unit, length in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f}{unit}"
    return f"{seconds:.0f}s"


def _failures(one: MonitorStatus) -> list[dict[str, object]]:
    return [
        {
            "monitor": one.monitor,
            "window": _name(f.window),
            "stage": f.stage,
            "attempts": f.attempts,
            "gave up": "yes" if f.gave_up else "no",
            "why": f.error,
        }
        for f in one.failed_windows
    ]
