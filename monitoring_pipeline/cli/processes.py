"""Children of a command: kept from the terminal's Ctrl-C, stopped by us, none left behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path

STOP_SECONDS = 20.0


def spawn(*arguments: str, stdout: int | None = None) -> subprocess.Popen[bytes]:
    """This Python with these arguments, in a session of its own: the terminal's Ctrl-C reaches only us."""
    return subprocess.Popen([sys.executable, *arguments], stdout=stdout, start_new_session=True)


def launch(command: Sequence[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Another program with these variables added to our environment, in a session of its own as ``spawn``."""
    return subprocess.Popen(list(command), env={**os.environ, **environment}, start_new_session=True)


def stop(children: Sequence[subprocess.Popen[bytes]], number: signal.Signals = signal.SIGINT) -> None:
    """Sends each child and all it has started the signal; what does not end in ``STOP_SECONDS`` is killed.

    A second Ctrl-C kills at once.
    """
    try:
        for child in children:
            _signal_group(child, number)
        deadline = time.monotonic() + STOP_SECONDS
        for child in children:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(max(0.1, deadline - time.monotonic()))
    finally:
        for child in children:
            # What it has started may outlive it.
            _signal_group(child, signal.SIGKILL)
            child.wait()


def _signal_group(child: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, number)


@contextlib.contextmanager
def noticing_interrupts() -> Iterator[Callable[[], bool]]:
    """Tells whether Ctrl-C or SIGTERM came, whoever handled it: Dagster takes both while it runs, and may lose them.

    One that is raised where nothing can be raised, while a generator is let go of, is noticed like any other: Python's
    traceback of it is left out.
    """
    read, write = os.pipe()
    os.set_blocking(read, False)
    os.set_blocking(write, False)
    received = bytearray()

    def came() -> bool:
        with contextlib.suppress(BlockingIOError):
            received.extend(os.read(read, 4096))
        return signal.SIGINT in received or signal.SIGTERM in received

    before = signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    print_unraisable = sys.unraisablehook
    sys.unraisablehook = lambda found: print_unraisable(found) if isinstance(found.exc_value, Exception) else None
    try:
        yield came
    finally:
        sys.unraisablehook = print_unraisable
        signal.set_wakeup_fd(before)
        os.close(read)
        os.close(write)


def run_apart(
    monitors: Sequence[str], directory: Path, first: date, last: date, others: Mapping[str, Sequence[str]] | None = None
) -> list[str]:
    """``run`` of each monitor declared in ``directory``, all at once, and ``others`` beside them; which failed.

    A process each: Python computes on one core, and most machines have two. And Dagster, which takes Ctrl-C for itself
    while it runs, is ended like any other child.
    """
    command = ("-m", "monitoring_pipeline.cli", "--monitors", str(directory), "run")
    return all_apart(
        {name: (*command, name, "--from", f"{first}", "--to", f"{last}") for name in monitors} | dict(others or {})
    )


def all_apart(commands: Mapping[str, Sequence[str]]) -> list[str]:
    """This Python with each of these arguments, all at once; the names of those that failed."""
    children: dict[str, subprocess.Popen[bytes]] = {}
    with terminable():
        try:
            for name, arguments in commands.items():
                children[name] = spawn(*arguments)
            return [name for name, child in children.items() if child.wait()]
        finally:
            stop(list(children.values()), signal.SIGTERM)


@contextlib.contextmanager
def terminable() -> Iterator[None]:
    """Within the block SIGTERM, and the end of the terminal, stop everything in order, as Ctrl-C does.

    What a script starts in the background ignores Ctrl-C. So do we then; but children, who would inherit it, must not:
    it is how they are stopped.
    """

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    numbers = [n for n in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(n) is not signal.SIG_IGN]  # nohup
    before = {number: signal.signal(number, interrupt) for number in numbers}
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        before[signal.SIGINT] = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
