"""The collector killed while clients post, and besieged by clients without a key while others post.

python -m benchmarks.torture.collector [--seed N] [--kills 10] [--seconds 30]

What was acknowledged before ``kill -9`` lands, once. With 256 connections that show a wrong key, announce a large body
and send a byte every five seconds, posts with a key are answered within a second.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx

from monitoring_pipeline.collector.keys import KeyStore
from monitoring_pipeline_tests.collector.conftest import record, rows
from monitoring_pipeline_tests.collector.test_kill import Sender, start
from monitoring_pipeline_tests.toy import Toy

SENDERS, BATCH = 3, 10
HELD = 256
EVERY = 5.0  # seconds between two bytes of a connection
HEAD = b"POST /v1/toy/predictions HTTP/1.1\r\nHost: x\r\nX-API-Key: mpc_0_x\r\nContent-Length: 90000000\r\n\r\n"
WITHIN = 1.0  # seconds


def _home(place: Path) -> tuple[Path, str]:
    """A home with a monitor and the key of it."""
    Toy(place).declare()
    return place / "home", KeyStore(place / "home").create("toy")[1]


def kills(place: Path, rounds: int, draw: random.Random) -> tuple[int, int]:
    """(ids acknowledged, ids landed). Raises AssertionError when one is lost or doubled."""
    home, key = _home(place)
    acknowledged: list[str] = []
    for number in range(rounds):
        child, url = start(home, place / "monitors")
        senders = [Sender(url, key, f"{number}-{thread}") for thread in range(SENDERS)]
        for sender in senders:
            sender.start()
        time.sleep(draw.uniform(0.05, 3))
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        for sender in senders:
            sender.join()
            acknowledged += sender.acknowledged
    landed = _landed(place, home)
    lost, doubled = set(acknowledged) - landed.keys(), [one for one, n in landed.items() if n > 1]
    assert not lost, f"{len(lost)} acknowledged predictions are lost, such as {min(lost)}"
    assert not doubled, f"{len(doubled)} predictions are there twice, such as {min(doubled)}"
    more = len(landed.keys() - set(acknowledged))
    assert more <= rounds * SENDERS * BATCH, f"{more} predictions landed that no kill explains"
    assert not list((home / "collector" / "spool").glob("*.corrupt"))
    return len(acknowledged), len(landed)


def _landed(place: Path, home: Path) -> Counter[str]:
    """How often each id is in the lake when a last collector has shipped what the killed ones left."""
    child, _ = start(home, place / "monitors")
    end = time.monotonic() + 60
    while len(list((home / "collector" / "spool").glob("*.lock"))) > 1:
        assert time.monotonic() < end, "what the killed ones left was not shipped in a minute"
        time.sleep(0.1)
    _stopped(child)
    return Counter(one["id"] for one in rows(home / "landed" / "toy" / "predictions"))


def _stopped(child: subprocess.Popen[bytes]) -> None:
    child.send_signal(signal.SIGTERM)
    assert child.wait(60) in (0, -signal.SIGTERM), "it did not stop in order"


class Siege(threading.Thread):
    """``HELD`` connections with a wrong key, each a byte every five seconds; one that is closed is opened anew."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self._url, self._over, self.opened = httpx.URL(url), threading.Event(), 0
        self._held = [self._another() for _ in range(HELD)]

    def _another(self) -> socket.socket | None:
        self.opened += 1
        with contextlib.suppress(OSError):
            one = socket.create_connection((self._url.host, self._url.port or 0), timeout=5)
            one.sendall(HEAD)
            one.setblocking(False)
            return one
        return None

    def run(self) -> None:
        while not self._over.is_set():
            for number, one in enumerate(self._held):
                if self._over.wait(EVERY / HELD):
                    break
                if not self._goes_on(one):
                    self._held[number] = self._another()

    @staticmethod
    def _goes_on(one: socket.socket | None) -> bool:
        if one is None:
            return False
        try:
            one.send(b"x")
            if one.recv(65_536):
                return True
        except BlockingIOError:
            return True
        except OSError:
            pass
        one.close()
        return False

    def stop(self) -> None:
        self._over.set()
        self.join(30)
        for one in self._held:
            if one is not None:
                one.close()


@contextlib.contextmanager
def _besieged(url: str) -> Iterator[Siege]:
    siege = Siege(url)
    siege.start()
    try:
        yield siege
    finally:
        siege.stop()


def trickle(place: Path, seconds: float) -> tuple[list[float], int]:
    """(seconds that each post with a key took, connections of the siege); every other post over a new connection.

    Raises AssertionError when a post is not accepted.
    """
    home, key = _home(place)
    child, url = start(home, place / "monitors")
    took: list[float] = []
    try:
        with httpx.Client(base_url=url, headers={"X-API-Key": key}, timeout=60) as kept, _besieged(url) as siege:
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                fresh = httpx.Client(base_url=url, headers={"X-API-Key": key}, timeout=60)
                for client in (kept, fresh):
                    began = time.perf_counter()
                    answer = client.post("/v1/toy/predictions", json=[record(len(took))])
                    took.append(time.perf_counter() - began)
                    assert answer.status_code == 202, f"{answer.status_code}: {answer.text[:300]}"
                fresh.close()
                time.sleep(0.02)
            opened = siege.opened
    finally:
        _stopped(child)
    return took, opened


def main() -> None:
    """Exit code 1 when something was lost, doubled, refused or late."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=30.0, help="how long the siege lasts")
    arguments = parser.parse_args()
    place = Path(tempfile.mkdtemp(prefix="torture-collector-"))
    try:
        for name in ("kills", "trickle"):
            (place / name).mkdir()
        told, landed = kills(place / "kills", arguments.kills, random.Random(arguments.seed))
        print(
            f"seed {arguments.seed}: {arguments.kills} kills, {told} acknowledged, {landed} landed, each once",
            flush=True,
        )
        took, opened = trickle(place / "trickle", arguments.seconds)
        p50, *_, p99 = statistics.quantiles(took, n=100)[49:]
        print(
            f"siege of {HELD} connections ({opened} opened): {len(took)} posts with a key,"
            f" p50 {1000 * p50:.0f} ms, p99 {1000 * p99:.0f} ms, slowest {1000 * max(took):.0f} ms"
        )
    finally:
        shutil.rmtree(place, ignore_errors=True)
    sys.exit(max(took) > WITHIN)


if __name__ == "__main__":
    main()
