"""The route label: the whole template, whatever included, mounted or proxied the route."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI

from monitoring_pipeline.serving.middleware import UNMATCHED, route_template


def application(root_path: str = "") -> FastAPI:
    """A router included twice, nested, in a mounted application, and beside a route of the application."""
    inner = APIRouter()
    inner.get("/predict/{x}")(lambda x: x)
    middle = APIRouter(prefix="/middle")
    middle.include_router(inner, prefix="/{tenant}")
    mounted = FastAPI()
    mounted.include_router(inner, prefix="/deep")
    mounted.get("/own")(lambda: 1)
    app = FastAPI(root_path=root_path)
    app.include_router(inner, prefix="/v1")
    app.include_router(inner, prefix="/v2")
    app.include_router(middle, prefix="/api")
    app.get("/direct/{y}")(lambda y: y)
    app.mount("/sub/{customer}", mounted)
    return app


def route_of(app: FastAPI, path: str, root: str = "") -> str:
    """As the middleware around an application sees it."""
    scope: dict[str, Any] = {"type": "http", "method": "GET", "path": root + path, "raw_path": b"", "query_string": b"",
                             "headers": [], "root_path": root, "scheme": "http", "server": ("test", 80)}  # fmt: skip

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        pass

    asyncio.run(app(scope, receive, send))
    return route_template(scope, root)


@pytest.mark.parametrize("root", ["", "/proxy"])
@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v1/predict/7", "/v1/predict/{x}"),
        ("/v2/predict/7", "/v2/predict/{x}"),
        ("/api/middle/acme/predict/7", "/api/middle/{tenant}/predict/{x}"),
        ("/direct/7", "/direct/{y}"),
        ("/sub/acme/deep/predict/7", "/sub/{customer}/deep/predict/{x}"),
        ("/sub/acme/own", "/sub/{customer}/own"),
        ("/v1/nowhere", UNMATCHED),
    ],
)
def test_the_whole_template(path: str, expected: str, root: str) -> None:
    assert route_of(application(), path, root) == expected


@pytest.mark.filterwarnings("ignore:.*root_path")
@pytest.mark.parametrize("path", ["/v1/predict/7", "/sub/acme/deep/predict/7"])
def test_an_applications_own_root_path_is_no_part_of_it(path: str) -> None:
    app = application("/proxy")
    expected = route_of(application(), path)
    scope_path = "/proxy" + path
    assert route_of(app, scope_path) == expected


def test_fastapi_before_0_137_has_the_template_in_the_route() -> None:
    scope = {"path": "/v1/predict/7", "path_params": {"x": "7"}, "endpoint": len,
             "route": SimpleNamespace(path="/v1/predict/{x}")}  # fmt: skip
    assert route_template(scope) == "/v1/predict/{x}"
    mounted = scope | {"root_path": "/sub", "app_root_path": ""}
    assert route_template(mounted) == "/sub/v1/predict/{x}"


def test_a_context_left_by_an_outer_application_is_not_the_inner_ones() -> None:
    inner, outer = SimpleNamespace(path="/own"), SimpleNamespace(path="")
    context = SimpleNamespace(path="/outer", original_route=outer)
    scope = {"path": "/sub/own", "root_path": "/sub", "endpoint": len, "route": inner,
             "fastapi": {"effective_route_context": context}}  # fmt: skip
    assert route_template(scope) == "/sub/own"
