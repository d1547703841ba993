"""Services that are to run until they are told to stop: one that ends is started again, later each time."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import typer

from monitoring_pipeline.cli.processes import stop
from monitoring_pipeline.errors import UserError, WarehouseError
from monitoring_pipeline.warehouse.embedded import EmbeddedPostgres

Process = subprocess.Popen[bytes]
WAITS = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Seconds before each start after an end; when there are no more, there are no more starts."""
STEADY_SECONDS = 60.0  # one that ran for so long begins anew with the first wait
LOOK_SECONDS = 0.5


def running(process: Process) -> bool:
    """Whether it has not ended."""
    return process.poll() is None


@dataclass
class Service:
    """One process and how to start it. ``after``: the file that must be there before; ``lives``: whether it works."""

    start: Callable[[], Process]
    after: Path | None = None
    lives: Callable[[Process], bool] = running
    process: Process | None = None
    began: float = 0.0
    due: float | None = 0.0
    ends: int = field(default=0, init=False)


class Supervisor:
    """Starts services and keeps them, and the embedded server with them. ``keep`` returns only by an exception."""

    def __init__(self, services: Mapping[str, Service], server: EmbeddedPostgres | None) -> None:
        self.services = dict(services)
        self.server = server
        self._server_ends: list[float] = []

    def keep(self) -> None:
        """Looks after all of them. Raises UserError that names the one that cannot be kept."""
        while True:
            self._keep_server()
            for name, service in self.services.items():
                self._keep(name, service, time.monotonic())
            time.sleep(LOOK_SECONDS)

    def stop(self) -> None:
        """Ends all services."""
        stop([service.process for service in self.services.values() if service.process is not None])

    def _keep(self, name: str, service: Service, now: float) -> None:
        if service.process is None or service.due is not None:
            if now >= (service.due or 0.0) and (service.after is None or service.after.exists()):
                service.process, service.began, service.due = service.start(), now, None
        elif not service.lives(service.process):
            said = self._ended(service.process)
            service.ends = 1 if now - service.began > STEADY_SECONDS else service.ends + 1
            if service.ends > len(WAITS):
                raise UserError(
                    f"the {name} {said} {service.ends} times, each within {STEADY_SECONDS:.0f} s of its start;"
                    " see its output above for the reason. Everything else was stopped"
                )
            wait = WAITS[service.ends - 1]
            service.due = now + wait
            _say(f"the {name} {said}; it is started again in {wait:.0f} s")

    def _ended(self, process: Process) -> str:
        """What is left of it is ended too: it runs, but does not work."""
        code = process.poll()
        if code is None:
            stop([process])
            return "stopped working"
        return f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"

    def _keep_server(self) -> None:
        """An embedded server that died is brought back, on its port: whoever uses it connects again."""
        if self.server is None or self.server.status.running:
            return
        now = time.monotonic()
        self._server_ends = [at for at in self._server_ends if now - at < STEADY_SECONDS] + [now]
        if len(self._server_ends) > len(WAITS):
            raise UserError(
                f"the embedded Postgres ended {len(self._server_ends)} times within {STEADY_SECONDS:.0f} s; its log is"
                f" {self.server.status.place / 'server.log'}. Everything else was stopped"
            )
        _say("the embedded Postgres ended; it is started again")
        try:
            self.server.start()
        except WarehouseError as error:
            raise UserError(f"the embedded Postgres ended and cannot be started again: {error}") from error


def _say(text: str) -> None:
    typer.secho(text, fg="yellow", err=True)


def has_working_child(process: Process, unless: bool = False) -> bool:
    """Whether it runs and a child of it does: a proxy without the server behind it answers every call with an error.

    ``unless``: it is still starting, and needs none. True where the kernel does not tell.
    """
    if not running(process) or unless:
        return running(process)
    children: list[str] = []
    try:
        for thread in Path(f"/proc/{process.pid}/task").iterdir():
            children += (thread / "children").read_text().split()
    except OSError:
        return True
    return any(_works(child) for child in children)


def _works(pid: str) -> bool:
    with suppress(OSError, IndexError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False
