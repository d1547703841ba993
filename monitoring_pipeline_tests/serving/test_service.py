"""A real uvicorn with several workers on loopback; and the middleware alone."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from monitoring_pipeline.serving import Monitoring, MonitoringMiddleware, middleware
from monitoring_pipeline_tests.serving.conftest import logged, samples, value
from monitoring_pipeline_tests.serving.reference import reference_document

WORKERS = 2


@pytest.fixture
def service(tmp_path: Path) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "SERVICE_PLACE": str(tmp_path), "PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "counters")}
    target = "monitoring_pipeline_tests.serving.asgi_service:app"
    server = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", target, "--port", str(port), "--workers", str(WORKERS)],
        env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    end = time.monotonic() + 60
    while True:
        try:
            if httpx.get(f"{url}/metrics").status_code == 200:
                break
        except httpx.TransportError:
            assert time.monotonic() < end and server.poll() is None, "uvicorn did not come up"
            time.sleep(0.1)
    yield url
    server.send_signal(signal.SIGTERM)
    server.wait(20)


def ask(url: str, first: int, n: int) -> dict[str, int]:
    """Answers by id, each on a connection of its own so that all workers get some: id -> pid."""

    def one(i: int) -> tuple[str, int] | None:
        try:
            found = client.get(f"{url}/predict/f{i}").json()
            return found["id"], found["pid"]
        except httpx.TransportError:
            return None  # the worker died before it answered

    each_its_own = httpx.Limits(max_keepalive_connections=0)
    with httpx.Client(limits=each_its_own, timeout=10) as client, ThreadPoolExecutor(8) as pool:
        return dict(a for a in pool.map(one, range(first, first + n)) if a)


def eventually_logged(lake: Path, ids: set[str]) -> list[str]:
    end = time.monotonic() + 20
    while True:
        rows = [r["prediction_id"] for r in logged(lake)]
        if ids <= set(rows):
            return rows
        assert time.monotonic() < end, f"{len(ids - set(rows))} of {len(ids)} answered predictions are not in the lake"
        time.sleep(0.1)


@pytest.mark.slow
def test_several_workers_add_up_and_survive_the_death_of_one(service: str, tmp_path: Path) -> None:
    answered = ask(service, 0, 200)
    assert len(set(answered.values())) == WORKERS, "one worker took it all; the test says nothing"
    httpx.get(f"{service}/broken")
    httpx.get(f"{service}/unavailable")
    httpx.get(f"{service}/nowhere/at/all")
    time.sleep(1.5)  # a worker that is not scraped counts its pending rows every second
    before = samples(httpx.get(f"{service}/metrics").content)
    assert before["model_predictions_total", frozenset()] == 200
    assert before["model_column_value_count", frozenset({("column", "x0")})] == 200
    route = {"method": "GET", "route": "/predict/{flight}", "code": "200"}
    assert before["model_http_requests_total", frozenset(route.items())] == 200
    errors = {dict(k[1])["error"] for k in before if k[0] == "model_http_errors_total"}
    assert errors == {"RuntimeError", "http_503"}
    routes = {dict(k[1])["route"] for k in before if k[0] == "model_http_requests_total"}
    assert routes == {"/predict/{flight}", "/metrics", "/broken", "/unavailable", "__unmatched__"}

    os.kill(next(iter(set(answered.values()))), signal.SIGKILL)
    answered |= ask(service, 200, 200)
    time.sleep(1.5)
    after = samples(httpx.get(f"{service}/metrics").content)
    assert after["model_predictions_total", frozenset()] >= len(answered), "a dead worker's counts stay"
    assert after["model_column_value_count", frozenset({("column", "x0")})] >= 200
    rows = eventually_logged(tmp_path / "lake", set(answered))
    assert len(rows) == len(set(rows))


def run(app: Any, path: str = "/x", **scope: Any) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    asyncio.run(app({"type": "http", "method": "GET", "path": path, **scope}, receive, send))
    return sent


@pytest.fixture
def monitoring() -> Iterator[Monitoring]:
    m = Monitoring(reference_document())
    yield m
    m.close()


def test_an_exception_passes_and_is_counted(monitoring: Monitoring) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert value(monitoring, "model_http_requests_in_flight") == 1
        assert value(monitoring, "model_queue_length") == 1, "accepted, and not with the model"
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(MonitoringMiddleware(app, monitoring), endpoint=app, path="/x")
    assert value(monitoring, "model_http_errors_total", method="GET", route="/x", error="ZeroDivisionError") == 1
    assert value(monitoring, "model_http_requests_total", method="GET", route="/x", code="500") == 1
    assert value(monitoring, "model_http_requests_in_flight") == 0


@pytest.mark.parametrize(
    ("scope", "route"),
    [
        ({"endpoint": run, "path": "/a/7/b/xy", "path_params": {"one": 7, "two": "xy"}}, "/a/{one}/b/{two}"),
        ({"endpoint": run, "path": "/items"}, "/items"),
        ({"path": "/wp-admin.php"}, "__unmatched__"),
    ],
)  # fmt: skip
def test_routes_are_templates(monitoring: Monitoring, scope: dict[str, Any], route: str) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    assert run(MonitoringMiddleware(app, monitoring), **scope)[0]["status"] == 204
    assert value(monitoring, "model_http_requests_total", method="GET", route=route, code="204") == 1


def _answer(request: Any) -> PlainTextResponse:
    return PlainTextResponse("x")


def _application(framework: str, files: Path) -> Any:
    """Routes, two mounts of one application, files; in FastAPI routes of its own besides."""
    inner = Starlette(routes=[Route("/predict/{id}", _answer)])
    routes = [
        Route("/items/{id:int}", _answer),
        Route("/tree/{path:path}", _answer),
        Route("/share/{x:float}", lambda request: PlainTextResponse("x")),
        Mount("/static", StaticFiles(directory=files)),
        Mount("/v1", inner),
        Mount("/v2", inner),
    ]
    if framework == "starlette":
        return Starlette(routes=routes)
    app = FastAPI()
    app.router.routes.extend(routes)
    return app


@pytest.mark.parametrize("framework", ["starlette", "fastapi"])
def test_no_path_is_a_new_series(monitoring: Monitoring, tmp_path: Path, framework: str) -> None:
    """Converted parameters, parameters with slashes, what mounts do with the rest of a path."""
    app = _application(framework, tmp_path)
    app.add_middleware(MonitoringMiddleware, monitoring=monitoring)
    each = ("/items/00{}", "/tree/{}/b/c", "/share/{}.50", "/static/{}", "/v1/predict/{}", "/v2/predict/{}",
            "/v1/none/{}", "/none/{}")  # fmt: skip

    async def ask() -> None:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client:
            for i in range(3):
                for path in each:
                    await client.get(path.format(i))

    asyncio.run(ask())
    found = {dict(k[1])["route"]: v for k, v in samples(monitoring.metrics()).items()
             if k[0] == "model_http_requests_total"}  # fmt: skip
    routes = ("/items/{id:int}", "/tree/{path:path}", "/share/{x:float}", "/static", "/v1/predict/{id}",
              "/v2/predict/{id}", "/v1", "__unmatched__")  # fmt: skip
    assert found == dict.fromkeys(routes, 3)


def test_a_router_that_names_no_routes_is_bounded(monitoring: Monitoring) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": []})

    served = MonitoringMiddleware(app, monitoring)
    for i in range(middleware.MAX_ROUTES + 20):
        run(served, path=f"/{i}", endpoint=app)
    assert value(monitoring, "model_http_requests_total", method="GET", route="__other__", code="204") == 20


def test_an_invented_method_is_no_new_series(monitoring: Monitoring) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 405, "headers": []})

    for i in range(20):
        run(MonitoringMiddleware(app, monitoring), method=f"BREW{i}")
    assert value(monitoring, "model_http_requests_total", method="OTHER", route="__unmatched__", code="405") == 20


def test_saturation_is_of_this_process(monitoring: Monitoring) -> None:
    import psutil

    end = time.monotonic() + 0.7
    while time.monotonic() < end:
        pass
    found = value(monitoring, "model_process_cpu_share")
    assert found is not None and 0 < found <= 1.0
    memory = value(monitoring, "model_process_memory_bytes")
    assert memory == pytest.approx(psutil.Process().memory_info().rss, rel=0.2)
