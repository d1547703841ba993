"""kill -9 of the collector under load: what was acknowledged lands, once after ingestion's deduplication."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import httpx
import pytest

from monitoring_pipeline.collector.keys import KeyStore
from monitoring_pipeline_tests.collector.conftest import record, rows
from monitoring_pipeline_tests.toy import Toy

KILLS = 3


def start(home: Path, monitors: Path) -> tuple[subprocess.Popen[bytes], str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = ["-m", "monitoring_pipeline.cli", "--home", str(home), "--monitors", str(monitors)]
    child = subprocess.Popen([sys.executable, *command, "collector", "--port", str(port), "--ship-every", "0.3",
                              "--landing", f"file://{home}/landed"], stdout=subprocess.DEVNULL)  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    end = time.monotonic() + 60
    while True:
        try:
            httpx.get(f"{url}/healthz")
            return child, url
        except httpx.TransportError:
            assert child.poll() is None and time.monotonic() < end, "the collector did not start"
            time.sleep(0.1)


class Sender(threading.Thread):
    """Sends batches of ten until the collector is gone; ``acknowledged`` are the ids it was told are safe."""

    def __init__(self, url: str, key: str, name: str) -> None:
        super().__init__()
        self.url, self.key, self.prefix, self.acknowledged = url, key, name, list[str]()

    def run(self) -> None:
        headers = {"X-API-Key": self.key, "Content-Type": "application/json"}
        with httpx.Client(headers=headers) as client:
            for number in range(10_000):
                ids = [f"{self.prefix}-{number}-{i}" for i in range(10)]
                content = json.dumps([record(prediction_id=i) for i in ids])
                try:
                    answer = client.post(f"{self.url}/v1/toy/predictions", content=content)
                except httpx.TransportError:
                    return
                if answer.status_code == 202:
                    self.acknowledged += ids


@pytest.mark.slow
def test_what_was_acknowledged_survives_kills(tmp_path: Path) -> None:
    home = tmp_path / "home"
    Toy(tmp_path).declare()
    _, key = KeyStore(home).create("toy")
    acknowledged: list[str] = []
    for kill in range(KILLS):
        child, url = start(home, tmp_path / "monitors")
        senders = [Sender(url, key, f"{kill}-{thread}") for thread in range(3)]
        for sender in senders:
            sender.start()
        time.sleep(0.4 + 0.35 * kill)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        for sender in senders:
            sender.join()
            acknowledged += sender.acknowledged
    assert len(acknowledged) > 100

    child, _ = start(home, tmp_path / "monitors")
    landing, end = home / "landed" / "toy" / "predictions", time.monotonic() + 30
    while len(list((home / "collector" / "spool").glob("*.lock"))) > 1:
        assert time.monotonic() < end, "what the killed ones left was not shipped"
        time.sleep(0.1)
    child.send_signal(signal.SIGTERM)
    assert child.wait(30) in (0, -signal.SIGTERM), "uvicorn stops in order, then raises the signal again"
    landed = Counter(r["id"] for r in rows(landing))
    assert not set(acknowledged) - landed.keys()
    # a batch that was durable when the kill came before its answer: at most one a sender and kill
    assert len(landed.keys() - set(acknowledged)) <= 10 * 3 * KILLS
    assert set(landed.values()) == {1}, "a segment that is shipped again replaces its own file"
    assert not list((home / "collector" / "spool").glob("*.corrupt"))
