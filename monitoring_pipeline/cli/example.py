"""``example``: the flights service and the client that replays real flights to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from monitoring_pipeline.errors import UserError

if TYPE_CHECKING:
    from monitoring_pipeline.example.replay import Advance, Replayed

app = typer.Typer(help="The example service, and real flights to send to it.", no_args_is_help=True)


@app.command()
def serve(
    port: Annotated[int, typer.Option(help="Port to listen on.", min=1, max=65535)] = 8000,
    workers: Annotated[int, typer.Option(help="Worker processes.", min=1, max=16)] = 2,
    host: Annotated[str, typer.Option(help="Address to bind to.")] = "127.0.0.1",
) -> None:
    """Serve the demo's model `late15`: /predict, /feedback, /metrics, /healthz, and /docs."""
    from monitoring_pipeline.example import running

    typer.echo(f"Service  http://{host}:{port}/docs\nCtrl-C stops it.")
    running.serve(port, workers, host)


@app.command()
def replay(
    from_: Annotated[datetime, typer.Option("--from", formats=["%Y-%m-%d"], help="First day of 2013, UTC.")],
    to: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Last day, included. [the first]")] = None,
    rate: Annotated[float | None, typer.Option(help="Requests a second. [20, unless --speed is given]")] = None,
    speed: Annotated[float | None, typer.Option(help="Speed-up over real time.")] = None,
    limit: Annotated[int, typer.Option(help="Maximum number of flights.", min=1)] = 20_000,
    seconds: Annotated[float, typer.Option(help="Maximum time in seconds.", min=1)] = 600,
    concurrent: Annotated[int, typer.Option(help="Maximum number of concurrent requests.")] = 8,
    url: Annotated[str, typer.Option(help="URL of the service, on this machine.")] = "http://127.0.0.1:8000",
) -> None:
    """Send the real flights of some days of 2013, then the outcomes of those that arrived."""
    from monitoring_pipeline.demo.flights import load_flights
    from monitoring_pipeline.example.replay import Pace
    from monitoring_pipeline.example.replay import replay as send
    from monitoring_pipeline.example.traffic import flights_between

    pace = Pace(20.0 if rate is None and speed is None else rate, speed, seconds, concurrent)
    requests = flights_between(load_flights().frame, from_.date(), (to or from_).date())[:limit]
    if not requests:
        raise UserError(f"there are no flights from {from_:%Y-%m-%d} on; the flights are of 2013")
    with progress_of("flights", len(requests)) as advance:
        result = send(url, requests, pace, advance)
    typer.echo(summary(result))
    if result.n_not_taken:
        raise typer.Exit(1)


@contextmanager
def progress_of(what: str, total: int) -> Iterator[Advance]:
    """A bar on stderr; what is yielded moves it."""
    columns = (TextColumn("{task.description:<28}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(what, total=total)
        yield lambda answered, failed: progress.update(task, completed=answered + failed)


def summary(result: Replayed) -> str:
    """What the client was answered, in one line."""
    n, first = result.n_not_taken, result.first_failure
    failed = f", {n:,} requests or outcomes failed (first: {first})" if n else ""
    p50, p99 = (f"{result.latency(q) * 1e3:.1f} ms" for q in (0.5, 0.99))
    answered = f"{result.n_answered:,} answered in {result.seconds:.0f} s{failed}"
    return f"{answered}; latency p50 {p50}, p99 {p99}; {result.n_labels:,} outcomes sent"
