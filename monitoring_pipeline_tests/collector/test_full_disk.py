"""The spool's disk is full: what is refused is refused whole, what was accepted lands, and it mends by itself."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from monitoring_pipeline_tests.collector.conftest import Running, record, rows, serving
from monitoring_pipeline_tests.serving.small_disk import small_disk_at
from monitoring_pipeline_tests.toy import Toy

MEGABYTES = 20  # two spool files of 8 MB and some
POSTED = 2500


def batch(number: int) -> list[dict[str, Any]]:
    """Nearly three megabytes."""
    features = {"channel": "c" * 1000}
    return [record(prediction_id=f"{number}-{i}", features=features) for i in range(POSTED)]


def until(true: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "did not come true in time"
        time.sleep(0.05)


@pytest.fixture
def cramped(tmp_path: Path) -> Iterator[Running]:
    """A collector whose spool is on a small disk, and whose records cannot land yet."""
    Toy(tmp_path).declare()
    (tmp_path / "landing").write_text("a file where a directory belongs")
    with small_disk_at(tmp_path / "home" / "collector" / "spool", MEGABYTES):
        yield from serving(tmp_path / "home", tmp_path, landing=tmp_path / "landing")


def fill(collector: Running) -> tuple[list[int], httpx.Response]:
    """Posts until a batch is refused: the numbers of those accepted, and the refusal."""
    for number in range(2 * MEGABYTES):
        answer = collector.predictions(batch(number))
        if answer.status_code != 202:
            return list(range(number)), answer
    raise AssertionError("the disk is not small")


@pytest.mark.slow
def test_a_full_spool_disk(cramped: Running) -> None:
    accepted, refusal = fill(cramped)
    assert len(accepted) > 3
    assert (refusal.status_code, refusal.json()["accepted"]) == (503, 0)
    assert int(refusal.headers["Retry-After"]) > 0
    assert "send the batch again" in refusal.json()["error"]

    health = cramped.client.get("/healthz")
    assert (health.status_code, health.json()["status"]) == (503, "failing")
    assert "No space left on device" in health.json()["trouble"]
    assert str(cramped.home / "collector" / "spool") in health.json()["trouble"]
    assert cramped.metric("collector_accepting") == 0
    assert cramped.metric('collector_requests_total{kind="predictions",monitor="toy",status="503"}') == 1
    spool = '{model_version="",monitor="__collector__"}'
    assert cramped.metric(f"model_log_sink_up{spool}") == 0
    assert cramped.metric(f"model_log_spooled_total{spool}") == len(accepted) * POSTED
    assert cramped.metric(f"model_log_spool_bytes{spool}") > 10 << 20
    refused = [cramped.predictions(batch(1000)), cramped.labels([{"prediction_id": "a", "outcome": 1}])]
    assert [a.status_code for a in refused] == [503, 503], "a small one neither: it would pass by what is refused"

    (cramped.base / "landing").unlink()
    until(lambda: cramped.client.get("/healthz").json()["status"] == "ok")
    assert cramped.metric("collector_accepting") == 1
    assert cramped.predictions(batch(2000)).status_code == 202
    landing = cramped.base / "landing" / "toy"
    until(lambda: cramped.metric(f"model_log_shipped_total{spool}") == (len(accepted) + 1) * POSTED)
    landed = Counter(r["id"] for r in rows(landing / "predictions"))
    assert landed == Counter(f"{number}-{i}" for number in (*accepted, 2000) for i in range(POSTED))
    assert not (landing / "ground_truth").exists()


def test_a_collector_that_starts_on_a_full_disk_says_so_and_recovers(tmp_path: Path) -> None:
    Toy(tmp_path).declare()
    landing = tmp_path / "home" / "collected"
    landing.parent.mkdir()
    landing.write_text("a file where a directory belongs")
    with small_disk_at(tmp_path / "home" / "collector" / "spool", 10) as disk:
        (disk / "ballast").write_bytes(bytes(9 << 20))
        for collector in serving(tmp_path / "home", tmp_path):
            client = collector.client
            assert client.get("/healthz").status_code == 503
            assert collector.predictions([record()]).status_code == 503
            (disk / "ballast").unlink()
            until(lambda: client.get("/healthz").status_code == 200)  # noqa: B023
            assert collector.predictions([record()]).status_code == 202
            until(lambda: "No space left" in str(client.get("/healthz").json()["degraded"]))  # noqa: B023
            landing.unlink()
            assert len(collector.landed("predictions", 1)) == 1
            until(lambda: client.get("/healthz").json()["status"] == "ok")  # noqa: B023
