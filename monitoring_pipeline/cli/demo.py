"""``demo``: the flights of 2013, replayed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from monitoring_pipeline.cli.environment import dagster_environment
from monitoring_pipeline.cli.processes import run_apart
from monitoring_pipeline.errors import UserError
from monitoring_pipeline.settings import Settings

if TYPE_CHECKING:
    from monitoring_pipeline.demo.preparation import Prepared
    from monitoring_pipeline.monitors import Monitor
    from monitoring_pipeline.warehouse.database import Warehouse

MONITORS = ("late15", "arr_delay")


def demo(
    no_ui: Annotated[bool, typer.Option("--no-ui", help="Stop after the report instead of serving Dagster.")] = False,
    fast: Annotated[bool, typer.Option("--fast", help="Replay two months instead of nine.")] = False,
    live: Annotated[
        bool, typer.Option("--live", help="Also run the example service for a few minutes, end to end.")
    ] = False,
    live_minutes: Annotated[float, typer.Option(min=0.2, max=8, help="Minutes of traffic with --live.")] = 2.0,
    port: Annotated[int, typer.Option(help="Port of Dagster's web server.", min=1, max=65535)] = 3000,
) -> None:
    """Real flights of 2013: build the reference, replay the year, fill every table, print the results, serve
    Dagster.
    """
    from monitoring_pipeline.cli.demo_retraining import retrained_monitor
    from monitoring_pipeline.demo.preparation import prepare

    began = time.monotonic()
    settings = Settings()
    with Console(stderr=True).status(
        "training two models on January to March, writing the log of the rest of the year"
    ):
        prepared = prepare(settings.home, fast=fast)
    typer.echo(
        f"{prepared.n_predictions:,} predictions and {prepared.n_labels:,} outcomes per monitor, "
        f"{prepared.start} to {prepared.end}, lie in {settings.home / 'demo'}"
    )
    with dagster_environment(settings) as warehouse:
        monitors = demo_monitors()
        _register(settings, warehouse, [*monitors, retrained_monitor()], prepared)
        _run_all(monitors, prepared)
        said = _report(settings, warehouse, monitors, _dagster(port, no_ui, live), began)
        typer.echo(f"\n{said}\n")
    if live:
        from monitoring_pipeline.cli.live import live as run_live

        run_live(settings, live_minutes)
    if not no_ui:
        from monitoring_pipeline.cli.up import serve

        serve(port, exporter_port=9187, replay=True)


def demo_monitors() -> list[Monitor]:
    """The demo's monitors as shipped, whatever other monitors the user has."""
    from monitoring_pipeline.monitors.loading import load_monitor
    from monitoring_pipeline.resources import data_dir

    return [load_monitor(data_dir("monitors") / f"{name}.yaml") for name in MONITORS]


def _register(settings: Settings, warehouse: Warehouse, monitors: Sequence[Monitor], prepared: Prepared) -> None:
    """The trained models as first champions, with where they lie and their checksums."""
    from monitoring_pipeline.demo import models
    from monitoring_pipeline.demo.preparation import FULL_END
    from monitoring_pipeline.demo.registering import register
    from monitoring_pipeline.retraining.context import RetrainContext
    from monitoring_pipeline.stages.declaring import declare
    from monitoring_pipeline.warehouse.partitions import PARTITIONED, ensure_months
    from monitoring_pipeline.windows import Window

    cards = {card.monitor: card for card in prepared.cards}
    # Months of a table are made by whoever needs them first; three processes at once would wait for each other.
    months = [Window.at(moment, "day") for moment in _first_days(models.TRAIN_START, FULL_END)]
    with warehouse.transaction() as conn:
        for table in PARTITIONED:
            ensure_months(conn, table, months)
        for monitor in monitors:
            declare(conn, monitor)
    for monitor in monitors:
        ctx = RetrainContext(monitor, warehouse, settings, run_id="demo")
        register(ctx, cards[monitor.name.removesuffix("_retrained")])


def _first_days(first: datetime, end: date) -> list[datetime]:
    """The first moments of the months from ``first`` on, in UTC, up to ``end``."""
    n = (end.year - first.year) * 12 + end.month - first.month
    return [first.replace(month=(first.month - 1 + k) % 12 + 1, year=first.year + (first.month - 1 + k) // 12, day=1)
            for k in range(n)]  # fmt: skip


def _run_all(monitors: Sequence[Monitor], prepared: Prepared) -> None:
    from monitoring_pipeline.resources import data_dir

    last = prepared.end - timedelta(days=1)
    names = [monitor.name for monitor in monitors]
    replay = ("-m", "monitoring_pipeline.cli.demo_retraining", f"{prepared.start}", f"{prepared.end}")
    failed = run_apart(names, data_dir("monitors"), prepared.start, last, {"late15_retrained": replay})
    if failed:
        raise UserError(f"{', '.join(failed)} did not finish; see the reason above. Run the demo again to continue")


def _dagster(port: int, no_ui: bool, live: bool) -> str:
    """Where it can be seen, and from when on."""
    address = f"http://127.0.0.1:{port}"
    if no_ui:
        return f"monitoring-pipeline up, then {address}"
    return f"{address}, once the live part is over" if live else address


def _report(settings: Settings, warehouse: Warehouse, monitors: Sequence[Monitor], dagster: str, began: float) -> str:
    """What the replay found; ``began`` is the command's start on the monotonic clock."""
    from monitoring_pipeline.cli.demo_retraining import retraining_report
    from monitoring_pipeline.demo.report import Place, render
    from monitoring_pipeline.demo.retraining_report import render as render_retraining
    from monitoring_pipeline.demo.summary import monitor_report
    from monitoring_pipeline.resources import data_dir

    with warehouse.transaction() as conn:
        reports = [monitor_report(conn, monitor) for monitor in monitors]
    retrained = render_retraining(retraining_report(settings, warehouse))
    command = "monitoring-pipeline"
    places = [
        Place("Dagster", dagster),
        Place("status of the monitors", f"{command} status"),
        Place("the tables", f"{command} db psql -c 'table drift_current limit 5'"),
        Place("decisions to retrain", f"{command} db psql -c 'table retrain_decision_current'"),
        Place("the models", f"{command} model list late15_retrained"),
        Place("what another policy would do", f"{command} db psql -c 'table backtest_current'"),
        Place("example queries", _from_here(data_dir("sql") / "cookbook" / "*.sql")),
        Place("the monitor files", _from_here(data_dir("monitors") / "late15.yaml")),
    ]
    return render(reports, places, time.monotonic() - began, [retrained])


def _from_here(path: Path) -> str:
    """As one would type it: relative to the current directory where it lies below, else whole."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
