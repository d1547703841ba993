"""Clients without a key, however many and however slow, do not keep those with one from posting."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from monitoring_pipeline.collector import connection as module
from monitoring_pipeline.collector.connection import Connection
from monitoring_pipeline_tests.collector.conftest import Running, record, serving
from monitoring_pipeline_tests.toy import Toy

PLACES = 300  # more than there are for connections without a key
LONG = "Host: x\r\nX-API-Key: mpc_0_x\r\nContent-Length: 9000000\r\n\r\n"
HEADS = {
    "wrong key": f"POST /v1/toy/predictions HTTP/1.1\r\n{LONG}",
    "no such path": f"POST /elsewhere HTTP/1.1\r\n{LONG}",
    "health with a body": f"GET /healthz HTTP/1.1\r\n{LONG}",
    "half a head": "POST /v1/toy/predictions HTTP/1.1\r\nHost: x\r\nX-API-",
}


def opened(running: Running) -> socket.socket:
    url = httpx.URL(running.url)
    return socket.create_connection((url.host, url.port or 0), timeout=20)


class Attack(threading.Thread):
    """Holds ``PLACES`` connections, each of which sends a head, then a byte now and then; opens a closed one anew."""

    def __init__(self, running: Running, head: str) -> None:
        super().__init__(daemon=True)
        self._running, self._head, self._ended, self.reopened = running, head.encode(), threading.Event(), 0
        self._held = [self._start_one() for _ in range(PLACES)]

    def _start_one(self) -> socket.socket:
        one = opened(self._running)
        with contextlib.suppress(OSError):
            one.sendall(self._head)
        one.setblocking(False)
        return one

    def run(self) -> None:
        while not self._ended.wait(0.5):
            for i, one in enumerate(self._held):
                try:
                    one.send(b"x")
                    if one.recv(65536) == b"":
                        raise ConnectionResetError
                except BlockingIOError:
                    pass
                except OSError:
                    one.close()
                    self.reopened += 1
                    self._held[i] = self._start_one()

    def stop(self) -> None:
        self._ended.set()
        self.join(20)
        for one in self._held:
            one.close()


@pytest.fixture
def attacked(shared: Running) -> Iterator[Callable[[str], Attack]]:
    started: list[Attack] = []

    def start(head: str) -> Attack:
        started.append(Attack(shared, head))
        started[-1].start()
        return started[-1]

    yield start
    for attack in started:
        attack.stop()


@pytest.mark.parametrize("head", ["wrong key", "no such path", "half a head"])
def test_who_has_a_key_is_answered_within_a_second(
    shared: Running, attacked: Callable[[str], Attack], head: str
) -> None:
    attacked(HEADS[head])
    time.sleep(0.3)
    for i in range(3):
        start = time.monotonic()
        with httpx.Client(base_url=shared.url, headers={"X-API-Key": shared.key}, timeout=20) as fresh:
            assert fresh.post("/v1/toy/predictions", json=[record(i)]).status_code == 202
            assert fresh.get("/healthz").status_code == 200
        assert shared.predictions([record(i)]).status_code == 202, "and one that has been connected all the time"
        assert time.monotonic() - start < 5, "three requests; make torture asks for a second each"


@pytest.mark.parametrize("head", ["wrong key", "no such path", "health with a body"])
def test_a_refused_request_ends_however_its_body_trickles(shared: Running, head: str) -> None:
    with opened(shared) as found:
        start = time.monotonic()
        found.sendall(HEADS[head].encode())
        answer = b""
        with contextlib.suppress(OSError):
            while chunk := found.recv(65536):
                answer += chunk
                found.sendall(b"x")
        assert time.monotonic() - start < 5
        assert answer.startswith(b"HTTP/1.1 ")
        assert (b"connection: close" in answer.lower()) == (b" 200 " not in answer)


def test_a_request_that_is_not_answered_in_time_is_given_up(shared: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Connection, "idle_seconds", 0.2)
    monkeypatch.setattr(Connection, "request_seconds", 0.3)
    with opened(shared) as found:
        key = f"X-API-Key: {shared.key}"
        found.sendall(f"POST /v1/toy/predictions HTTP/1.1\r\nHost: x\r\n{key}\r\nContent-Length: 9000\r\n\r\n".encode())
        start = time.monotonic()
        with contextlib.suppress(OSError):
            assert found.recv(100) == b""
        assert 0.3 < time.monotonic() - start < 10


def test_places_of_those_with_a_key_are_bounded_and_the_idle_give_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ADMITTED", 3)
    Toy(tmp_path).declare()
    for running in serving(tmp_path / "home", tmp_path):
        clients = [httpx.Client(base_url=running.url, headers={"X-API-Key": running.key}) for _ in range(5)]
        for client in clients:
            assert client.post("/v1/toy/predictions", json=[record()]).status_code == 202
        key = f"X-API-Key: {running.key}\r\n"
        head = f"POST /v1/toy/predictions HTTP/1.1\r\nHost: x\r\n{key}Content-Length: 9000\r\n\r\n".encode()
        busy = [opened(running) for _ in range(3)]
        for one in busy:
            one.sendall(head)
        time.sleep(0.5)
        answer = httpx.post(f"{running.url}/v1/toy/predictions", json=[record()], headers={"X-API-Key": running.key})
        assert (answer.status_code, "send the batch again" in answer.json()["error"]) == (503, True)
        assert int(answer.headers["Retry-After"]) > 0
        busy.pop().close()
        time.sleep(0.2)
        assert running.predictions([record()]).status_code == 202
        for one in [*busy, *clients]:
            one.close()


def test_the_most_crowded_address_gives_way(shared: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAITING", 6)
    url = httpx.URL(shared.url)
    with contextlib.ExitStack() as stack:
        quiet = stack.enter_context(opened(shared))
        time.sleep(0.1)
        for _ in range(12):
            one = socket.create_connection((url.host, url.port or 0), timeout=20, source_address=("127.0.0.2", 0))
            stack.enter_context(one)
            time.sleep(0.01)
        quiet.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert quiet.recv(100).startswith(b"HTTP/1.1 200")
