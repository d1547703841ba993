"""``up`` as a user starts it: its processes are killed, other pages ask, Ctrl-C ends it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from monitoring_pipeline.warehouse.embedded import EmbeddedPostgres, free_port
from monitoring_pipeline_tests.cli.conftest import Shell

LIMIT = 120.0
QUESTION = {"query": "{repositoriesOrError{... on RepositoryConnection{nodes{name}}}}"}


def wait_for(what: str, happened: Callable[[], bool], up: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + LIMIT
    while not happened():
        assert up.poll() is None, f"ended while waiting: {what}"
        assert time.monotonic() < deadline, what
        time.sleep(0.5)


def descendants(pid: int) -> dict[int, str]:
    """Command lines of the living processes below one, by their number."""
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if state not in "ZX":
            parents.setdefault(int(parent), []).append(int(stat.parent.name))
    found: dict[int, str] = {}
    left = [pid]
    while left:
        for child in parents.get(left.pop(), []):
            left.append(child)
            found[child] = Path(f"/proc/{child}/cmdline").read_text().replace("\0", " ")
    return found


def answers(port: int) -> bool:
    """Whether the web server answers from what the code server says, which it has from the database and the files."""
    try:
        answer = httpx.post(f"http://127.0.0.1:{port}/graphql", json=QUESTION, timeout=10).json()
    except httpx.TransportError:
        return False
    return bool(answer.get("data", {}).get("repositoriesOrError", {}).get("nodes"))


def is_served(port: int) -> bool:
    try:
        return "monitoring_exporter_up 1" in httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=10).text
    except httpx.TransportError:
        return False


@pytest.mark.slow
def test_up_keeps_its_children_answers_its_own_pages_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "monitors").mkdir()
    shell, port, metrics = Shell(tmp_path, None), free_port(), free_port()
    log = tmp_path / "up.log"
    with log.open("w") as output:
        command = ("-m", "monitoring_pipeline.cli", "up", "--port", f"{port}", "--exporter-port", f"{metrics}")
        up = subprocess.Popen(
            [sys.executable, *command], env=shell.environment, cwd=tmp_path, stdout=output, stderr=output, text=True
        )
    try:
        wait_for("the first answer", lambda: answers(port) and is_served(metrics), up)
        before = descendants(up.pid)
        # The server behind the code server, and Postgres; that a process which ends is kept: ``test_supervision``.
        victims = [pid for pid, command in before.items() if "api grpc" in command]
        postgres = EmbeddedPostgres(tmp_path / "home").status.pid
        assert len(victims) == 1 and postgres is not None, before
        for pid in (*victims, postgres):
            os.kill(pid, signal.SIGKILL)
        wait_for("the words", lambda: log.read_text().count("started again") >= 2, up)
        wait_for("answers after the kills", lambda: answers(port) and is_served(metrics), up)
        refused = httpx.post(
            f"http://127.0.0.1:{port}/graphql", json=QUESTION, headers={"Origin": "https://evil.example"}
        )
        assert refused.status_code == 403, json.dumps(dict(refused.headers))
        at_the_end = descendants(up.pid)
    finally:
        up.send_signal(signal.SIGTERM)
        up.wait(60)
    assert up.returncode == 0, log.read_text()[-3000:]
    deadline = time.monotonic() + 10  # a grandchild ends by itself once its parent has
    while (left := [pid for pid in at_the_end if Path(f"/proc/{pid}").exists()]) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not left, f"left: {[at_the_end[pid] for pid in left]}"
    assert EmbeddedPostgres(tmp_path / "home").status.running is False
    assert "the embedded Postgres ended; it is started again" in log.read_text()
