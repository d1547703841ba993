"""CPU, wall time and peak memory of work in a process of its own."""

from __future__ import annotations

import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path


@dataclass(frozen=True)
class Cost:
    """Seconds of CPU (user and system, all threads) and of wall time, of the best round; peak resident MB of the
    process, imports included. ``figures`` is how many figures the work yielded."""

    cpu: float
    wall: float
    peak_mb: float
    figures: int


def in_child(module: str, *arguments: str) -> Cost:
    """Runs ``python -m module arguments``, which prints what ``report`` prints."""
    # One BLAS thread for all: a second one spins while it waits, and would count against the peer that calls it.
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", module, *arguments]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert child.stdout is not None
    printed = child.stdout.read()
    if child.wait():
        raise RuntimeError(f"{module} {' '.join(arguments)} ended with {child.returncode}")
    return Cost(**json.loads(printed.strip().splitlines()[-1]))


def report(work: Callable[[], int], rounds: int) -> None:
    """Does ``work``, which returns a number of figures, and prints what the best round cost."""
    best: dict[str, float] | None = None
    for _ in range(rounds):
        cpu, wall = _cpu(), time.perf_counter()
        figures = work()
        cost = {"cpu": _cpu() - cpu, "wall": time.perf_counter() - wall, "figures": figures}
        best = cost if best is None or cost["cpu"] < best["cpu"] else best
    print(json.dumps((best or {}) | {"peak_mb": _peak_mb()}))


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _peak_mb() -> float:
    # Not ru_maxrss: Linux starts that with the memory of the process that called exec.
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def machine() -> str:
    """One line: processor, cores, memory, Python and the libraries that matter."""
    model = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.machine(),
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = ", ".join(f"{name} {version(name)}" for name in ("duckdb", "numpy", "pyarrow", "evidently"))
    cores = len(os.sched_getaffinity(0))
    return f"{model}, {cores} cores, {memory:.0f} GB; Python {platform.python_version()}, {versions}"
