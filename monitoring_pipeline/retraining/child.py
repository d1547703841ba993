"""A training in a process of its own, within limits of time and memory; whatever it does, the caller goes on.

The child has its own session, dies with its parent, and its whole group is killed at the end, also after success: a
trainer may leave processes behind. Not a fork: one after an OpenMP fit hangs. Memory is limited by ``RLIMIT_DATA``:
address space is three times what a fit uses.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from monitoring_pipeline.errors import RetrainError
from monitoring_pipeline.monitors.durations import as_text

GRACE_SECONDS = 2.0
TICK_SECONDS = 0.05
KEPT_OUTPUT = 8192  # bytes: the end says what went wrong
LONGEST_LINE = 65_536
MODULE = "monitoring_pipeline.retraining.worker"

Progress = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True)
class Limits:
    """``memory_mb``: of data (heap and anonymous maps) of each process, in MB of 2**20 bytes."""

    time: timedelta
    memory_mb: int


@dataclass(frozen=True)
class Usage:
    """What a child took: wall and CPU seconds of it and its children, its largest resident memory in bytes."""

    seconds: float
    cpu_seconds: float
    peak_rss_bytes: int


@dataclass
class _Heard:
    """What came over the pipes so far."""

    listener: Progress
    line: bytes = b""
    output: bytes = b""
    sources: dict[int, str] = field(default_factory=dict)

    def take(self, name: str, content: bytes) -> None:
        if name == "output":
            self.output = (self.output + content)[-KEPT_OUTPUT:]
            return
        *lines, rest = (self.line + content).split(b"\n")
        self.line = rest[-LONGEST_LINE:]
        for line in lines:
            said = _json(line)
            if said is not None:
                self.listener(said)

    @property
    def last_words(self) -> str:
        """The last lines that it printed."""
        lines = self.output.decode("utf-8", "replace").strip().splitlines()[-3:]
        return f"; its last output: {' | '.join(line.strip()[:200] for line in lines)}" if lines else ""


def run_child(directory: Path, limits: Limits, listener: Progress, module: str = MODULE) -> Usage:
    """Run ``python -m module directory`` to its end. What it writes into the directory is its result.

    ``listener`` is given each JSON object that the child writes to its progress pipe; what is no JSON is dropped.
    Raises RetrainError when it outlasts the limit, is killed, or ends with another code than 0.
    """
    began = time.monotonic()
    progress, theirs = os.pipe()
    try:
        process = _start(directory, limits, theirs, module)
    except OSError as error:
        os.close(progress)
        raise RetrainError(f"the training process cannot be started: {error}") from error
    finally:
        os.close(theirs)
    heard = _Heard(listener)
    try:
        in_time = _listen(process, progress, heard, began + limits.time.total_seconds())
    finally:  # also when the caller is interrupted
        usage, code = _end(process, began)
        os.close(progress)
        if process.stdout:
            process.stdout.close()
    if not in_time:
        raise RetrainError(
            f"training took longer than {as_text(limits.time)} and was stopped; raise retrain.training.time_limit, or"
            f" train on fewer rows{heard.last_words}"
        )
    if code != 0:
        raise RetrainError(_why(code, limits, usage, heard))
    return usage


def _start(directory: Path, limits: Limits, progress: int, module: str) -> subprocess.Popen[bytes]:
    here = os.pathsep.join(path or str(Path.cwd()) for path in sys.path)  # the trainer is found as it is here
    # Threads of a fit that wait without spinning: on a busy machine spinning makes it ten times slower.
    environment = {"OMP_WAIT_POLICY": "passive", **os.environ, "PYTHONPATH": here}
    command = [sys.executable, "-m", module, str(directory), str(progress), str(os.getpid()), str(limits.memory_mb)]
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment,
        pass_fds=(progress,), start_new_session=True,
    )  # fmt: skip


def _listen(process: subprocess.Popen[bytes], progress: int, heard: _Heard, deadline: float) -> bool:
    """Hear what it says until it ends. False when the deadline came first."""
    assert process.stdout is not None
    with selectors.DefaultSelector() as selector:
        for descriptor, name in ((progress, "progress"), (process.stdout.fileno(), "output")):
            os.set_blocking(descriptor, False)
            selector.register(descriptor, selectors.EVENT_READ, name)
        while True:
            over = _has_ended(process.pid)
            _hear(selector, heard, 0 if over else TICK_SECONDS)
            if over:
                return True
            if time.monotonic() > deadline:
                return False


def _hear(selector: selectors.BaseSelector, heard: _Heard, wait: float) -> None:
    if not selector.get_map():
        time.sleep(wait)
    for key, _ in selector.select(wait):
        content = os.read(key.fd, LONGEST_LINE)
        if content:
            heard.take(key.data, content)
        else:
            selector.unregister(key.fd)


def _has_ended(pid: int) -> bool:
    """Whether it has, leaving it to be waited for: until then its group's number is not given to another."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None


def _end(process: subprocess.Popen[bytes], began: float) -> tuple[Usage, int]:
    """Ask it to stop if it runs, then kill the group. Its exit code; negative: the signal that ended it."""
    if not _has_ended(process.pid):
        _signal(process.pid, signal.SIGTERM)
        until = time.monotonic() + GRACE_SECONDS
        while time.monotonic() < until and not _has_ended(process.pid):
            time.sleep(TICK_SECONDS)
    _signal(process.pid, signal.SIGKILL)
    _, status, used = os.wait4(process.pid, 0)
    code = process.returncode = os.waitstatus_to_exitcode(status)
    peak = used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return Usage(time.monotonic() - began, used.ru_utime + used.ru_stime, peak), code


def _signal(group: int, number: signal.Signals) -> None:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return  # nobody of it is left


def _why(code: int, limits: Limits, usage: Usage, heard: _Heard) -> str:
    memory = f"retrain.training.memory_limit_mb ({limits.memory_mb})"
    if code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        return (
            f"the training process was ended by {name} at {usage.peak_rss_bytes >> 20} MB; if it ran out of memory,"
            f" raise {memory} or train on fewer rows{heard.last_words}"
        )
    return f"the training process ended with code {code} and without a result{heard.last_words}"


def _json(line: bytes) -> Mapping[str, Any] | None:
    try:
        said = json.loads(line)
    except ValueError:
        return None
    return said if isinstance(said, dict) else None
