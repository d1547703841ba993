"""The HTTP side on loopback."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest

from monitoring_pipeline.errors import UserError
from monitoring_pipeline.exporter import start
from monitoring_pipeline.warehouse.database import Warehouse

NOWHERE = "postgresql://nobody:secret-word@127.0.0.1:1/none"


def fetch(url: str, method: str = "GET") -> tuple[int, str, str]:
    request = urllib.request.Request(url, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read().decode()
    except urllib.error.HTTPError as answer:
        return answer.code, answer.headers["Content-Type"], answer.read().decode()


def test_metrics_and_health(warehouse: Warehouse) -> None:
    with start(warehouse, 0) as exporter:
        status, kind, body = fetch(exporter.url)
        assert (status, kind.split(";")[0]) == (200, "text/plain")
        assert "\nmonitoring_exporter_up 1.0\n" in body
        base = exporter.url.removesuffix("/metrics")
        assert fetch(f"{base}/healthz") == (200, "text/plain; charset=utf-8", "ok\n")
        assert fetch(f"{base}/")[0] == 404
        assert fetch(exporter.url, "POST")[0] == 405
        assert fetch(exporter.url, "HEAD")[::2] == (200, "")
    with pytest.raises(urllib.error.URLError):
        fetch(exporter.url)


def test_a_database_that_is_away_is_said_not_raised() -> None:
    with start(NOWHERE, 0) as exporter:
        status, _, body = fetch(exporter.url)
        assert status == 200
        assert "\nmonitoring_exporter_up 0.0\n" in body
        status, _, why = fetch(exporter.url.replace("/metrics", "/healthz"))
        assert status == 503
        assert "refused" in why
        assert "secret-word" not in why + body


def test_many_scrapes_at_once_are_one_reading(warehouse: Warehouse) -> None:
    with start(warehouse, 0, ttl=60) as exporter, ThreadPoolExecutor(8) as pool:
        bodies = set(pool.map(lambda _: fetch(exporter.url)[2], range(16)))
    assert len(bodies) == 1  # query_seconds would differ


def test_listens_on_loopback_only(warehouse: Warehouse) -> None:
    with start(warehouse, 0) as exporter:
        assert exporter._server.server_address[0] == "127.0.0.1"


def test_a_port_that_is_taken_is_a_users_mistake(warehouse: Warehouse) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(UserError, match=r"cannot listen on 127\.0\.0\.1:\d+: .*give another --port"):
            start(warehouse, taken.getsockname()[1])


def test_serve_waits_until_interrupted(warehouse: Warehouse) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    serving = "import sys; from monitoring_pipeline.exporter import serve; serve(sys.argv[1], int(sys.argv[2]))"
    # A process of its own, as the command is: a signal raised among pytest's threads may be nobody's.
    process = subprocess.Popen([sys.executable, "-c", serving, warehouse.url, str(port)], stderr=subprocess.DEVNULL)
    try:
        assert _answers(f"http://127.0.0.1:{port}/healthz", seconds=60)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(20) != 0, "an interrupt is passed on"
    finally:
        process.kill()
    with pytest.raises(urllib.error.URLError):
        fetch(f"http://127.0.0.1:{port}/healthz")


def _answers(url: str, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            if fetch(url)[0] == 200:
                return True
        time.sleep(0.1)
    return False
