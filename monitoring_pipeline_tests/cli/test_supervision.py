"""Services that end are started again; what cannot be kept is named."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from monitoring_pipeline.cli import supervision
from monitoring_pipeline.cli.processes import spawn, stop
from monitoring_pipeline.cli.supervision import Service, Supervisor, has_working_child
from monitoring_pipeline.errors import UserError

SLEEPS = ("-c", "import time; time.sleep(60)")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervision, "WAITS", (0.0, 0.01, 0.02))
    monkeypatch.setattr(supervision, "LOOK_SECONDS", 0.02)


def test_one_that_always_ends_is_given_up_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    kept = Service(lambda: spawn(*SLEEPS))
    supervisor = Supervisor({"daemon": Service(lambda: spawn("-c", "raise SystemExit(3)")), "web server": kept}, None)
    try:
        with pytest.raises(UserError, match="the daemon ended with exit code 3 4 times"):
            supervisor.keep()
    finally:
        supervisor.stop()
    assert capsys.readouterr().err.count("the daemon ended with exit code 3; it is started again") == 3
    assert kept.process is not None and kept.process.returncode == -signal.SIGINT


def test_one_that_is_killed_is_started_again_and_one_waits_for_what_it_needs(tmp_path: Path) -> None:
    needed = tmp_path / "socket"
    first = Service(lambda: spawn("-c", f"open({str(needed)!r}, 'w'); {SLEEPS[1]}"))
    second = Service(lambda: spawn(*SLEEPS), after=needed)
    supervisor = Supervisor({"code server": first, "daemon": second}, None)
    killed: list[int] = []
    sleep = time.sleep

    def kill_then_interrupt(seconds: float) -> None:
        assert second.process is None or needed.exists()
        if second.process is not None and not killed:
            killed.append(second.process.pid)
            second.process.kill()
            second.process.wait()
        elif killed and second.process is not None and second.process.pid != killed[0]:
            raise KeyboardInterrupt
        sleep(0.02)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(supervision.time, "sleep", kill_then_interrupt)
        try:
            supervisor.keep()
        finally:
            supervisor.stop()
    assert second.ends == 1 and first.ends == 0


def test_one_that_ran_long_begins_anew_with_the_first_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervision, "STEADY_SECONDS", 0.0)
    service = Service(lambda: spawn("-c", ""))
    supervisor = Supervisor({"exporter": service}, None)
    for _ in range(8):  # more than there are waits
        supervisor._keep("exporter", service, time.monotonic())
        if service.process is not None:
            service.process.wait()
        time.sleep(0.02)
    assert service.ends == 1


@pytest.fixture
def parent() -> Iterator[subprocess.Popen[bytes]]:
    """A process with one child, as the code server's proxy is one."""
    child = f"c = subprocess.Popen([sys.executable, '-c', {SLEEPS[1]!r}]); print(c.pid, flush=True)"
    made = spawn("-c", f"import subprocess, sys, time; {child}; time.sleep(60)", stdout=subprocess.PIPE)
    yield made
    stop([made])


def test_a_proxy_whose_server_died_does_not_work(parent: subprocess.Popen[bytes]) -> None:
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert has_working_child(parent)
    subprocess.run(["kill", "-9", str(child)], check=True)
    for _ in range(200):
        if not has_working_child(parent):
            break
        time.sleep(0.01)
    assert not has_working_child(parent) and parent.poll() is None, "a dead child that nobody waited for is dead"
    assert has_working_child(parent, unless=True), "one that is still starting needs none"


def test_a_port_that_is_taken_is_said_before_anything_starts(tmp_path: Path) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        command = (sys.executable, "-m", "monitoring_pipeline.cli", "--home", str(tmp_path), "up", "--port", str(port))
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1 and re.search(rf"port {port} cannot be had: .*--port", done.stderr), done.stderr
    assert list(tmp_path.iterdir()) == []
