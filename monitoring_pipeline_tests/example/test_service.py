"""The example service behind a real uvicorn, a stand-in for the model, and the replay client before it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest
import uvicorn
from sklearn.linear_model import LogisticRegression

from monitoring_pipeline.demo.service_model import Answer
from monitoring_pipeline.errors import UserError
from monitoring_pipeline.example import service
from monitoring_pipeline.example.champion import load_champion
from monitoring_pipeline.example.place import Place
from monitoring_pipeline.example.replay import Pace, replay
from monitoring_pipeline.example.traffic import Request, moved
from monitoring_pipeline.retraining import artifacts
from monitoring_pipeline.retraining import model as registry
from monitoring_pipeline.serving import ChampionPointer, PredictionLogError
from monitoring_pipeline.settings import Settings
from monitoring_pipeline.warehouse.embedded import free_port
from monitoring_pipeline_tests.collector.conftest import rows
from monitoring_pipeline_tests.serving.reference import good_row, reference_document

START = datetime(2013, 12, 10, 6, tzinfo=UTC)


class Model:
    model_version = "7"
    pipeline = None

    def with_pipeline(self, pipeline: None) -> Model:
        return self

    def predict(self, requests: list[dict[str, Any]]) -> list[Answer]:
        x = float(requests[0].get("x0") or 0.0)  # a ValueError for a text, as the real one has it
        if x > 1e6:
            raise RuntimeError("on purpose")
        return [Answer(int(x > 0), 0.75 if x > 0 else 0.25)]


@dataclass
class Example:
    url: str
    place: Place
    server: uvicorn.Server
    thread: threading.Thread

    def post(self, path: str, body: Any) -> httpx.Response:
        return httpx.post(f"{self.url}{path}", json=body)

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join(20)

    def landed(self, kind: str) -> list[dict[str, Any]]:
        """After ``stop``: all there is."""
        return rows(self.place.landed / "flights" / kind)


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Example]:
    place = Place(tmp_path)
    place.root.mkdir()
    place.reference.write_text(json.dumps(reference_document()))
    monkeypatch.setenv("MONITORING_HOME", str(tmp_path))
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)
    monkeypatch.setattr(service, "load_service_model", lambda home, name: Model())
    config = uvicorn.Config(service.create_app(), host="127.0.0.1", port=0, log_level="warning")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    found = Example(f"http://127.0.0.1:{port}", place, server, thread)
    yield found
    found.stop()


def test_predictions_and_feedback_reach_the_lake(example: Example) -> None:
    first = example.post("/predict", {"features": good_row(1), "event_time": "2013-12-10T07:00:00-05:00"})
    assert first.json() | {"prediction_id": ""} == {
        "prediction_id": "", "prediction": 1, "score": 0.75, "model_version": "7",
    }  # fmt: skip
    name = first.json()["prediction_id"]
    example.post("/predict", {"features": good_row(0) | {"x1": None}, "prediction_id": "mine"})
    labels = [{"prediction_id": name, "outcome": 1, "label_time": "2013-12-10T15:00:00Z"}]
    assert example.post("/feedback", {"labels": labels}).json() == {"accepted": 1}
    page = httpx.get(f"{example.url}/metrics").text
    assert "model_predictions_total{" in page and "model_reference_value_bucket{" in page
    assert 'route="/predict"' in page
    assert httpx.get(f"{example.url}/healthz").json()["status"] == "ok"
    example.stop()
    logged = {r["prediction_id"]: r for r in example.landed("predictions")}
    assert set(logged) == {name, "mine"}
    assert logged[name]["event_time"] == datetime(2013, 12, 10, 12, tzinfo=UTC)
    assert (logged["mine"]["x1"], logged["mine"]["predicted"], logged["mine"]["chance"]) == (None, "0", 0.25)
    assert example.landed("ground_truth") == [
        {"prediction_id": name, "late15": "1", "label_time": datetime(2013, 12, 10, 15, tzinfo=UTC)}
    ]


def test_the_dummy_answers_without_the_model(example: Example) -> None:
    row = good_row(1) | {"c0": "unheard of", "more": 1}
    one, again, other = (example.post("/dummy", {"features": f}).json() for f in (row, row, good_row(2)))
    assert one["score"] == again["score"] != other["score"] and one["prediction_id"] != again["prediction_id"]
    assert 0 <= one["score"] < 1 and one["prediction"] == int(one["score"] >= 0.5)
    page = httpx.get(f"{example.url}/metrics").text
    assert 'model_predictions_total{model_version="7",monitor="flights"} 3.0' in page
    example.stop()
    assert [r["chance"] for r in example.landed("predictions")].count(one["score"]) == 2


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/dummy", {"features": {"x0": [1]}}),
        ("/predict", {}),
        ("/predict", {"features": {"x0": "far"}}),
        ("/predict", {"features": {"x0": [1]}}),
        ("/predict", {"features": {}, "event_time": "2013-12-10T07:00:00"}),
        ("/predict", {"features": {}, "prediction_id": ""}),
        ("/feedback", {"labels": []}),
        ("/feedback", {"labels": [{"prediction_id": "a", "outcome": 2}]}),
        ("/feedback", {"labels": [{"prediction_id": "a"}]}),
    ],
)
def test_what_cannot_be_read_is_refused_and_not_logged(example: Example, path: str, body: Any) -> None:
    assert example.post(path, body).status_code == 422
    example.stop()
    assert example.landed("predictions") == example.landed("ground_truth") == []


def test_a_promoted_version_answers_without_a_restart(example: Example, monkeypatch: pytest.MonkeyPatch) -> None:
    promoted = Model()
    promoted.model_version = "8"
    monkeypatch.setattr(service, "load_champion", lambda pointer: promoted)
    reference = example.place.root / "reference-8.json"
    reference.write_text(json.dumps(reference_document() | {"model_version": "8"}))
    pointer = example.place.champion("flights")
    pointer.parent.mkdir(parents=True)
    said = {"seq": 1, "monitor": "flights", "model_version": "8", "uri": "", "sha256": "", "format": "skops"}
    pointer.write_text(json.dumps(said | {"reference": str(reference)}))
    answered: dict[str, str] = {}
    until = time.monotonic() + 20
    while "8" not in answered.values() and time.monotonic() < until:
        answer = example.post("/predict", {"features": good_row(1)}).json()
        answered[answer["prediction_id"]] = answer["model_version"]
    assert set(answered.values()) == {"7", "8"}
    assert httpx.get(f"{example.url}/healthz").json()["model_version"] == "8"
    example.stop()
    logged = [(r["prediction_id"], r["model_version"]) for r in example.landed("predictions")]
    assert sorted(logged) == sorted(answered.items())


def test_a_promoted_model_is_loaded_as_it_was_registered(tmp_path: Path) -> None:
    frame = pd.DataFrame({"distance": [100.0, 200.0, 800.0, 900.0], "peak": [0.0, 1.0, 0.0, 1.0]})
    estimator = LogisticRegression().fit(frame, [0, 0, 1, 1])
    model = registry.Model(estimator, "binary", ("distance", "peak"), ("0", "1"), 0.3)
    settings = Settings(home=tmp_path)
    stored = artifacts.save(model, settings, "late15_live")
    pointer = ChampionPointer(1, "late15_live", "r1", stored.uri, stored.sha256, "skops", "")
    loaded = load_champion(pointer)
    (answer,) = loaded.predict([{"distance": 500.0, "peak": True}])
    score = estimator.predict_proba(frame.assign(distance=500.0, peak=1.0))[0, 1]
    assert (answer.score, answer.prediction) == (pytest.approx(score), int(score >= 0.3))
    Path(stored.uri).write_bytes(b"altered")
    with pytest.raises(UserError, match="not the recorded"):
        load_champion(pointer)


def test_it_does_not_start_without_a_reference(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="reference export late15"):
        service.monitored_name(Place(tmp_path))


def requests(n: int, x0: float = 1.0) -> list[Request]:
    """A request a minute; every fourth never arrives, the others half an hour later."""
    return [
        Request(f"r{i}", START + timedelta(minutes=i), good_row() | {"x0": x0}, *_arrival(i)) for i in range(n)
    ]  # fmt: skip


def _arrival(i: int) -> tuple[int | None, datetime | None]:
    return (None, None) if i % 4 == 0 else (i % 2, START + timedelta(minutes=i + 30))


def test_a_replay_is_answered_logged_and_told_what_arrived(example: Example) -> None:
    moved: list[tuple[int, int]] = []
    result = replay(example.url, requests(200), Pace(speed=24_000), lambda *counts: moved.append(counts))
    assert (result.n_answered, result.n_failed, result.n_labels) == (200, 0, 150)
    assert result.seconds == pytest.approx(199 * 60 / 24_000, abs=2.0) and result.seconds > 199 * 60 / 24_000
    assert 0 < result.latency(0.5) <= result.latency(0.99)
    assert max(moved) == (200, 0) and len(moved) == 200
    example.stop()
    assert {r["prediction_id"] for r in example.landed("predictions")} == {f"r{i}" for i in range(200)}
    assert len(example.landed("ground_truth")) == 150


def test_a_replay_ends_by_time_and_counts_failures(example: Example) -> None:
    short = replay(example.url, requests(1000), Pace(rate=50, seconds=0.5))
    assert 10 <= short.n_answered <= 27
    failed = replay(example.url, requests(5, x0=1e9), Pace(rate=200))
    assert (failed.n_answered, failed.n_failed, failed.n_labels) == (0, 5, 0)
    assert "500" in failed.first_failure


@pytest.mark.parametrize("url", ["http://example.org", "http://10.0.0.1:8000", "http://192.168.1.1"])
def test_a_replay_goes_to_this_machine_alone(url: str) -> None:
    with pytest.raises(UserError, match="this machine only"):
        replay(url, requests(1), Pace(rate=1))


@pytest.mark.parametrize(
    "pace",
    [{}, {"rate": 1.0, "speed": 1.0}, {"rate": 0.0}, {"rate": 1e5}, {"speed": -1.0}, {"rate": 1.0, "concurrent": 99}],
)
def test_paces_that_are_refused(pace: dict[str, Any]) -> None:
    with pytest.raises(UserError):
        Pace(**pace)


def test_flights_moved_to_a_day_keep_their_time_of_day_and_their_delay() -> None:
    late = Request("late", datetime(2013, 1, 5, 23, tzinfo=UTC), {}, 1, datetime(2013, 1, 6, 3, tzinfo=UTC))
    early = Request("early", datetime(2013, 3, 9, 1, 30, tzinfo=UTC), {}, None, None)
    found = moved([late, early], date(2013, 12, 10), "run")
    assert [(r.prediction_id, r.event_time, r.label_time) for r in found] == [
        ("run-early", datetime(2013, 12, 10, 1, 30, tzinfo=UTC), None),
        ("run-late", datetime(2013, 12, 10, 23, tzinfo=UTC), datetime(2013, 12, 11, 3, tzinfo=UTC)),
    ]


def test_one_service_a_home(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.counters.mkdir(parents=True)
    (place.counters / "of an earlier run.db").touch()
    with place.occupied():
        assert not any(place.counters.iterdir()), "counts of an earlier run are no counts of this one"
        with pytest.raises(UserError, match=r"already uses"), place.occupied():
            pass
    with place.occupied():
        pass


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.root.mkdir()
    place.spool.touch()
    with pytest.raises(UserError, match="spool: File exists"), place.occupied():
        pass


def test_runs_are_counted_and_a_broken_count_is_said(tmp_path: Path) -> None:
    place = Place(tmp_path)
    assert [place.next_run() for _ in range(3)] == [0, 1, 2]
    (place.root / "runs").write_text("")
    with pytest.raises(UserError, match="is not a number"):
        place.next_run()


def test_a_replay_before_nobody_is_refused() -> None:
    with pytest.raises(UserError, match="no service is running there"):
        replay(f"http://127.0.0.1:{free_port()}", requests(1), Pace(rate=1))


def test_outcomes_that_are_not_taken_are_counted(example: Example, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise PredictionLogError("the disk is full")

    monkeypatch.setattr(service.RecordLog, "append", full)
    result = replay(example.url, requests(8), Pace(rate=200))
    assert (result.n_answered, result.n_failed, result.n_labels, result.n_labels_failed) == (8, 0, 0, 6)
    assert "503" in result.first_failure
