"""``judge``: verdicts from stored measurements, under the declared thresholds or, to try them, under others."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from monitoring_pipeline.cli.environment import monitor_named, open_warehouse
from monitoring_pipeline.cli.output import JsonOption, print_json, print_table, wants_json
from monitoring_pipeline.errors import UserError
from monitoring_pipeline.settings import Settings

if TYPE_CHECKING:
    from monitoring_pipeline.monitors import Monitor, Window
    from monitoring_pipeline.stages.context import StageContext
    from monitoring_pipeline.stages.what_if import Difference

MOST_ROWS = 40


def judge(
    name: Annotated[str, typer.Argument(help="Name of the monitor.")],
    from_: Annotated[
        datetime | None,
        typer.Option("--from", formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M"], help="First window, UTC. [the first]"),
    ] = None,
    to: Annotated[
        datetime | None,
        typer.Option("--to", formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M"], help="Last window, UTC, included. [the last]"),
    ] = None,
    policy: Annotated[
        Path | None,
        typer.Option(help="YAML file with other `thresholds` and `labels`: show what would change, write nothing."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Judge stored measurements again: which metrics drifted, violate their threshold or are degraded.

    Reads no data and measures nothing. Run it after a threshold has changed; with --policy, before.
    """
    from monitoring_pipeline.stages.context import StageContext

    settings = Settings()
    monitor = monitor_named(name, settings)
    with open_warehouse(settings) as warehouse:
        stages = StageContext(monitor, warehouse, settings, run_id="judge")
        windows = _windows(stages, from_, to)
        if policy is None:
            _judge(stages, windows, wants_json(json))
        else:
            _try(stages, windows, policy, wants_json(json))


def _windows(stages: StageContext, from_: datetime | None, to: datetime | None) -> list[Window]:
    """The measured windows of the range. Raises UserError when there is none."""
    from monitoring_pipeline.warehouse import measurement_store

    first = from_.replace(tzinfo=UTC) if from_ else None
    last = to.replace(tzinfo=UTC) if to else None
    size, name = stages.monitor.window, stages.monitor.name
    if last is not None and to is not None and size == "hour" and (to.hour, to.minute) == (0, 0):
        last = last.replace(hour=23)
    windows = stages.warehouse.run(lambda conn: measurement_store.measured_windows(conn, name, first, last))
    if not windows:
        raise UserError(f"{name}: no window in this range has been measured; run `monitoring-pipeline run {name}`")
    return windows


def _judge(stages: StageContext, windows: list[Window], as_json: bool) -> None:
    from monitoring_pipeline.stages.declaring import declare
    from monitoring_pipeline.stages.incidents import fold
    from monitoring_pipeline.stages.judging import judge as judge_windows

    began = time.perf_counter()
    stages.warehouse.run(lambda conn: declare(conn, stages.monitor))
    outcomes = judge_windows(stages, windows)
    incidents = fold(stages)
    changed = sum(int(outcome.facts.get("changed") or 0) for outcome in outcomes)
    seconds = round(time.perf_counter() - began, 2)
    failures = [f"{outcome.window}: {outcome.error}" for outcome in outcomes if outcome.failed]
    if as_json:
        print_json(
            {
                "windows": len(windows), "changed_verdicts": changed, "seconds": seconds, "failed": failures,
                "open_incidents": len(incidents.open_ids), "opened": incidents.opened, "amended": incidents.changed,
                "retracted": incidents.retracted,
            }
        )  # fmt: skip
    else:
        typer.echo(f"{stages.monitor.name}: {len(windows)} windows judged in {seconds} s; {changed} verdicts changed")
        typer.echo(
            f"incidents: {len(incidents.open_ids)} open, {incidents.opened} new, {incidents.changed} amended,"
            f" {incidents.retracted} retracted"
        )
    if failures:
        typer.secho("\n".join(failures), fg="red", err=True)
        raise typer.Exit(1)


def _try(stages: StageContext, windows: list[Window], policy: Path, as_json: bool) -> None:
    from monitoring_pipeline.monitors.policy import with_policy
    from monitoring_pipeline.stages.what_if import differences

    other: Monitor = with_policy(stages.monitor, policy)
    found = differences(stages, windows, other)
    rows = [_row(one, stages.monitor) for one in found]
    if as_json:
        print_json({"windows": len(windows), "differences": rows})
        return
    print_table(f"{stages.monitor.name}, {len(windows)} windows: what {policy} would change", rows[:MOST_ROWS])
    if len(rows) > MOST_ROWS:
        typer.echo(f"… and {len(rows) - MOST_ROWS} more; --json prints all")
    now, then = sum(one.now for one in found), sum(one.then for one in found)
    typer.echo(
        f"{len(rows)} metrics would be judged differently: flagged {now} times now, {then} then. Nothing was written."
    )


def _row(one: Difference, monitor: Monitor) -> dict[str, Any]:
    changed = sorted({*one.appear, *one.vanish})
    return {
        "family": one.family,
        "baseline": one.baseline or None,
        "segment": one.segment,
        "column": one.column_name,
        "metric": one.metric,
        "now": one.now,
        "then": one.then,
        "appear": len(one.appear),
        "vanish": len(one.vanish),
        "first": changed[0].key(monitor.window),
        "last": changed[-1].key(monitor.window),
    }
