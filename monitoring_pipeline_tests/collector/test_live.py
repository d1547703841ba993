"""Live series of the collector: what a Python service publishes for the same rows."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from monitoring_pipeline.collector.keys import KeyStore
from monitoring_pipeline.serving import Monitoring
from monitoring_pipeline_tests.collector.conftest import Running, serving
from monitoring_pipeline_tests.serving.reference import MONITOR, VERSION, reference_document
from monitoring_pipeline_tests.toy import Toy

DECLARATION = f"""
name: {MONITOR}
task: binary
schema:
  prediction_id: id
  event_time: at
  model_version: version
  prediction: predicted
  score: chance
  numerical: [x0, x1, x2]
  categorical: [c0, c1]
  boolean: [late]
predictions: {{path: log/*.parquet}}
reference: {{path: reference.parquet, model_version: "{VERSION}"}}
start: 2024-01-01
"""
Series = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@pytest.fixture
def flights(tmp_path: Path) -> Iterator[Running]:
    """A collector of two monitors, the toy and one with two versions, of which one has a reference."""
    Toy(tmp_path).declare()
    (tmp_path / "monitors" / f"{MONITOR}.yaml").write_text(DECLARATION)
    place = tmp_path / "home" / "collector" / "references"
    place.mkdir(parents=True)
    (place / "flights.json").write_text(json.dumps(reference_document()))
    (place / "broken.json").write_text("{")
    for running in serving(tmp_path / "home", tmp_path):
        _, key = KeyStore(running.home).create(MONITOR)
        running.client.headers["Authorization"] = f"Bearer {key}"
        yield running


def rows(n: int) -> list[dict[str, Any]]:
    """Missing, unseen and extreme values among them."""
    return [
        {
            "x0": None if i % 7 == 0 else -3 + i * 0.1, "x1": 1e6 * (i % 5 - 2), "x2": i, "late": i % 3 == 0,
            "c0": ("AA", "B6", "unseen", None)[i % 4], "c1": "7",
        }
        for i in range(n)
    ]  # fmt: skip


def records(n: int, version: str | None = VERSION, first: int = 0) -> list[dict[str, Any]]:
    return [
        {
            "prediction_id": f"{version}-{first + i}", "event_time": "2024-03-05T10:00:00Z",
            "features": row, "prediction": str(i % 2), "score": (i % 10) / 10,
        }
        | ({} if version is None else {"model_version": version})
        for i, row in enumerate(rows(n))
    ]  # fmt: skip


def send(collector: Running, some: list[dict[str, Any]]) -> None:
    answer = collector.post(f"/v1/{MONITOR}/predictions", json={"records": some})
    assert answer.status_code == 202, answer.text


def series(page: str) -> Series:
    """Those of the model: columns, reference, predictions."""
    found: Series = {}
    for family in text_string_to_metric_families(page):
        for one in family.samples:
            if one.name.startswith(("model_column_", "model_reference_", "model_predictions_total")):
                assert (one.name, tuple(sorted(one.labels.items()))) not in found, "a series stands on the page twice"
                found[one.name, tuple(sorted(one.labels.items()))] = one.value
    return {key: value for key, value in found.items() if not key[0].endswith("_created")}


def test_it_publishes_what_a_python_service_does(flights: Running) -> None:
    send(flights, records(60))
    send(flights, records(5, None, first=100))  # without a version: the declared reference's
    service = Monitoring(reference_document())
    for part in (60, 5):
        for i, row in enumerate(rows(part)):
            service.observe(row, prediction=str(i % 2), score=(i % 10) / 10)
    live, wanted = series(flights.client.get("/metrics").text), series(service.metrics().decode())
    service.close()
    assert live == pytest.approx(wanted, rel=1e-12) and len(live) > 100
    assert live["model_predictions_total", (("model_version", VERSION), ("monitor", MONITOR))] == 65


def test_a_version_without_a_reference_has_none_and_gets_one_later(flights: Running) -> None:
    send(flights, records(10, "8"))
    versions = {dict(labels)["model_version"] for _, labels in series(flights.client.get("/metrics").text)}
    assert versions == {VERSION}
    document = reference_document() | {"model_version": "8"}
    (flights.home / "collector" / "references" / "next.json").write_text(json.dumps(document))
    key = ("model_predictions_total", (("model_version", "8"), ("monitor", MONITOR)))
    end = time.monotonic() + 20
    while key not in (live := series(flights.client.get("/metrics").text)):
        assert time.monotonic() < end
        time.sleep(0.1)
    assert live[key] == 0, "what came before has no bins"
    send(flights, records(10, "8", first=50))
    live = series(flights.client.get("/metrics").text)
    assert live[key] == 10 and len({labels for name, labels in live if name == key[0]}) == 2


def test_what_is_refused_is_not_counted(flights: Running) -> None:
    bad = records(3)
    bad[1]["features"] = {"x0": "no number"}
    assert flights.post(f"/v1/{MONITOR}/predictions", json={"records": bad}).status_code == 422
    live = series(flights.client.get("/metrics").text)
    assert live["model_predictions_total", (("model_version", VERSION), ("monitor", MONITOR))] == 0
