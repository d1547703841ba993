"""``demo --live``: the example service under real flights, its live drift beside the pipeline's for the same rows."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

import httpx
import typer

from monitoring_pipeline.cli.environment import dagster_environment
from monitoring_pipeline.cli.example import progress_of, summary
from monitoring_pipeline.cli.output import print_table
from monitoring_pipeline.cli.processes import run_apart, spawn, stop, terminable
from monitoring_pipeline.errors import UserError
from monitoring_pipeline.settings import Settings

if TYPE_CHECKING:
    from monitoring_pipeline.example.figures import Figures, Scrape
    from monitoring_pipeline.example.place import Place
    from monitoring_pipeline.example.prometheus import Prometheus
    from monitoring_pipeline.example.traffic import Request
    from monitoring_pipeline.monitors import Monitor, Window
    from monitoring_pipeline.warehouse.database import Warehouse

SNOW = date(2013, 12, 10)  # one flight in five was cancelled
N_USUAL = 900  # as many as leave on a day
LONGEST_PHASE = 270.0  # seconds: what Prometheus' rules of five minutes see at once
TOLERANCE = 1e-6
SHOWN_COLUMNS = 6
START_SECONDS = 120.0


@dataclass(frozen=True)
class Phase:
    """One day of traffic: what was sent, and the live drift of exactly these rows."""

    title: str
    day: date
    live: Figures
    recorded: Figures | None
    n_rows: int


def live(settings: Settings, minutes: float = 2.0) -> None:
    """``minutes`` of traffic, a minute or two of setting up and computing; then everything stops.

    Raises UserError when a live value is not the pipeline's, or something does not start; Ctrl-C stops all.
    """
    from monitoring_pipeline.example import prometheus
    from monitoring_pipeline.example.place import Place

    if not 0.2 <= minutes <= 8:
        raise UserError("the live demo runs for 0.2 to 8 minutes: Prometheus' rules look back five minutes a phase")
    place = Place(settings.home.resolve())
    typer.echo(f"Live: real flights for the example service, {minutes:g} minutes of traffic and one or two around it")
    without = prometheus.absent()
    if without:
        typer.secho(f"SKIPPED: drift by Prometheus' recording rules: {without}", fg="yellow", err=True)
    with terminable(), dagster_environment(settings) as warehouse:
        with _disk():
            first = SNOW + timedelta(days=2 * place.next_run())
            days = (first, first + timedelta(days=1))
            monitor = _declare(place, warehouse, days[-1])
        phases = _serve_and_replay(place, days, 60 * minutes / 2, with_prometheus=without is None)
        windows = _run(place, monitor, days)
        _compare(warehouse, monitor, windows, phases)


@contextmanager
def _disk() -> Iterator[None]:
    """What the disk refuses is the user's to mend."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{error.filename or 'the disk'}: {error.strerror or error}; the live demo writes there"
        ) from error


def _declare(place: Place, warehouse: Warehouse, last: date) -> Monitor:
    """The live monitor, and the reference that the service is given. Raises UserError before the demo has run."""
    from monitoring_pipeline.example.declaration import write_monitor
    from monitoring_pipeline.example.place import MODEL, NAME
    from monitoring_pipeline.profiles.document import to_document
    from monitoring_pipeline.resources import data_dir
    from monitoring_pipeline.warehouse import model_versions, profile_store

    monitor = write_monitor(place, data_dir("monitors") / f"{MODEL}.yaml", SNOW, last)
    with warehouse.transaction() as conn:
        references = profile_store.references(conn, MODEL)
        version = model_versions.champion(conn, MODEL) or next(iter(references), None)
    if version not in references:
        raise UserError(f"{MODEL} has no reference yet; run `monitoring-pipeline demo` before, or `run {MODEL}`")
    place.root.mkdir(parents=True, exist_ok=True)
    # The two monitors declare the same reference; the service bears the live one's name.
    place.reference.write_text(json.dumps(to_document(references[version]) | {"monitor": NAME}))
    return monitor


def _serve_and_replay(place: Place, days: tuple[date, date], seconds: float, with_prometheus: bool) -> list[Phase]:
    """Both days, one after the other; when it returns the service has stopped and its logs have landed."""
    from monitoring_pipeline.demo.flights import load_flights
    from monitoring_pipeline.example.traffic import drawn_from_reference, flights_between, moved

    phases = []
    with _service(place) as (url, wait_until_healthy):
        frame = load_flights().frame  # while the service starts
        usual, snow = drawn_from_reference(frame, N_USUAL), flights_between(frame, SNOW, SNOW)
        del frame
        traffic = {"drawn from the reference": usual, f"{SNOW:%-d %B}, snow": snow}
        wait_until_healthy()
        typer.echo(f"Service  {url}/docs, until the replay is over")
        for day, (title, requests) in zip(days, traffic.items(), strict=True):
            sent = moved(requests, day, f"live-{day}")
            phases.append(_phase(url, title, day, sent, seconds, with_prometheus))
    return phases


def _phase(url: str, title: str, day: date, requests: Sequence[Request], seconds: float, recorded: bool) -> Phase:
    from monitoring_pipeline.example.figures import drift_between
    from monitoring_pipeline.example.place import NAME
    from monitoring_pipeline.example.replay import Pace, replay

    with ExitStack() as stack:
        rules = stack.enter_context(_prometheus(url)) if recorded else None
        before = _scrape(url)
        advance = stack.enter_context(progress_of(title, len(requests)))
        result = replay(url, requests, Pace(rate=len(requests) / seconds, seconds=LONGEST_PHASE), advance)
        typer.echo(summary(result), err=True)
        if n := result.n_not_taken:
            raise UserError(f"the service did not take {n} flights or outcomes, first: {result.first_failure}")
        if result.n_answered < len(requests):
            raise UserError(
                f"this machine is too busy: {result.n_answered} of {len(requests)} flights in {result.seconds:.0f} s"
            )
        after = _scrape(url, lambda found: found.n_predictions - before.n_predictions == result.n_answered)
        figures = rules.drift(NAME, result.n_answered) if rules else None
    return Phase(title, day, drift_between(before, after), figures, result.n_answered)


def _scrape(url: str, complete: Callable[[Scrape], bool] = lambda found: True) -> Scrape:
    """Rows wait up to a second to be counted in the worker that answered them."""
    from monitoring_pipeline.example.figures import read

    end = time.monotonic() + 15
    while not complete(found := read(_page(url))):
        if time.monotonic() > end:
            raise UserError(
                f"{url}/metrics counts {found.n_predictions:,} predictions; this differs from the number answered"
            )
        time.sleep(0.3)
    return found


def _page(url: str) -> str:
    try:
        return httpx.get(f"{url}/metrics", timeout=30).raise_for_status().text
    except httpx.HTTPError as error:
        raise UserError(f"{url}/metrics: the example service stopped answering: {error}") from error


def _run(place: Place, monitor: Monitor, days: tuple[date, date]) -> list[Window]:
    """The pipeline over what has landed. Raises UserError for a window that fails."""
    from monitoring_pipeline.windows import Window

    if run_apart([monitor.name], place.monitor_file.parent, *days):
        raise UserError(f"{monitor.name} did not finish; see the reason above")
    return [Window.from_key(f"{day}", "day") for day in days]


def _compare(warehouse: Warehouse, monitor: Monitor, windows: Sequence[Window], phases: Sequence[Phase]) -> None:
    """Prints the values side by side. Raises UserError when they differ by more than ``TOLERANCE``."""
    from monitoring_pipeline.example.figures import largest_difference

    worst = 0.0
    for phase, window in zip(phases, windows, strict=True):
        pipeline = _pipeline_figures(warehouse, monitor, window)
        _print_phase(phase, pipeline)
        for name, figures in (("/metrics", phase.live), ("Prometheus", phase.recorded)):
            if figures is not None:
                largest = largest_difference({key: figures.get(key, float("nan")) for key in phase.live}, pipeline)
                typer.echo(f"{name}: {len(figures)} values, largest difference from the pipeline {largest:.1e}")
                worst = max(worst, largest)
    if worst > TOLERANCE:
        raise UserError(f"live values differ from the pipeline's by {worst:.1e}, more than {TOLERANCE:g}")


def _pipeline_figures(warehouse: Warehouse, monitor: Monitor, window: Window) -> Figures:
    from monitoring_pipeline.example.figures import METHODS
    from monitoring_pipeline.warehouse.readers import drift_values

    found: Figures = {}
    with warehouse.transaction() as conn:
        for method in METHODS:
            for row in drift_values(conn, monitor.name, [window], "training", method):
                found[method, row.column_name] = row.value
    return found


def _print_phase(phase: Phase, pipeline: Figures) -> None:
    """The columns that drifted most."""
    most = sorted((k for k in pipeline if k[0] == "psi"), key=lambda k: -pipeline[k])[:SHOWN_COLUMNS]
    shown = [key for _, column in most for key in (("psi", column), ("kolmogorov_smirnov", column)) if key in pipeline]
    sources = {"/metrics": phase.live, "Prometheus": phase.recorded or {}, "pipeline": pipeline}
    print_table(
        f"{phase.title}, as of {phase.day}: {phase.n_rows:,} predictions",
        [
            {"column": column, "method": method}
            | {name: f"{figures.get((method, column), float('nan')):.9f}" for name, figures in sources.items()}
            for method, column in shown
        ],
    )


@contextmanager
def _service(place: Place) -> Iterator[tuple[str, Callable[[], None]]]:
    """The example service with two workers, on a free port: its address, and what waits until it is there.

    What it logged has landed when the block is left.
    """
    from monitoring_pipeline.warehouse.embedded import free_port

    port = free_port()
    command = ("-m", "monitoring_pipeline.cli", "--home", str(place.home), "example", "serve", "--port", str(port))
    child = spawn(*command, stdout=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        yield url, lambda: _wait_until_healthy(child, url)
    finally:
        stop([child], signal.SIGTERM)


def _wait_until_healthy(child: subprocess.Popen[bytes], url: str) -> None:
    end = time.monotonic() + START_SECONDS
    while True:
        try:
            if httpx.get(f"{url}/healthz", timeout=10).status_code == 200:
                return
        except httpx.TransportError:
            pass
        if child.poll() is not None:
            raise UserError("the example service did not start; see its output above")
        if time.monotonic() > end:
            raise UserError(f"the example service did not answer within {START_SECONDS:g} s of its start")
        time.sleep(0.3)


@contextmanager
def _prometheus(url: str) -> Iterator[Prometheus]:
    """One a phase: its counters' level at the start is then the level before the phase."""
    from monitoring_pipeline.example.prometheus import Prometheus

    with _disk():
        server = Prometheus(url.removeprefix("http://"))
    try:
        server.wait_until_scraping()
        yield server
    finally:
        server.stop()
