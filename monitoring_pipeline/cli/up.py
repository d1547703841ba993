"""``up``: Postgres, Dagster's web server and daemon, and the exporter; one Ctrl-C stops all."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Annotated

import typer

from monitoring_pipeline.cli.environment import dagster_environment
from monitoring_pipeline.errors import UserError
from monitoring_pipeline.settings import Settings

STOP_SECONDS = 20


def up(
    port: Annotated[int, typer.Option(help="Port of Dagster's web server, on loopback.")] = 3000,
    exporter_port: Annotated[int, typer.Option(help="Port of the Prometheus exporter, on loopback.")] = 9187,
) -> None:
    """Serve everything on this machine until Ctrl-C."""
    serve(port, exporter_port)


def serve(port: int, exporter_port: int, replay: bool = False) -> None:
    """Runs the servers as children; when one dies the others are stopped and UserError names it."""
    settings = Settings()
    with dagster_environment(settings):
        children = {
            "Dagster": _spawn(
                "-m", "dagster", "dev", "-m", "monitoring_pipeline.definitions", "-h", "127.0.0.1", "-p", str(port)
            ),
            "exporter": _spawn(
                "-m",
                "monitoring_pipeline.cli",
                "exporter",
                "--port",
                str(exporter_port),
                *(["--replay"] if replay else []),
            ),
        }
        typer.echo(f"Dagster   http://127.0.0.1:{port}")
        typer.echo(f"Exporter  http://127.0.0.1:{exporter_port}/metrics")
        typer.echo("Database  monitoring-pipeline db url\nCtrl-C stops all.")
        signal.signal(signal.SIGTERM, _as_interrupt)
        try:
            _wait(children)
        except KeyboardInterrupt:
            typer.echo("stopping")
        finally:
            _stop(list(children.values()))


def _spawn(*arguments: str) -> subprocess.Popen[bytes]:
    # A session of its own: the terminal's Ctrl-C reaches only us, and we stop the children in order.
    return subprocess.Popen([sys.executable, *arguments], start_new_session=True)


def _wait(children: dict[str, subprocess.Popen[bytes]]) -> None:
    while True:
        for name, child in children.items():
            if child.poll() is not None:
                raise UserError(
                    f"{name} ended with exit code {child.returncode}; its message stands above. Is its port taken?"
                )
        time.sleep(0.5)


def _stop(children: Sequence[subprocess.Popen[bytes]]) -> None:
    """Interrupts each child with all it has started, as a terminal would; what does not end in time is killed."""
    for child in children:
        _signal_group(child, signal.SIGINT)
    deadline = time.monotonic() + STOP_SECONDS
    for child in children:
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(max(0.1, deadline - time.monotonic()))
        # Dagster's web server and daemon are children of the child: none may outlive us.
        _signal_group(child, signal.SIGKILL)


def _signal_group(child: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, number)


def _as_interrupt(*_: object) -> None:
    raise KeyboardInterrupt
