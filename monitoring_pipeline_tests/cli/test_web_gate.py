"""What stands before Dagster's web server: pages from elsewhere, names that were made point here, queries in links."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.websockets import WebSocket, WebSocketDisconnect

from monitoring_pipeline.cli.dagster_services import checked_names
from monitoring_pipeline.cli.web_gate import gated
from monitoring_pipeline.errors import UserError

OURS = "http://127.0.0.1:3000"
WEBSOCKET = "ws://127.0.0.1:3000/graphql"
MUTATION = "mutation{terminateRun(runId:%22x%22){__typename}}"


async def answer(_: Request) -> PlainTextResponse:
    return PlainTextResponse("done")


async def talk(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text("done")


def client(*names: str, base: str = OURS) -> TestClient:
    routes = [Route("/{path:path}", answer, methods=["GET", "POST"]), WebSocketRoute("/graphql", talk)]
    return TestClient(gated(Starlette(routes=routes), names), base_url=base)


@pytest.mark.parametrize("origin", [None, OURS])
def test_our_own_pages_and_programs_are_answered(origin: str | None) -> None:
    headers = {"Origin": origin} if origin else {}
    for method, path in (("GET", "/"), ("GET", "/graphql"), ("POST", "/graphql"), ("POST", "/report_asset_check/a")):
        assert client().request(method, path, headers=headers).text == "done"
    with client().websocket_connect(WEBSOCKET, headers=headers) as socket:
        assert socket.receive_text() == "done"


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "http://127.0.0.1:3001", "http://127.0.0.1", "null", "", "http://127.0.0.1:x",
     "http://[", "http://127.0.0.1:3000.evil.example", "file://"],
)  # fmt: skip
def test_a_page_from_elsewhere_does_nothing(origin: str) -> None:
    headers = {"Origin": origin}
    for method, path in (("POST", "/graphql"), ("POST", "/report_asset_check/a"), ("GET", "/logs/x"), ("GET", "/")):
        assert client().request(method, path, headers=headers).status_code == 403
    with (
        pytest.raises((WebSocketDisconnect, WebSocketDenialResponse)),
        client().websocket_connect(WEBSOCKET, headers=headers),
    ):
        pass


def test_a_query_in_an_address_is_refused_whoever_asks() -> None:
    for path in (f"/graphql?query={MUTATION}", "/graphql?query={version}", "/graphql/?a=1&query={version}"):
        for method in ("GET", "HEAD"):
            assert client().request(method, path).status_code == 405
    assert client().get("/runs?query=x").text == "done", "pages of the interface have such addresses"


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "", "192.168.0.1"]
)
def test_another_name_that_points_here_is_refused(host: str) -> None:
    assert client().get("/", headers={"Host": host}).status_code == 400


def test_every_name_of_loopback_is_ours() -> None:
    for host in ("localhost:3000", "127.0.0.1:3000", "[::1]:3000", "LOCALHOST"):
        assert client().get("/", headers={"Host": host, "Origin": f"http://{host.lower()}"}).text == "done", host


def test_a_name_that_is_allowed_is_answered_through_a_proxy_with_tls() -> None:
    behind = client("dagster.example.org", "*.intra.example.org", base="http://dagster.example.org")
    assert behind.get("/", headers={"Origin": "https://dagster.example.org"}).text == "done"
    assert behind.get("/", headers={"Origin": "https://evil.example.org"}).status_code == 403
    assert behind.get("/", headers={"Host": "a.intra.example.org"}).text == "done"


def test_what_is_no_host_name_is_refused() -> None:
    assert checked_names(["a-b.example", "*.example.org", "*"]) == ["a-b.example", "*.example.org", "*"]
    for name in ("http://a", "a:3000", "a*b", "", "*.", "a b"):
        with pytest.raises(UserError, match="--allow-host"):
            checked_names([name])
