"""A service follows the champion: nothing answered is lost, nothing is logged twice, an old pointer is refused."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI, Response

from monitoring_pipeline.errors import UserError
from monitoring_pipeline.serving import (
    ChampionFollower,
    ChampionPointer,
    Monitoring,
    MonitoringMiddleware,
    ParquetSink,
    PredictionLog,
    Serving,
    read_champion,
)
from monitoring_pipeline_tests.serving.conftest import logged
from monitoring_pipeline_tests.serving.reference import MONITOR, good_row, reference_document

POLL = 0.02


class Registry:
    """Promotes versions below ``place`` and loads them; a version's model says its own number after ``takes`` s."""

    def __init__(self, place: Path) -> None:
        self.place, self.pointer, self.takes = place, place / "champion.json", 0.0
        self.closed: list[str] = []

    def promote(self, seq: int, version: str, **changed: Any) -> None:
        artifact = self.place / f"{version}.model"
        artifact.write_text(version)
        value = {
            "seq": seq, "monitor": MONITOR, "model_version": version, "uri": str(artifact), "format": "skops",
            "sha256": hashlib.sha256(version.encode()).hexdigest(), "reference": str(self.reference(version)),
        }  # fmt: skip
        temporary = self.pointer.with_suffix(".tmp")
        temporary.write_text(json.dumps(value | changed))
        temporary.replace(self.pointer)

    def reference(self, version: str) -> Path:
        path = self.place / f"reference-{version}.json"
        path.write_text(json.dumps(reference_document() | {"model_version": version}))
        return path

    def load(self, pointer: ChampionPointer) -> Serving:
        score = float(pointer.artifact()) / 100
        log = PredictionLog(self.place / "spool", ParquetSink(self.place / "lake"), max_age=0.5)
        monitoring = Monitoring(pointer.reference, log)
        closing = monitoring.close

        def close(timeout: float = 5.0) -> None:
            self.closed.append(pointer.model_version)
            closing(timeout)

        monitoring.close = close  # type: ignore[method-assign]
        return Serving(pointer.seq, pointer.model_version, monitoring, monitoring.wrap(self.model(score)))

    def model(self, score: float) -> Callable[[Any], float]:
        def predict(row: Any) -> float:
            time.sleep(self.takes)
            return score

        return predict

    def rows(self) -> dict[str, tuple[str, float]]:
        """By id: version and score; an id that was logged twice is an error."""
        found = logged(self.place / "lake")
        assert len({row["prediction_id"] for row in found}) == len(found)
        return {row["prediction_id"]: (row["model_version"], row["chance"]) for row in found}


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    made = Registry(tmp_path)
    made.promote(1, "10")
    return made


@pytest.fixture
def follower(registry: Registry) -> Iterator[ChampionFollower]:
    follower = ChampionFollower(registry.pointer, registry.load, poll_seconds=3600)
    yield follower
    follower.close()


def predict(follower: ChampionFollower, name: str) -> float:
    with follower.in_use() as champion:
        return champion.predict(good_row(), prediction_id=name)


def application(follower: ChampionFollower) -> FastAPI:
    app = FastAPI()
    app.add_middleware(MonitoringMiddleware, monitoring=follower)

    @app.get("/predict/{name}")
    def answer(name: str) -> dict[str, Any]:
        with follower.in_use() as champion:
            score = champion.predict(good_row(), prediction_id=name)
            return {"score": score, "version": champion.model_version}

    @app.get("/metrics")
    def metrics() -> Response:
        return Response(follower.metrics(), media_type=follower.content_type)

    return app


def test_a_swap_under_load_loses_no_prediction_and_logs_none_twice(registry: Registry) -> None:
    """A real uvicorn, eight callers, two promotions while they call."""
    registry.takes = 0.004
    follower = ChampionFollower(registry.pointer, registry.load, poll_seconds=POLL)
    server = uvicorn.Server(uvicorn.Config(application(follower), port=0, log_level="warning", access_log=False))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    enough, answered, failed = threading.Event(), {}, []

    def call(caller: int) -> None:
        with httpx.Client(base_url=url, timeout=30) as client:
            n = 0
            while not enough.is_set():
                name = f"{caller}-{n}"
                found = client.get(f"/predict/{name}")
                if found.status_code != 200:
                    failed.append(found.text)
                answered[name] = found.json()
                n += 1

    def wait_for(version: str) -> None:
        until = time.monotonic() + 30
        while sum(one["version"] == version for one in list(answered.values())) < 40:
            assert time.monotonic() < until, f"{version} does not answer: {follower.trouble}"
            time.sleep(POLL)

    with ThreadPoolExecutor(8) as pool:
        callers = [pool.submit(call, caller) for caller in range(8)]
        wait_for("10")
        registry.promote(2, "20")
        wait_for("20")
        registry.promote(3, "30")
        wait_for("30")
        page = httpx.get(f"{url}/metrics").text
        enough.set()
        for caller in callers:
            caller.result()
    server.should_exit = True
    thread.join(20)
    follower.close()
    assert failed == []
    assert 'model_version="30"' in page and 'route="/predict/{name}"' in page
    assert set(registry.closed) == {"10", "20", "30"}
    assert registry.rows() == {name: (one["version"], one["score"]) for name, one in answered.items()}
    assert all(one["score"] == float(one["version"]) / 100 for one in answered.values())


def test_an_old_version_is_closed_after_its_last_request(registry: Registry, follower: ChampionFollower) -> None:
    with follower.in_use() as old:
        registry.promote(2, "20")
        assert follower.look() and follower.current.model_version == "20"
        assert registry.closed == [] and old.model_version == "10"
        assert (old.predict(good_row(), prediction_id="late"), predict(follower, "new")) == (0.10, 0.20)
        follower.look()
        assert registry.closed == []
    follower.look()
    assert registry.closed == ["10"]
    follower.close()
    assert registry.rows() == {"late": ("10", 0.10), "new": ("20", 0.20)}


def test_a_smaller_seq_is_refused_and_a_rollback_is_followed(
    registry: Registry, follower: ChampionFollower, caplog: pytest.LogCaptureFixture
) -> None:
    registry.promote(5, "20")
    assert follower.look()
    registry.promote(4, "30")
    with caplog.at_level(logging.ERROR):
        assert not follower.look() and not follower.look()
    assert predict(follower, "a") == 0.20 and "older than 5" in (follower.trouble or "")
    assert len(caplog.records) == 1, "said once"
    registry.promote(6, "10")
    assert follower.look() and follower.trouble is None and predict(follower, "b") == 0.10


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        ({"sha256": "0" * 64}, "is not loaded"),
        ({"uri": "/nowhere/model"}, "cannot be read"),
        ({"reference": "/nowhere/reference.json"}, "reference cannot be read"),
        ({"monitor": "other"}, "this service is of 'flights'"),
    ],
)
def test_what_cannot_be_taken_over_leaves_the_old_one_answering(
    registry: Registry, follower: ChampionFollower, broken: dict[str, Any], says: str
) -> None:
    registry.promote(2, "20", **broken)
    assert not follower.look() and says in (follower.trouble or "")
    registry.pointer.write_text('{"seq": 2')
    assert not follower.look() and "not a champion file" in (follower.trouble or "")
    assert predict(follower, "a") == 0.10
    registry.promote(2, "20")
    assert follower.look() and follower.trouble is None and predict(follower, "b") == 0.20


def test_without_a_file_the_services_own_version_answers(registry: Registry) -> None:
    """Before the first promotion, and after a rollback to the version that has no artifact."""
    own = read_champion(registry.pointer)
    registry.pointer.unlink()
    follower = ChampionFollower(registry.pointer, registry.load, lambda: registry.load(own), poll_seconds=3600)
    assert not follower.look() and follower.trouble is None and predict(follower, "a") == 0.10
    registry.promote(2, "20")
    assert follower.look() and predict(follower, "b") == 0.20
    registry.pointer.unlink()
    assert follower.look() and predict(follower, "c") == 0.10 and not follower.look()
    registry.promote(2, "20")
    assert follower.look(), "the rollback was none: the file was away"
    registry.promote(1, "30")
    assert not follower.look() and predict(follower, "d") == 0.20
    follower.close()
    assert {name: version for name, (version, _) in registry.rows().items()} == {
        "a": "10", "b": "20", "c": "10", "d": "20",
    }  # fmt: skip


def test_a_file_that_goes_away_is_told_where_the_service_has_no_version_of_its_own(
    registry: Registry, follower: ChampionFollower
) -> None:
    registry.pointer.unlink()
    assert not follower.look() and "is gone" in (follower.trouble or "") and predict(follower, "a") == 0.10


def test_without_a_champion_it_does_not_start(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="promote a version first"):
        ChampionFollower(tmp_path / "champion.json", Registry(tmp_path).load)


def test_a_forked_child_follows_too(registry: Registry) -> None:
    follower = ChampionFollower(registry.pointer, registry.load, poll_seconds=POLL)
    pid = os.fork()
    if pid == 0:
        until = time.monotonic() + 10
        while follower.current.model_version != "20" and time.monotonic() < until:
            time.sleep(POLL)
        os._exit(0 if follower.current.model_version == "20" else 1)
    registry.promote(2, "20")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    follower.close()
