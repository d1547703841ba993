"""What stands before Dagster's web server: it has no login, and would do what any web page asks of it.

A browser sends requests of every page it shows to any address, loopback too. It says in ``Origin`` whose page asks, and
in ``Host`` by which name it found us; neither can be forged from a page. Programs send no ``Origin`` and are let pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
MUTATING = "/graphql"
READING = ("GET", "HEAD")
PORTS = {"http": 80, "https": 443}


def gated(app: ASGIApp, names: Sequence[str] = ()) -> ASGIApp:
    """``app`` behind the gate. ``names``: host names besides those of loopback by which it may be asked for.

    Answers 400 to another ``Host``: a name that its owner made point here; 403 to a page from elsewhere; 405 to a
    GraphQL query in an address, which links and images can carry.
    """
    return TrustedHostMiddleware(SameOrigin(app), allowed_hosts=[*LOOPBACK, *names], www_redirect=False)


class SameOrigin:
    """Lets pass what our own pages, and programs, ask for."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request or WebSocket."""
        if refusal := _refusal(scope):
            await refusal(
                scope, receive, send
            )  # closes a WebSocket before it is accepted, which the client sees as 403
        else:
            await self.app(scope, receive, send)


def _refusal(scope: Scope) -> ASGIApp | None:
    if scope["type"] not in ("http", "websocket"):
        return None
    headers = Headers(scope=scope)
    if not _is_ours(headers.get("origin"), headers.get("host", "")):
        refused = PlainTextResponse("this page comes from elsewhere and may ask nothing here", status_code=403)
        return _Closed() if scope["type"] == "websocket" else refused
    if scope["type"] == "http" and scope["method"] in READING and _asks_graphql(scope):
        return PlainTextResponse("send GraphQL by POST", status_code=405, headers={"Allow": "POST"})
    return None


def _asks_graphql(scope: Scope) -> bool:
    asked = HTTPConnection(scope)
    return asked.url.path.rstrip("/").endswith(MUTATING) and "query" in asked.query_params


def _is_ours(origin: str | None, host: str) -> bool:
    """Whether a page of this origin was served by this host; a proxy that ends TLS changes the scheme, not the host."""
    if origin is None:
        return True
    try:
        page, asked = urlsplit(origin), urlsplit(f"//{host}")
        default = PORTS.get(page.scheme)
        return bool(page.hostname) and (page.hostname, page.port or default) == (asked.hostname, asked.port or default)
    except ValueError:  # no port is a number
        return False


class _Closed:
    """Ends a WebSocket before it is accepted."""

    async def __call__(self, _: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.close", "code": 1008})
