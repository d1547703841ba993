"""A collector behind a real uvicorn on a free loopback port, over a home of its own, with a binary toy monitor."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import uvicorn

from monitoring_pipeline.collector.app import create_app
from monitoring_pipeline.collector.connection import Connection
from monitoring_pipeline.collector.keys import KeyStore
from monitoring_pipeline.collector.limits import Limits
from monitoring_pipeline_tests.toy import Toy

NOW = datetime(2024, 3, 5, 12, tzinfo=UTC)


@dataclass
class Running:
    """One collector, a client with the key of the monitor ``toy``, and where records land."""

    home: Path
    base: Path
    url: str
    key: str
    client: httpx.Client
    clock: list[datetime]

    def post(self, path: str, **request: Any) -> httpx.Response:
        return self.client.post(path, **request)

    def predictions(self, records: Any) -> httpx.Response:
        content = json.dumps({"records": records})
        return self.post("/v1/toy/predictions", content=content, headers={"Content-Type": "application/json"})

    def labels(self, records: Any) -> httpx.Response:
        return self.post("/v1/toy/ground-truth", json={"records": records})

    def landed(self, kind: str, n: int, monitor: str = "toy") -> list[dict[str, Any]]:
        """Every row that has landed, as soon as there are ``n``."""
        end = time.monotonic() + 20
        while len(found := rows(self.home / "collected" / monitor / kind)) < n:
            assert time.monotonic() < end, f"{len(found)} of {n} rows have landed"
            time.sleep(0.05)
        return found

    def metric(self, line: str) -> float:
        """Value of a series as the page writes it."""
        for found in self.client.get("/metrics").text.splitlines():
            if found.startswith(f"{line} "):
                return float(found.rsplit(" ", 1)[1])
        raise AssertionError(f"no series {line}")


def rows(directory: Path) -> list[dict[str, Any]]:
    files = sorted(directory.glob("*.parquet"))
    return pa.concat_tables([pq.read_table(f) for f in files]).to_pylist() if files else []


def record(number: int = 0, **changes: Any) -> dict[str, Any]:
    """A good record of the toy; ``changes`` replace its keys, None removes one."""
    found: dict[str, Any] = {
        "prediction_id": f"p-{number}",
        "event_time": "2024-03-05T10:00:00+01:00",
        "model_version": "v1",
        "features": {"x": 0.1, "amount": 7, "channel": "web", "region": "north", "returning": True},
        "prediction": 1,
        "score": 0.7,
    }
    return {k: v for k, v in (found | changes).items() if v is not None}


def serving(home: Path, base: Path, **options: Any) -> Iterator[Running]:
    clock = [NOW]
    app = create_app(home, base / "monitors", ship_every=0.2, clock=lambda: clock[0], **options)
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning", timeout_graceful_shutdown=2,
                            http=Connection, ws="none")  # fmt: skip
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    end = time.monotonic() + 20
    while not server.started:
        assert time.monotonic() < end
        time.sleep(0.02)
    url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    _, key = KeyStore(home).create("toy")
    try:
        with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=30) as client:
            yield Running(home, base, url, key, client, clock)
    finally:
        server.should_exit = True
        thread.join(20)


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[Running]:
    Toy(tmp_path).declare()
    yield from serving(tmp_path / "home", tmp_path)


@pytest.fixture
def limited(tmp_path: Path) -> Iterator[Running]:
    """With limits that a test can reach."""
    Toy(tmp_path).declare()
    yield from serving(
        tmp_path / "home", tmp_path, limits=Limits(body_bytes=20_000, records=5, errors_told=3, body_seconds=0.5)
    )


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One for the tests in which nothing lands."""
    place = tmp_path_factory.mktemp("shared collector")
    Toy(place).declare()
    yield from serving(place / "home", place)


@pytest.fixture
def refused(shared: Running) -> Callable[[Any], list[tuple[int, str | None, str]]]:
    """Sends predictions that must be refused whole; the mistakes told."""

    def send(records: Any) -> list[tuple[int, str | None, str]]:
        answer = shared.predictions(records)
        assert answer.status_code == 422, answer.text
        assert answer.json()["accepted"] == 0
        return [(e["index"], e["field"], e["message"]) for e in answer.json()["errors"]]

    return send
