"""``run``: the graph of one monitor for a range of windows, in this process."""

from __future__ import annotations

import os
from contextlib import nullcontext
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from monitoring_pipeline.cli.environment import dagster_environment, monitor_named
from monitoring_pipeline.cli.processes import noticing_interrupts
from monitoring_pipeline.errors import UserError, WarehouseError
from monitoring_pipeline.settings import Settings

if TYPE_CHECKING:
    from dagster import AssetCheckEvaluation, DagsterInstance, ExecuteInProcessResult

    from monitoring_pipeline.monitors import Monitor, Window

Moment = Annotated[
    datetime | None,
    typer.Option(formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"], help="UTC"),
]


def run(
    name: Annotated[str, typer.Argument(help="Name of the monitor.")],
    from_: Annotated[
        datetime | None,
        typer.Option("--from", formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M"], help="First window, UTC. [the monitor's start]"),
    ] = None,
    to: Annotated[
        datetime | None,
        typer.Option(
            "--to", formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M"], help="Last window, UTC, included. [the last with rows]"
        ),
    ] = None,
) -> None:
    """Materialize a monitor's graph for these windows in this process; no daemon is needed.

    First it looks for what `validate` looks for; a mistake in the declaration ends it before anything is computed.

    Unchanged windows are skipped. A failed window does not stop the others; it is named and the exit code is 1.
    Ctrl-C ends it with exit code 130; what was committed is kept, and the next run continues from there.
    """
    settings = Settings()
    monitor = monitor_named(name, settings)
    _refuse_range(monitor, from_, to)
    _check(monitor, settings)
    try:
        done, failures = _materialize(monitor, settings, from_, to)
    except KeyboardInterrupt:
        typer.echo("stopped; what was committed is kept, and the next run continues from there", err=True)
        raise typer.Exit(130) from None
    if failures:
        typer.secho("\n".join(failures), fg="red", err=True)
        raise typer.Exit(1)
    typer.echo(f"{monitor.name}: {done} done")


def _check(monitor: Monitor, settings: Settings) -> None:
    """Raises UserError with the lines `validate` prints, before anything is computed, for what would make it wrong."""
    from monitoring_pipeline.cli.declare import located
    from monitoring_pipeline.cli.environment import file_of
    from monitoring_pipeline.stages.limits import cut_by_declaration
    from monitoring_pipeline.stages.prechecks import what_stops_a_run

    for said in cut_by_declaration(monitor):
        typer.secho(f"{monitor.name}: note: {said}", fg="yellow", err=True)
    found = what_stops_a_run(monitor, settings)
    if not found:
        return
    path = file_of(monitor, settings)
    if path is None:
        raise UserError("\n".join(f"{monitor.name}: {'.'.join(one.location)}: {one.message}" for one in found))
    raise UserError("\n".join(map(str, located(path, found))))


def _materialize(
    monitor: Monitor, settings: Settings, from_: datetime | None, to: datetime | None
) -> tuple[str, list[str]]:
    """(the range in words, what failed). Raises KeyboardInterrupt whoever took Ctrl-C."""
    from monitoring_pipeline.graph.step_logs import FOREGROUND

    os.environ[FOREGROUND] = "1"
    with dagster_environment(settings), noticing_interrupts() as interrupted:
        first, last = _range(monitor, settings, from_, to)
        with progress_bar():
            result = run_range(monitor, first, last)
        if interrupted():
            raise KeyboardInterrupt
        unread = _unread(monitor, settings)
    failures = [*([result] if result else []), *(error for error in unread if error not in (result or ""))]
    return f"{first.key(monitor.window)} to {last.key(monitor.window)}", failures


def run_range(monitor: Monitor, first: Window, last: Window, instance: DagsterInstance | None = None) -> str | None:
    """Runs the monitor's job over the range in this process. Returns what failed, or None.

    Dagster's ``instance`` is that of DAGSTER_HOME when none is given.
    """
    import dagster as dg
    from dagster_postgres.utils import DagsterPostgresException
    from sqlalchemy.exc import DBAPIError

    from monitoring_pipeline.graph.factory import build_monitor_graph
    from monitoring_pipeline.graph.keys import range_tags
    from monitoring_pipeline.graph.orphans import PROCESS_TAG, end_orphans, this_process
    from monitoring_pipeline.graph.requests import MONITOR_TAG

    job = build_monitor_graph(monitor).resolve_job_def(f"{monitor.name}_windows_job")
    with nullcontext(instance) if instance else dg.DagsterInstance.get() as used:
        end_orphans(used)
        try:
            result = job.execute_in_process(
                instance=used,
                tags={**range_tags(monitor, first, last), MONITOR_TAG: monitor.name, PROCESS_TAG: this_process()},
                # The progress bar speaks for the run; its events go to Dagster's storage all the same.
                run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
                raise_on_error=False,
            )
        except dg.DagsterExecutionInterruptedError:
            raise KeyboardInterrupt from None
        except (DBAPIError, DagsterPostgresException) as error:
            # Dagster notes the run in a database beside the figures, and loses it when they do.
            raise WarehouseError(
                "the database connection was lost during the run; what was committed is kept, nothing is half-written."
                f" Check that it is up, then run again. Error: {' '.join(str(error.__cause__ or error).split())[:300]}"
            ) from error
    if result.success:
        return None
    return "\n".join(_reasons(result)) or f"run {result.run_id} failed; see it in Dagster"


def _reasons(result: ExecuteInProcessResult) -> list[str]:
    """What the failed steps and gates say, without Dagster's wrapping; stacks stand in Dagster."""
    reasons = []
    for event in result.all_events:
        if event.is_step_failure:
            data = event.step_failure_data
            # A blocking check that did not pass: Dagster's own words are a traceback, its problems say why.
            if data.error is not None and data.error.cls_name == "DagsterAssetCheckFailedError":
                continue
            if data.user_failure_data is not None:
                reasons.append(data.user_failure_data.description or "")
            elif data.error is not None:
                said = (data.error.cause or data.error).message.strip()
                reasons.append(f"{event.step_key}: {said} (the traceback is in Dagster, run {result.run_id})")
    return reasons + [_problems_of(check) for check in result.get_asset_check_evaluations() if _blocks(check)]


def _blocks(check: AssetCheckEvaluation) -> bool:
    from dagster import AssetCheckSeverity

    return not check.passed and bool(check.blocking) and check.severity == AssetCheckSeverity.ERROR


def _problems_of(check: AssetCheckEvaluation) -> str:
    problems = check.metadata["problems"].value if "problems" in check.metadata else "no reason given"
    asset = check.asset_key.to_user_string()
    return f"{asset} failed the check {check.check_name}, so nothing was computed from it:\n{problems}"


def _refuse_range(monitor: Monitor, from_: datetime | None, to: datetime | None) -> None:
    """Raises UserError for a range that makes no sense whatever the sources hold."""
    start = from_.date() if from_ else monitor.start
    if start < monitor.start:
        raise UserError(
            f"--from {start}: {monitor.name} is monitored from {monitor.start} on; change `start` or --from"
        )
    if to is not None and monitor.end and to.date() >= monitor.end:
        raise UserError(f"--to {to:%Y-%m-%d}: {monitor.name} ends before {monitor.end}; change `end` or --to")
    if to is not None and to.date() < start:
        raise UserError(f"there are no windows from {start} to {to:%Y-%m-%d}")


def _range(monitor: Monitor, settings: Settings, from_: datetime | None, to: datetime | None) -> tuple[Window, Window]:
    from monitoring_pipeline.windows import Window

    start = (from_ or datetime.combine(monitor.start, time())).replace(tzinfo=UTC)
    if to is not None and to.time() == time() and monitor.window == "hour":
        to = to + timedelta(hours=23)
    stop = to.replace(tzinfo=UTC) if to else _last_with_rows(monitor, settings)
    if to is None and monitor.end:  # what was logged after the end is nobody's concern
        stop = min(stop, datetime.combine(monitor.end, time(), UTC) - timedelta(seconds=1))
    first, last = Window.at(start, monitor.window), Window.at(stop, monitor.window)
    if last.start < first.start:
        raise UserError(f"there are no windows from {first.start:%Y-%m-%d %H:%M} to {last.start:%Y-%m-%d %H:%M}")
    newest = Window.at(datetime.now(UTC), monitor.window).start
    if last.end > newest:
        # A partition exists once its window has ended.
        last = Window.at(newest - timedelta(seconds=1), monitor.window)
    if last.start < first.start:
        raise UserError(f"{monitor.name}: no window since {first.start:%Y-%m-%d %H:%M} has ended yet")
    return first, last


def _unread(monitor: Monitor, settings: Settings) -> list[str]:
    """Why files cannot be read: their rows and labels are nowhere, which the windows themselves cannot say."""
    from monitoring_pipeline.graph.resources import warehouse_of
    from monitoring_pipeline.stages.context import StageContext
    from monitoring_pipeline.stages.staleness import unreadable_files

    return list(unreadable_files(StageContext(monitor, warehouse_of(settings), settings, run_id="range")).values())


def _last_with_rows(monitor: Monitor, settings: Settings) -> datetime:
    """Start of the last window that the source holds rows for. Raises UserError when it holds none."""
    from monitoring_pipeline.graph.resources import warehouse_of
    from monitoring_pipeline.stages.context import StageContext
    from monitoring_pipeline.stages.ingestion import last_window_with_rows

    newest = last_window_with_rows(StageContext(monitor, warehouse_of(settings), settings, run_id="range"))
    if newest is None:
        start: date = monitor.start
        raise UserError(
            f"{monitor.name}: the prediction source has no rows on or after {start}. "
            f"`monitoring-pipeline validate` shows what it contains"
        )
    return newest


class progress_bar:
    """One bar a stage, drawn on stderr while ``run`` works."""

    def __enter__(self) -> progress_bar:
        from monitoring_pipeline.stages.context import progress

        self._bars: dict[tuple[str, str], TaskID] = {}
        self._progress = Progress(
            TextColumn("{task.description:<28}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=Console(stderr=True),
        )
        self._progress.start()
        self._token = progress.set(self.advance)
        return self

    def advance(self, monitor: str, stage: str, done: int, total: int) -> None:
        """Shows ``done`` of ``total`` windows of a stage of a monitor."""
        key = (monitor, stage)
        if key not in self._bars:
            self._bars[key] = self._progress.add_task(f"{monitor} {stage}", total=total)
        self._progress.update(self._bars[key], completed=done, total=total)

    def __exit__(self, *_: object) -> None:
        from monitoring_pipeline.stages.context import progress

        progress.reset(self._token)
        self._progress.stop()
