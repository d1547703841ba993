"""Commands of ours in processes of their own, which start in a tenth of a second: forked from one that has imported."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

CPU_LIMIT = 10.0  # seconds of user and system time
MEMORY_LIMIT = 500_000  # KB, with everything imported
IMPORTS = 230_000  # KB that this process holds after ``prepare``; what it holds besides is no memory of a command
ALLOWED = (0, 1, 2)


@dataclass(frozen=True)
class Ended:
    """How a command ended: exit code (negative: the signal), what it said, seconds, peak KB."""

    command: tuple[str, ...]
    code: int
    said: str
    wall: float
    cpu: float
    peak: int
    timed_out: bool

    def faults(self) -> list[str]:
        """What it must not do whatever the input; empty when it did none of it."""
        found = []
        if "Traceback (most recent call last)" in self.said:
            found.append("traceback")
        if self.timed_out or self.cpu > CPU_LIMIT:
            found.append(f"hang ({self.wall:.0f} s, {self.cpu:.0f} s of CPU)")
        if self.peak > MEMORY_LIMIT:
            found.append(f"memory ({self.peak / 1000:.0f} MB)")
        if self.code not in ALLOWED and not self.timed_out:
            found.append(f"exit code {self.code}")
        if self.code == 1 and not self.said.strip():
            found.append("exit code 1 without a word")
        if self.code == 1 and "is in Dagster, run" in self.said:
            found.append("an error that nobody foresaw")
        return found


def prepare() -> None:
    """Imports what the commands import; starts no thread."""
    import dagster  # noqa: F401
    import dagster_postgres  # noqa: F401
    import duckdb  # noqa: F401
    import pandas  # noqa: F401

    import monitoring_pipeline.cli.app
    import monitoring_pipeline.graph.factory
    import monitoring_pipeline.lake.inspection
    import monitoring_pipeline.monitors.drafting
    import monitoring_pipeline.warehouse.database  # noqa: F401


def call(
    command: Sequence[str], environment: Mapping[str, str | None], place: Path, patience: float, pictures: bool = False
) -> Ended:
    """Runs the command in ``place``. One that takes longer than ``patience`` seconds is killed."""
    began, besides = time.monotonic(), max(_resident() - IMPORTS, 0)
    child, log = start(command, environment, place, pictures)
    timed_out = False
    while True:
        pid, status, used = os.wait4(child, os.WNOHANG)
        if pid:
            break
        if not timed_out and time.monotonic() - began > patience:
            timed_out = True
            os.killpg(child, signal.SIGKILL)
        time.sleep(0.01)
    said = log.read_text(errors="replace") if log.exists() else ""
    return Ended(
        tuple(command),
        os.waitstatus_to_exitcode(status),
        said,
        time.monotonic() - began,
        used.ru_utime + used.ru_stime,
        used.ru_maxrss - besides,
        timed_out,
    )


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024


def start(
    command: Sequence[str], environment: Mapping[str, str | None], place: Path, pictures: bool = False
) -> tuple[int, Path]:
    """(process number, file of what it says); it leads a process group of its own."""
    log = place / "said"
    log.unlink(missing_ok=True)
    child = os.fork()
    if not child:
        _become(command, environment, place, log, pictures)
    return child, log


def _become(
    command: Sequence[str], environment: Mapping[str, str | None], place: Path, log: Path, pictures: bool
) -> None:
    code = 70
    try:
        os.setsid()
        os.chdir(place)
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        sys.stdout = os.fdopen(1, "w", closefd=False)  # whoever forks us may have put others there
        sys.stderr = os.fdopen(2, "w", closefd=False)
        for name, value in environment.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        code = _main(command, pictures)
    except BaseException:  # noqa: BLE001  whatever it is, it is printed as the interpreter would
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _main(command: Sequence[str], pictures: bool) -> int:
    from monitoring_pipeline.cli.app import main
    from monitoring_pipeline.graph import pictures as drawing

    if not pictures:  # they take longer than everything else of a small run
        drawing.of_stage = lambda stages, name, windows: {}
    sys.argv = ["monitoring-pipeline", *command]
    try:
        main()
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    return 0
