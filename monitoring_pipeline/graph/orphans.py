"""Runs whose process was killed.

Dagster learns of it from nobody: such a run stays unfinished for ever, holds its monitor's pool, and keeps the sensors
waiting. Every run therefore carries the process that works on it, and whoever comes next ends what no process works on.
"""

from __future__ import annotations

import socket
from pathlib import Path

import dagster as dg

PROCESS_TAG = "monitoring/process"
UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def this_process() -> str:
    """``host:pid:start``, which no other process has: pids come back, start times with them do not."""
    pid = Path("/proc/self").resolve().name
    return f"{socket.gethostname()}:{pid}:{_started(pid)}"


def end_orphans(instance: dg.DagsterInstance) -> list[str]:
    """Marks as failed the unfinished runs of this host whose process is gone, and frees their pools; their run ids."""
    return _end_orphans(instance)[0]


def unfinished_runs(instance: dg.DagsterInstance) -> list[dg.DagsterRun]:
    """The runs that are queued or under way, once those that nobody works on are ended. One query for all monitors."""
    return _end_orphans(instance)[1]


def _end_orphans(instance: dg.DagsterInstance) -> tuple[list[str], list[dg.DagsterRun]]:
    ended, left = [], []
    for run in instance.get_runs(dg.RunsFilter(statuses=UNFINISHED)):
        host, _, process = run.tags.get(PROCESS_TAG, "").partition(":")
        pid, _, started = process.partition(":")
        if host != socket.gethostname() or _started(pid) == started:
            left.append(run)
            continue
        instance.report_run_failed(run, "The process of this run was killed. What it committed is kept; run it again.")
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
        ended.append(run.run_id)
    return ended, left


def _started(pid: str) -> str | None:
    """When the process started, in clock ticks since boot; None for one that is gone or only waits to be reaped."""
    try:
        # The name in parentheses may hold anything; what follows it is: state, then 18 fields, then the start.
        after = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if after[0] in "ZX" else after[19]
