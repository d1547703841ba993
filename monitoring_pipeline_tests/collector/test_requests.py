"""Who may write, how much, and what the collector says of itself."""

from __future__ import annotations

import gzip
import json
import shutil
import socket
import stat
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from monitoring_pipeline.collector import app as app_module
from monitoring_pipeline.collector.catalog import Catalog
from monitoring_pipeline.collector.connection import Connection
from monitoring_pipeline.collector.keys import KeyStore
from monitoring_pipeline.collector.landing import Batch, RecordLog
from monitoring_pipeline.collector.server import exposed
from monitoring_pipeline.errors import UserError
from monitoring_pipeline_tests.collector.conftest import Running, record
from monitoring_pipeline_tests.toy import Toy

JSON = {"Content-Type": "application/json"}


def send(shared: Running, monitor: str, headers: dict[str, Any]) -> httpx.Response:
    return httpx.post(f"{shared.url}/v1/{monitor}/predictions", json=[record()], headers=headers)


def test_no_key_and_wrong_keys_look_alike_for_known_and_unknown_monitors(shared: Running) -> None:
    wrong: list[dict[str, Any]] = [
        {},
        {"Authorization": "Bearer mpc_0_x"},
        {"X-API-Key": shared.key[:-1]},
        {"Authorization": shared.key},
        {"X-API-Key": "caf\u00e9".encode("latin-1")},
    ]
    answers = [send(shared, monitor, headers) for headers in wrong for monitor in ("toy", "nobody", "a.b", "x" * 500)]
    assert {a.status_code for a in answers} == {401}
    assert len({a.text for a in answers}) == 1
    assert answers[0].headers["WWW-Authenticate"] == "Bearer"
    elsewhere = [send(shared, monitor, {"X-API-Key": shared.key}) for monitor in ("other", "nobody")]
    assert {(a.status_code, a.text) for a in elsewhere} == {(403, elsewhere[0].text)}


def test_either_header_carries_the_key(collector: Running) -> None:
    for headers in ({"X-API-Key": collector.key}, {"Authorization": f"bearer {collector.key}"}):
        assert send(collector, "toy", headers).status_code == 202


def test_keys_change_while_the_collector_runs(collector: Running) -> None:
    store = KeyStore(collector.home)
    key, secret = store.create("toy", "second")
    assert send(collector, "toy", {"X-API-Key": secret}).status_code == 202
    assert [k.key_id for k in store.revoke("toy", key.key_id)] == [key.key_id]
    assert send(collector, "toy", {"X-API-Key": secret}).status_code == 401
    assert collector.predictions([record(1)]).status_code == 202, "the other key stays"
    store.path.write_text("{")
    assert collector.predictions([record(1)]).status_code == 503
    assert collector.client.get("/healthz").status_code == 503


def test_keys_are_kept_hashed_and_private(tmp_path: Path) -> None:
    store = KeyStore(tmp_path)
    secrets = [store.create("toy")[1] for _ in range(3)] + [store.create("other")[1]]
    text = store.path.read_text()
    assert not [s for s in secrets if s in text or s.split("_", 2)[2] in text]
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(store.path.parent.stat().st_mode) == 0o700
    assert [store.monitor_of(s) for s in secrets] == ["toy", "toy", "toy", "other"]
    assert store.monitor_of("") is store.monitor_of(json.loads(text)["keys"][0]["sha256"]) is None
    assert len(store.revoke("toy")) == 3 and store.revoke("toy") == []
    assert [k.monitor for k in KeyStore(tmp_path).all()] == ["other"]


ENTRY = {"key_id": "a", "monitor": "toy", "sha256": "0" * 64, "created_at": ""}


@pytest.mark.parametrize(
    "keys", [[{"key_id": 1}], {}, [ENTRY | {"sha256": "é"}], [ENTRY | {"monitor": 5}], [ENTRY | {"role": "b"}]], ids=str
)
def test_a_file_of_keys_that_somebody_spoilt_is_no_file_without_keys(tmp_path: Path, keys: Any) -> None:
    store = KeyStore(tmp_path)
    store.create("toy")
    store.path.write_text(json.dumps({"keys": keys}))
    for wanted in (store.all, KeyStore(tmp_path).all, lambda: store.monitor_of("mpc_x")):
        with pytest.raises(UserError, match="create the keys again"):
            wanted()


def test_a_file_of_keys_that_others_may_write_to_is_warned_of_and_mended_by_the_next_change(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = KeyStore(tmp_path)
    store.create("toy")
    store.path.chmod(0o666)
    store.path.with_suffix(".tmp").write_text("of one that was killed, readable to all")
    assert len(KeyStore(tmp_path).all()) == 1
    assert "others can write to it" in caplog.text
    store.create("toy")
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600


def test_keys_that_cannot_be_written_stay_as_they_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = KeyStore(tmp_path)
    _, secret = store.create("toy")

    def fsync(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fsync)
    with pytest.raises(UserError, match=r"No space left on device.*nothing was changed"):
        store.create("toy")
    with pytest.raises(UserError, match="nothing was changed"):
        store.revoke("toy")
    assert store.monitor_of(secret) == "toy"


def test_a_monitor_that_is_declared_no_longer(collector: Running) -> None:
    (collector.base / "monitors" / "toy.yaml").unlink()
    end = time.monotonic() + 10
    while (answer := collector.predictions([record()])).status_code == 202:
        assert time.monotonic() < end
        time.sleep(0.2)
    assert answer.status_code == 404
    assert "no longer declared" in answer.json()["error"]


def test_a_slip_in_a_declaration_does_not_stop_its_monitor(collector: Running) -> None:
    toy = Toy(collector.base)
    toy.yaml.write_text("name: [broken")
    end = time.monotonic() + 10
    while (health := collector.client.get("/healthz").json())["status"] != "degraded":
        assert time.monotonic() < end, health  # nobody sends anything: who watches an idle collector learns of it too
        time.sleep(0.1)
    assert collector.predictions([record()]).status_code == 202


def test_monitors_that_cannot_be_read_stay_as_they_were_and_are_told_until_they_can(tmp_path: Path) -> None:
    toy = Toy(tmp_path)
    toy.declare()
    catalog = Catalog(tmp_path / "monitors", refresh_seconds=0.0)

    def trouble() -> list[Path]:
        catalog.refresh()
        assert catalog.get("toy") is not None
        return sorted(catalog.broken)

    assert trouble() == []
    toy.yaml.write_text("name: [broken")
    assert trouble() == [toy.yaml]
    toy.yaml.parent.rename(tmp_path / "elsewhere")
    assert trouble() == [toy.yaml.parent, toy.yaml]
    (tmp_path / "elsewhere").rename(toy.yaml.parent)
    assert trouble() == [toy.yaml], "the directory is back, the slip is still there"
    toy.declare()
    assert trouble() == []


BODIES: list[tuple[bytes, dict[str, str], int, str]] = [
    (b"", JSON, 400, "not JSON"),
    (b"[]", JSON, 400, "empty"),
    (b'{"records": []}', JSON, 400, "empty"),
    (b'{"rows": []}', JSON, 400, '{"records": [...]}'),
    (b'{"records": [{}], "more": 1}', JSON, 400, "'more'"),
    (b'"text"', JSON, 400, "list of records"),
    (b'[{"prediction_id": "a",}]', JSON, 400, "line 1, column"),
    (b"\xff\xfe[\x00", JSON, 400, "not UTF-8 (byte 0)"),
    (b"[" * 50_000, JSON, 400, "nested too deep"),
    (b'[{"features": ' + b'{"a":' * 30_000 + b"1" + b"}" * 30_001 + b"]", JSON, 400, "nested too deep"),
    (b"[" + b"1" * 5000 + b"]", JSON, 400, "thousands of digits"),
    (b'{"records": [], "records": [{}]}', JSON, 400, "'records' appears twice"),
    (b'[{"features": {"x": 1, "amount": 2, "x": 3}}]', JSON, 400, "'x' appears twice"),
    (b"a=1", {"Content-Type": "application/x-www-form-urlencoded"}, 415, "send application/json"),
    (b"[]", JSON | {"Content-Encoding": "br"}, 415, "send gzip"),
    (b"[]", JSON | {"Content-Encoding": "gzip"}, 400, "not gzip"),
    (gzip.compress(b"[]")[:-3], JSON | {"Content-Encoding": "gzip"}, 400, "cut short"),
    (gzip.compress(b"[]") + b"[]", JSON | {"Content-Encoding": "gzip"}, 400, "after its end"),
    (gzip.compress(b"[]"), JSON | {"Content-Encoding": "gzip"}, 400, "empty"),
    (gzip.compress(b" " * (100 << 20), 1), JSON | {"Content-Encoding": "gzip"}, 413, "unpacks to more than 10,485,760"),
]


@pytest.mark.parametrize(("body", "headers", "status", "message"), BODIES, ids=[b[3] for b in BODIES])
def test_bodies_that_cannot_be_read(
    shared: Running, body: bytes, headers: dict[str, str], status: int, message: str
) -> None:
    answer = shared.post("/v1/toy/predictions", content=body, headers=headers)
    assert answer.status_code == status, answer.text
    assert message in answer.json()["error"]
    assert answer.json()["accepted"] == 0


def test_a_gzip_body(collector: Running) -> None:
    content = gzip.compress(json.dumps([record(i) for i in range(3)]).encode())
    answer = collector.post("/v1/toy/predictions", content=content, headers=JSON | {"Content-Encoding": "GZIP"})
    assert (answer.status_code, answer.json()) == (202, {"accepted": 3, "repeated": 0})
    assert len(collector.landed("predictions", 3)) == 3


def test_too_many_records_and_too_many_bytes(limited: Running) -> None:
    assert limited.predictions([record(i) for i in range(5)]).status_code == 202
    many = limited.predictions([record(i) for i in range(6)])
    assert (many.status_code, "5 are the maximum" in many.text) == (413, True)
    broken = limited.post("/v1/toy/predictions", content=b"{\n" * 6, headers={"Content-Type": "application/jsonl"})
    assert (broken.status_code, "5 are the maximum" in broken.text) == (413, True), "counted before they are read"
    large = limited.predictions([record(0, prediction_id="x" * 30_000)])
    assert (large.status_code, "20,000 bytes" in large.text) == (413, True)


def head(running: Running, header: str) -> bytes:
    """The head of a POST with a valid key."""
    lines = ("POST /v1/toy/predictions HTTP/1.1", "Host: x", f"X-API-Key: {running.key}", header, "", "")
    return "\r\n".join(lines).encode()


def test_a_body_of_100_megabytes_is_refused_unread(shared: Running) -> None:
    with connection(shared) as found:
        found.sendall(head(shared, f"Content-Length: {100 << 20}"))
        assert b" 413 " in found.recv(65536), "answered before a byte of the body was sent"


def test_a_body_of_unknown_length_is_cut_at_the_limit(shared: Running) -> None:
    chunk = b"100000\r\n" + b" " * (1 << 20) + b"\r\n"
    sent = 0
    with connection(shared) as found:
        found.sendall(head(shared, "Transfer-Encoding: chunked"))
        try:
            while sent < 100:
                found.sendall(chunk)
                sent += 1
        except OSError:
            pass
    assert sent < 40, "the connection was closed; the rest lay in socket buffers"
    assert shared.client.get("/healthz").status_code == 200


def test_a_body_that_never_ends_arriving(limited: Running) -> None:
    with connection(limited) as found:
        found.sendall(head(limited, "Content-Length: 100") + b"[")
        assert b" 408 " in found.recv(65536)


def connection(running: Running) -> socket.socket:
    url = httpx.URL(running.url)
    return socket.create_connection((url.host, url.port or 0), timeout=20)


def test_an_offer_of_http_2_is_passed_over(shared: Running) -> None:
    """Java's client makes it with every request without TLS, as long as nobody tells it otherwise."""
    body = b'{"records": []}'
    offer = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABk"
    with connection(shared) as found:
        for _ in range(2):
            found.sendall(head(shared, f"{offer}\r\nContent-Length: {len(body)}") + body)
            assert b"the batch is empty" in found.recv(65536), "the body was read"


@pytest.mark.parametrize("sent", [b"", b"POST /v1/toy/predictions HT"], ids=["nothing", "half a head"])
def test_a_connection_on_which_no_request_comes_is_closed(
    shared: Running, sent: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Connection, "idle_seconds", 0.2)
    with connection(shared) as found:
        found.sendall(sent)
        assert found.recv(100) == b""


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/v1/toy/predictions", 405), ("POST", "/v1/toy/predictions/", 404), ("POST", "/v1/toy%2F/labels", 404)],
)
def test_a_wrong_address_is_answered_as_every_refusal(shared: Running, method: str, path: str, status: int) -> None:
    answer = shared.client.request(method, path)
    assert (answer.status_code, answer.json()["accepted"]) == (status, 0)
    assert "/v1/MONITOR/predictions" in answer.json()["error"]


def test_a_failure_of_the_collectors_own_is_counted(
    collector: Running, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def check(*arguments: Any) -> Any:
        raise RuntimeError("nobody thought of this")

    monkeypatch.setattr(app_module, "check", check)
    answer = collector.predictions([record()])
    assert (answer.status_code, answer.json()["accepted"]) == (500, 0)
    assert "nobody thought of this" in caplog.text and "nobody" not in answer.text
    assert collector.metric('collector_requests_total{kind="predictions",monitor="toy",status="500"}') == 1


def test_what_it_says_of_itself(collector: Running) -> None:
    collector.predictions([record(0), record(1)])
    collector.predictions([record(0, score=7)])
    send(collector, "nobody", {})
    collector.landed("predictions", 2)
    health = collector.client.get("/healthz").json()
    assert (health["status"], health["trouble"]) == ("ok", None)
    assert collector.metric('collector_requests_total{kind="predictions",monitor="toy",status="202"}') == 1
    assert collector.metric('collector_requests_total{kind="predictions",monitor="toy",status="422"}') == 1
    assert collector.metric('collector_requests_total{kind="predictions",monitor="__unknown__",status="401"}') == 1
    assert collector.metric('collector_records_total{kind="predictions",monitor="toy"}') == 2
    spool = '{model_version="",monitor="__collector__"}'
    end = time.monotonic() + 5
    while collector.metric(f"model_log_shipped_total{spool}") < 2:
        assert time.monotonic() < end
    assert collector.metric(f"model_log_sink_up{spool}") == 1
    assert 'monitor="nobody"' not in collector.client.get("/metrics").text


def test_the_openapi_page_describes_the_batch(shared: Running) -> None:
    assert shared.client.get("/docs").status_code == 200
    paths = shared.client.get("/openapi.json").json()["paths"]
    operation = paths["/v1/{monitor}/predictions"]["post"]
    content = operation["requestBody"]["content"]
    example = content["application/json"]["example"]
    assert example["records"][0]["features"]["carrier"] == "UA"
    assert json.loads(content["application/x-ndjson"]["example"]) == example["records"][0]
    (names, _) = content["application/json"]["schema"]["anyOf"]
    declared = names["properties"]["records"]["items"]["properties"]
    assert {"type": "integer"} in declared["prediction_id"]["anyOf"], "a client made from this page can send numbers"
    assert list(paths["/metrics"]["get"]["responses"]["200"]["content"]) == ["text/plain"]
    assert "503" in paths["/healthz"]["get"]["responses"]
    assert {"202", "401", "403", "404", "413", "422", "503"} <= set(operation["responses"])
    assert operation["security"]


def test_many_batches_at_once_wait_apart_from_health_and_are_read_few_at_a_time(
    collector: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    go, reading, most = threading.Event(), [0], [0]
    real = app_module.check

    def check(*arguments: Any) -> Any:
        reading[0] += 1
        most[0] = max(most[0], reading[0])
        time.sleep(0.01)
        reading[0] -= 1
        return real(*arguments)

    def append(log: RecordLog, batch: Batch) -> None:
        assert go.wait(20)
        log._spool.append(batch.to_bytes(), len(batch.rows))

    monkeypatch.setattr(app_module, "check", check)
    monkeypatch.setattr(RecordLog, "append", append)
    n = 60
    with ThreadPoolExecutor(n) as pool:
        posts = [pool.submit(collector.predictions, [record(i)]) for i in range(n)]
        time.sleep(1.0)
        start = time.monotonic()
        assert httpx.get(f"{collector.url}/healthz", timeout=15).status_code == 200
        assert time.monotonic() - start < 5, "it did not wait for the disk that the batches wait for"
        assert not any(p.done() for p in posts)
        go.set()
        assert [p.result().status_code for p in posts] == [202] * n
    assert 1 < most[0] <= app_module.READING


@pytest.fixture
def full_disk(collector: Running) -> Iterator[Running]:
    """The landing directory and, through its budget, the spool take nothing any more."""
    landing = collector.home / "collected"
    landing.mkdir(parents=True, exist_ok=True)
    blocker = landing / "toy"
    blocker.write_text("a file where a directory belongs")
    yield collector
    if blocker.is_file():
        blocker.unlink()


def test_a_landing_directory_that_fails_delays_but_loses_nothing(full_disk: Running) -> None:
    assert full_disk.predictions([record(0)]).status_code == 202
    end = time.monotonic() + 10
    while full_disk.client.get("/healthz").json()["status"] == "ok":
        assert time.monotonic() < end
        time.sleep(0.05)
    assert full_disk.client.get("/healthz").status_code == 200, "records are still accepted"
    assert full_disk.predictions([record(1)]).status_code == 202
    (full_disk.home / "collected" / "toy").unlink()
    assert {r["id"] for r in full_disk.landed("predictions", 2)} == {"p-0", "p-1"}


@pytest.mark.parametrize(
    ("host", "open_to_others"),
    [("127.0.0.1", False), ("::1", False), ("localhost", False), ("0.0.0.0", True), ("10.1.2.3", True), ("a.b", True)],
)
def test_which_addresses_are_warned_of(host: str, open_to_others: bool) -> None:
    assert exposed(host) is open_to_others


def test_a_spool_that_is_deleted_is_told_and_made_anew(full_disk: Running, caplog: pytest.LogCaptureFixture) -> None:
    assert full_disk.predictions([record(i) for i in range(3)]).status_code == 202
    shutil.rmtree(full_disk.home / "collector" / "spool")
    lost = 'model_log_dropped_total{model_version="",monitor="__collector__",reason="deleted"}'
    end = time.monotonic() + 10
    while full_disk.metric(lost) < 3 or full_disk.client.get("/healthz").status_code != 200:
        assert time.monotonic() < end
        time.sleep(0.05)
    assert full_disk.metric(lost) == 3
    assert "3 records were accepted and are lost" in caplog.text
    assert full_disk.predictions([record(5)]).status_code == 202
    (full_disk.home / "collected" / "toy").unlink()
    assert [r["id"] for r in full_disk.landed("predictions", 1)] == ["p-5"]
