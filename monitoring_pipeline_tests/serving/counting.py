"""Worker processes that count, fold and die. Run as a program, so that forks start from a process without threads.

``steps DIR``: a worker that folds is killed before each of its steps in turn; the totals after each death, and after
another one has folded, are written out.
``crowd DIR SEED``: workers start, count and are killed, many at once, while one process reads; what it saw is written.
"""

from __future__ import annotations

import json
import math
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

from monitoring_pipeline.serving import counters as module
from monitoring_pipeline.serving.counters import GAUGE, SharedCounters
from monitoring_pipeline_tests.serving.reference import SEED

SHARE = 0.1  # no float holds it, so that sums round
CELLS = 5
WORKERS = 5
MODEL = "m"


def count(counters: SharedCounters, times: int = 1) -> None:
    keys = ("count",), ("sum", "x"), (GAUGE, "busy")
    for _ in range(times):
        one, several, busy = (counters.block(k, n) for k, n in zip(keys, (1, CELLS, 1), strict=True))
        with counters.lock:
            one[0] += 1
            several[:] += SHARE
            busy[0] = 1
            counters.publish(*keys)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def born(work: object) -> int:
    """A worker that does this and is killed."""
    pid = os.fork()
    if pid == 0:
        try:
            work()  # type: ignore[operator]
        finally:
            die()
    return pid


def dead_workers(place: Path, n: int) -> None:
    """The i-th counts i times; they leave the folding to others."""

    def work(times: int) -> None:
        module.FOLDED_AT = n + 1
        count(SharedCounters(place, MODEL), times)

    for i in range(1, n + 1):
        os.waitpid(born(lambda i=i: work(i)), 0)


def killed_at(place: Path, step: int) -> bool:
    """A worker folds, and is killed before its ``step``-th look at a file or change of one; whether it had so many."""
    survived, told = os.pipe()

    def start() -> None:
        left = step

        def audit(event: str, arguments: tuple[object, ...]) -> None:
            nonlocal left
            if event in ("open", "os.rename", "os.remove", "fcntl.flock") and str(place) + "/" in _names(arguments):
                left -= 1
                if left == 0:
                    die()

        module.FOLDED_AT = WORKERS
        sys.addaudithook(audit)
        SharedCounters(place, MODEL)
        os.write(told, b"!")

    os.waitpid(born(start), 0)
    os.close(told)
    with os.fdopen(survived, "rb") as pipe:
        return pipe.read() == b""


def _names(arguments: tuple[object, ...]) -> str:
    """Paths among the arguments, and the path of a descriptor."""
    found = [str(a) for a in arguments]
    if arguments and isinstance(arguments[0], int):
        found.append(str(Path(f"/proc/self/fd/{arguments[0]}").readlink()))
    return " ".join(found)


def steps(base: Path) -> None:
    seen, killed = [], True
    while killed:
        place = base / str(len(seen))
        dead_workers(place, WORKERS)
        killed = killed_at(place, len(seen) + 1)
        left = len(list(place.glob("*.counters")))
        after, folded = state(place, folding=False), state(place, folding=True)
        seen.append({"killed": killed, "left": left, "after": after, "folded": folded})
    print(json.dumps(seen))


def state(place: Path, folding: bool) -> dict[str, Any]:
    """What a worker reads that starts now."""
    module.FOLDED_AT = 1 if folding else 1_000
    reader = SharedCounters(place, MODEL)
    totals = reader.totals()
    reader.close()
    return {
        "count": totals["count",][0],
        "sum": totals["sum", "x"].tolist(),
        "gauges": sum(key[0] == GAUGE for key in totals),
        "files": len(list(place.glob("*.counters"))),
    }


def crowd(place: Path, seed: int) -> None:
    rng = random.Random(seed)
    stop = place / "stop"
    readable, writable = os.pipe()
    reader = os.fork()
    if reader == 0:
        os.close(readable)
        read_until(stop, place, writable)
        os._exit(0)
    os.close(writable)
    n_counted, left = 0, 80
    alive: list[int] = []
    while left or alive:
        while left and len(alive) < 4:
            left -= 1
            if rng.random() < 0.5:  # killed anywhere in its start, when it may be folding; it counts nothing
                pid = born(lambda: (SharedCounters(place, MODEL), time.sleep(10)))
                time.sleep(rng.uniform(0, 0.006))
                os.kill(pid, signal.SIGKILL)
            else:
                pid = born(lambda: count(SharedCounters(place, MODEL), 3))
                n_counted += 3
            alive.append(pid)
        os.waitpid(alive.pop(0), 0)
    stop.touch()
    with os.fdopen(readable) as pipe:
        seen = json.loads(pipe.read())
    last = SharedCounters(place, MODEL).totals()
    print(json.dumps(seen | {"counted": n_counted, "count": last["count",][0], "sum": last["sum", "x"][0],
                             "expected": math.fsum([_three()] * (n_counted // 3))}))  # fmt: skip


def _three() -> float:
    """What a worker's cell holds after three times."""
    cell = 0.0
    for _ in range(3):
        cell += SHARE
    return cell


def read_until(stop: Path, place: Path, out: int) -> None:
    counters = SharedCounters(place, MODEL)
    reads, falls, before = 0, 0, (0.0, 0.0)
    over = False
    while not over:
        over = stop.exists()
        totals = counters.totals()
        now = tuple(float(totals[key][0]) if key in totals else 0.0 for key in (("count",), ("sum", "x")))
        falls += now[0] < before[0] or now[1] < before[1]
        reads, before = reads + 1, (now[0], now[1])
    os.write(out, json.dumps({"reads": reads, "falls": falls, "seen": before}).encode())


if __name__ == "__main__":
    if sys.argv[1] == "steps":
        steps(Path(sys.argv[2]))
    else:
        crowd(Path(sys.argv[2]), SEED)
