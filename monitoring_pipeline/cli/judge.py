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
    from monitoring_pipeline.stages.incidents_under import Comparison
    from monitoring_pipeline.stages.what_if import Difference
    from monitoring_pipeline.warehouse.incident_store import Incident

MOST_ROWS = 40
WIDTH = 90  # characters of a picture


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
        typer.Option(
            help="YAML file with other `thresholds`, `alarms`, `labels`: show what would change, write nothing."
        ),
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
    from monitoring_pipeline.stages.context import good_windows
    from monitoring_pipeline.stages.declaring import declare
    from monitoring_pipeline.stages.incidents import update
    from monitoring_pipeline.stages.judging import judge as judge_windows
    from monitoring_pipeline.stages.rollups import update as update_rollups

    began = time.perf_counter()
    stages.warehouse.run(lambda conn: declare(conn, stages.monitor))
    outcomes = judge_windows(stages, windows)
    changed = sum(int(outcome.facts.get("changed") or 0) for outcome in outcomes)
    outcomes += (noted := update(stages, good_windows(outcomes)))
    outcomes += update_rollups(stages, good_windows(noted))
    done = next((outcome.facts for outcome in noted if not outcome.failed), {})
    incidents = {name: int(done.get(name) or 0) for name in ("open", "opened", "changed", "retracted")}
    seconds = round(time.perf_counter() - began, 2)
    failures = [f"{outcome.window}: {outcome.error}" for outcome in outcomes if outcome.failed]
    if as_json:
        print_json(
            {
                "windows": len(windows), "changed_verdicts": changed, "seconds": seconds, "failed": failures,
                "open_incidents": incidents["open"], "opened": incidents["opened"], "amended": incidents["changed"],
                "retracted": incidents["retracted"],
            }
        )  # fmt: skip
    else:
        typer.echo(f"{stages.monitor.name}: {len(windows)} windows judged in {seconds} s; {changed} verdicts changed")
        typer.echo(
            f"incidents: {incidents['open']} open, {incidents['opened']} new, {incidents['changed']} amended,"
            f" {incidents['retracted']} retracted"
        )
    if failures:
        typer.secho("\n".join(failures), fg="red", err=True)
        raise typer.Exit(1)


def _try(stages: StageContext, windows: list[Window], policy: Path, as_json: bool) -> None:
    from monitoring_pipeline.monitors.policy import with_policy
    from monitoring_pipeline.stages.incidents_under import compared
    from monitoring_pipeline.stages.what_if import differences

    other: Monitor = with_policy(stages.monitor, policy)
    rows = [_row(one, stages.monitor) for one in differences(stages, windows, other)]
    found = compared(stages, windows[-_ninety_days(stages.monitor) :], other)
    if as_json:
        print_json({"windows": len(windows), "differences": rows, "incidents": _incidents(found)})
        return
    print_table(f"{stages.monitor.name}, {len(windows)} windows: what {policy} would change", rows[:MOST_ROWS])
    if len(rows) > MOST_ROWS:
        typer.echo(f"… and {len(rows) - MOST_ROWS} more; --json prints all")
    now, then = sum(row["now"] for row in rows), sum(row["then"] for row in rows)
    typer.echo(f"{len(rows)} metrics would be judged differently: flagged {now} times now, {then} then.")
    typer.echo("\n".join(_picture(found, windows[-_ninety_days(stages.monitor) :])))
    print_table("Incidents that would come", [_incident(one) for one in found.come])
    print_table("Incidents that would go", [_incident(one) for one in found.go])
    typer.echo(f"Incidents in the last 90 days: {len(found.now)} now, {len(found.then)} then. Nothing was written.")


def _ninety_days(monitor: Monitor) -> int:
    return 90 if monitor.window == "day" else 90 * 24


def _incidents(found: Comparison) -> dict[str, Any]:
    return {
        name: [_incident(one) for one in getattr(found, name)] for name in ("now", "then", "go", "come")
    }  # fmt: skip


def _incident(one: Incident) -> dict[str, Any]:
    return {
        "first": f"{one.first_window:%Y-%m-%d %H:%M}",
        "last": f"{one.last_window:%Y-%m-%d %H:%M}",
        "severity": one.severity,
        "change": one.change,
        "columns": ", ".join(one.columns[:3]) + (" …" if len(one.columns) > 3 else ""),
        "windows": one.n_windows,
    }


def _picture(found: Comparison, windows: list[Window]) -> list[str]:
    """Both sets of incidents on a line of at most ``WIDTH`` characters: letters are severities, dots quiet time."""
    start, end = windows[0].start, windows[-1].end
    lines = [f"  {start:%Y-%m-%d}{'':{max(WIDTH - 20, 0)}}{windows[-1].start:%Y-%m-%d}"]
    for name, incidents in (("now", found.now), ("then", found.then)):
        line = ["·"] * WIDTH
        for one in sorted(incidents, key=lambda o: ("info", "warning", "critical").index(o.severity)):
            low = max(int((one.first_window - start) / (end - start) * WIDTH), 0)
            high = min(int((one.last_window - start) / (end - start) * WIDTH), WIDTH - 1)
            line[low : high + 1] = one.severity[0].upper() * (high + 1 - low)
        lines.append(f"  {''.join(line)}  {name}")
    return [*lines, "  C critical, W warning, I info"]


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
