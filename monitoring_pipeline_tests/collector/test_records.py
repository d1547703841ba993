"""What is accepted lands as it was sent; what is wrong is refused whole and told record by record."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from monitoring_pipeline_tests.collector.conftest import NOW, Running, record
from monitoring_pipeline_tests.toy import Toy

Refuse = Callable[[Any], list[tuple[int, str | None, str]]]


def test_a_batch_lands_under_the_columns_the_monitor_declares(collector: Running) -> None:
    answer = collector.predictions([record(0), record(1, features={"x": None, "channel": "kiosk"}, score=0)])
    assert (answer.status_code, answer.json()) == (202, {"accepted": 2, "repeated": 0})
    first, second = collector.landed("predictions", 2)
    assert first == {
        "id": "p-0", "at": datetime(2024, 3, 5, 9, tzinfo=UTC), "version": "v1", "predicted": "1", "score": 0.7,
        "x": 0.1, "amount": 7.0, "channel": "web", "region": "north", "returning": True,
    }  # fmt: skip
    absent = {"x": None, "amount": None, "region": None, "returning": None}
    assert absent | {"channel": "kiosk", "score": 0.0} == {k: second[k] for k in (*absent, "channel", "score")}


def test_labels_land_and_those_without_a_time_are_stamped(collector: Running) -> None:
    labels = [
        {"prediction_id": "p-0", "outcome": 1, "label_time": 1709632800},
        {"prediction_id": "p-1", "outcome": False},
    ]
    assert collector.labels(labels).json() == {"accepted": 2, "repeated": 0}
    assert collector.landed("ground_truth", 2) == [
        {"id": "p-0", "y": "1", "known": datetime(2024, 3, 5, 10, tzinfo=UTC)},
        {"id": "p-1", "y": "false", "known": NOW},
    ]


@pytest.mark.parametrize("media", ["application/json", "application/x-ndjson"])
def test_bare_lists_and_lines(collector: Running, media: str) -> None:
    batch = [record(i) for i in range(3)]
    content = json.dumps(batch) if media.endswith("/json") else "\n".join(map(json.dumps, batch)) + "\n\n"
    answer = collector.post("/v1/toy/predictions", content=content, headers={"Content-Type": media})
    assert answer.json() == {"accepted": 3, "repeated": 0}


def test_a_replayed_batch_is_answered_alike(collector: Running) -> None:
    batch = [record(0), record(1, features={"x": math.nan}), record(1, features={"x": math.nan})]
    content = json.dumps(batch)
    answers = [
        collector.post("/v1/toy/predictions", content=content, headers={"Content-Type": "application/json"})
        for _ in range(3)
    ]
    assert [a.json() for a in answers] == [{"accepted": 2, "repeated": 1}] * 3
    assert {r["id"] for r in collector.landed("predictions", 6)} == {"p-0", "p-1"}


def test_one_record_written_in_two_ways_is_one(collector: Running) -> None:
    """An id as number and as text, a class, a time, a feature that is null or not there."""
    one = record(
        prediction_id=1, prediction=1, event_time="2024-03-05T10:00:00+01:00", features={"x": 1, "amount": None}
    )
    other = record(prediction_id="1", prediction="1", event_time="2024-03-05T09:00:00Z", features={"x": 1.0})
    assert collector.predictions([one, other]).json() == {"accepted": 1, "repeated": 1}
    assert [r["id"] for r in collector.landed("predictions", 1)] == ["1"]
    answer = collector.predictions([one, other | {"score": 0.1}])
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "prediction_id")
    assert "'1' is also in record 0 with other values" in answer.json()["errors"][0]["message"]


def test_a_bare_record_is_told_where_it_belongs(shared: Running) -> None:
    answer = shared.post("/v1/toy/predictions", json=record())
    assert answer.status_code == 400
    assert answer.json()["error"] == 'the body is a single record outside of a list; send {"records": [RECORD]}'


def test_what_a_model_may_see_is_kept(collector: Running) -> None:
    sent = ["NaN", "Infinity", "-Infinity", 1e400, 0, True]
    text = json.dumps([record(i, features={"x": v}) for i, v in enumerate(sent[:-1])])
    answer = collector.post("/v1/toy/predictions", content=text, headers={"Content-Type": "application/json"})
    assert answer.status_code == 202, answer.text
    values = [r["x"] for r in collector.landed("predictions", 5)]
    assert math.isnan(values[0]) and values[1:] == [math.inf, -math.inf, math.inf, 0.0]


def test_canonical_classes_and_flags(collector: Running) -> None:
    batch = [record(i, prediction=v, features={"returning": v}) for i, v in enumerate([1, 1.0, True])]
    assert collector.predictions(batch).status_code == 202
    landed = collector.landed("predictions", 3)
    assert [(r["predicted"], r["returning"]) for r in landed] == [("1", True), ("1", True), ("true", True)]


FEATURES = {"x": 0.1}
MISTAKES: list[tuple[dict[str, Any], str, str]] = [
    ({"prediction_id": ""}, "prediction_id", "not empty"),
    ({"prediction_id": ["a"]}, "prediction_id", "a list of 1"),
    ({"prediction_id": "a\nb"}, "prediction_id", "unprintable"),
    ({"prediction_id": "é" * 257}, "prediction_id", "257 characters; 256"),
    ({"prediction_id": 10**400}, "prediction_id", "too large an integer"),
    ({"event_time": "2024-03-05T10:00:00"}, "event_time", "has no time zone; append Z"),
    ({"event_time": "yesterday"}, "event_time", "not ISO 8601"),
    ({"event_time": 1709632800000}, "event_time", "milliseconds"),
    ({"event_time": -5}, "event_time", "seconds since 1970"),
    ({"event_time": True}, "event_time", "not true"),
    ({"event_time": "0001-01-01T00:00:00+01:00"}, "event_time", "outside"),
    ({"event_time": "2024-03-05T12:06:00Z"}, "event_time", "0:06:00 ahead of the collector's clock"),
    ({"model_version": {"v": 1}}, "model_version", "an object of 1"),
    ({"score": 1.5}, "score", "must lie in [0, 1], not 1.5"),
    ({"score": "NaN"}, "score", "must be a finite number"),
    ({"score": "0.5"}, "score", "must be a finite number"),
    ({"prediction": []}, "prediction", "must be one value"),
    ({"features": [1, 2]}, "features", "must be an object"),
    ({"features": {"x": "12"}}, "features.x", "must be a number"),
    ({"features": {"x": True}}, "features.x", "not true"),
    ({"features": {"x": 10**400}}, "features.x", "too large"),
    ({"features": {"x": {"a": {"b": 1}}}}, "features.x", "an object of 1"),
    ({"features": {"channel": {"a": 1}}}, "features.channel", "flatten"),
    ({"features": {"channel": "y" * 1025}}, "features.channel", "1025 characters"),
    ({"features": {"channel": "a\0b"}}, "features.channel", "NUL"),
    ({"features": {"channel": "\ud800"}}, "features.channel", "surrogate"),
    ({"features": {"returning": "yes"}}, "features.returning", "true, false"),
    ({"features": {"amuont": 1}}, "features.amuont", "did you mean 'amount'?"),
    ({"scroe": 0.5}, "scroe", "did you mean 'score'?"),
    ({"scores": {"1": 0.5}}, "scores", "is not declared"),
    ({"id": "a"}, "id", "is not declared"),
    ({"a\ud800": 1}, "a\\ud800", "is not declared"),
    ({"features": {"x\ud800": 1}}, "features.x\\ud800", "did you mean 'x'?"),
    ({"prediction_id": 1.5}, "prediction_id", "or an integer, not 1.5"),
]


@pytest.mark.parametrize(("change", "field", "message"), MISTAKES)
def test_each_mistake_is_told(refused: Refuse, change: dict[str, Any], field: str, message: str) -> None:
    ((index, where, told),) = refused([record(0), record(1) | change])
    assert (index, where) == (1, field)
    assert message in told


@pytest.mark.parametrize("field", ["prediction_id", "event_time", "prediction", "score"])
def test_what_every_record_needs(refused: Refuse, field: str) -> None:
    absent = record()
    del absent[field]
    assert refused([absent, record(1) | {field: None}]) == [
        (index, field, "is missing; every record needs it") for index in (0, 1)
    ]


def test_all_or_nothing_and_every_mistake_at_once(collector: Running) -> None:
    answer = collector.predictions([record(0), "text", record(1, score=2, event_time="never"), None, record(2)])
    assert [(e["index"], e["field"]) for e in answer.json()["errors"]] == [
        (1, None), (2, "event_time"), (2, "score"), (3, None),
    ]  # fmt: skip
    collector.predictions([record(9)])
    assert [r["id"] for r in collector.landed("predictions", 1)] == ["p-9"], "the good rows of a refused batch stay out"


def test_one_id_with_two_contents(refused: Refuse) -> None:
    ((index, field, message),) = refused([record(0), record(1), record(0, score=0.1)])
    assert (index, field) == (2, "prediction_id")
    assert "is also in record 0" in message and "give each prediction its own id" in message


def test_one_id_with_two_outcomes(shared: Running) -> None:
    answer = shared.labels([{"prediction_id": "a", "outcome": 0}, {"prediction_id": "a", "outcome": 1}])
    assert answer.status_code == 422
    assert "send a correction later" in answer.json()["errors"][0]["message"], "which of two labels is the later counts"


def test_a_broken_line_is_named(shared: Running) -> None:
    content = json.dumps(record(0)) + '\n{"prediction_id": \n[1]\n'
    answer = shared.post("/v1/toy/predictions", content=content, headers={"Content-Type": "application/x-ndjson"})
    told = [(e["index"], e["message"]) for e in answer.json()["errors"]]
    assert answer.status_code == 422
    assert told[0][0] == 1 and "line 2 is not JSON" in told[0][1]
    assert told[1] == (2, "a record must be an object, not a list of 1")


def test_clock_skew_is_tolerated_as_ingestion_tolerates_it(collector: Running) -> None:
    edge = NOW + timedelta(minutes=5)
    assert collector.predictions([record(0, event_time=edge.isoformat())]).status_code == 202
    assert collector.predictions([record(1, event_time=edge.timestamp() + 1)]).status_code == 422
    collector.clock[0] = NOW + timedelta(seconds=1)
    assert collector.predictions([record(1, event_time=edge.timestamp() + 1)]).status_code == 202


def test_only_some_mistakes_are_told_and_all_counted(limited: Running) -> None:
    found = limited.predictions([record(i, score=-1) for i in range(5)]).json()
    assert (found["n_errors"], len(found["errors"])) == (5, 3)
    assert limited.metric('collector_refused_records_total{kind="predictions",monitor="toy"}') == 5
    found = limited.predictions([record(i, **dict.fromkeys("abcd", 1)) for i in range(4)] + [record(4)]).json()
    assert (found["n_errors"], [(e["index"], e["field"]) for e in found["errors"]]) == (
        16, [(0, "a"), (0, "b"), (0, "c")],
    )  # fmt: skip
    assert limited.metric('collector_refused_records_total{kind="predictions",monitor="toy"}') == 5 + 4


def test_other_tasks(collector: Running) -> None:
    Toy(collector.base, "multiclass", name="many").declare()
    Toy(collector.base, "regression", name="number").declare(ground_truth=None)
    for name in ("many", "number"):
        collector.client.headers[f"X-Key-{name}"] = _key(collector, name)
    base = record()
    del base["score"], base["prediction"]
    many = base | {"prediction": "dog", "scores": {"cat": 0.1, "dog": 0.8, "eel": 0.1}}
    _wait_for(collector, "many")
    assert _send(collector, "many", many).status_code == 202
    wrong = _send(collector, "many", base | {"prediction": "dog", "scores": {"cat": 0.1, "dog": "x", "fox": 0}})
    assert {e["field"] for e in wrong.json()["errors"]} == {"scores.dog", "scores.eel", "scores.fox"}
    assert _send(collector, "number", base | {"prediction": -3.5}).status_code == 202
    assert _send(collector, "number", base | {"prediction": "NaN"}).status_code == 422
    landed = collector.landed("predictions", 1, "many")[0]
    assert (landed["p_cat"], landed["p_dog"], landed["predicted"]) == (0.1, 0.8, "dog")
    assert collector.landed("predictions", 1, "number")[0]["predicted"] == -3.5
    label = collector.post(
        "/v1/number/ground-truth", json=[{"prediction_id": "a", "outcome": 1}], headers=_bearer(collector, "number")
    )
    assert label.status_code == 409


def _key(collector: Running, monitor: str) -> str:
    from monitoring_pipeline.collector.keys import KeyStore

    return KeyStore(collector.home).create(monitor)[1]


def _bearer(collector: Running, monitor: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {collector.client.headers[f'X-Key-{monitor}']}"}


def _send(collector: Running, monitor: str, one: dict[str, Any]) -> Any:
    return collector.post(f"/v1/{monitor}/predictions", json=[one], headers=_bearer(collector, monitor))


def _wait_for(collector: Running, monitor: str) -> None:
    """A new file of a monitor is seen while the collector runs."""
    import time

    end = time.monotonic() + 10
    while _send(collector, monitor, {}).status_code == 404:
        assert time.monotonic() < end
        time.sleep(0.1)
