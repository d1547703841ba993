"""Middleware: the golden signals of any ASGI application, by route template and model version."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any

from monitoring_pipeline.serving import durations
from monitoring_pipeline.serving.durations import HTTP_EDGES
from monitoring_pipeline.serving.recorder import Recorder
from monitoring_pipeline.serving.wrapping import was_cancelled

if TYPE_CHECKING:
    from monitoring_pipeline.serving.champion import ChampionFollower

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
UNMATCHED, OTHER = "__unmatched__", "__other__"
MAX_ROUTES = 300
GAVE_UP = 499  # the code of a request whose client did not wait for the answer, as nginx has it


class MonitoringMiddleware:
    """``app.add_middleware(MonitoringMiddleware, monitoring=monitoring)``, or around any ASGI application.

    Counts requests, errors (exceptions and answers of 500 and above), durations and requests in flight. Paths that no
    route takes are one route, so that a scan of the server adds no series; so are routes beyond ``MAX_ROUTES``.
    """

    def __init__(self, app: Application, monitoring: Recorder | ChampionFollower) -> None:
        """``monitoring``: of the version in service, or what follows the champion: then each request is counted with
        the version that was in service when it came."""
        self._app, self._monitoring = app, monitoring
        self._routes: set[str] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        with self._monitoring.held() as recorder:
            await self._recorded(recorder, scope, receive, send)

    async def _recorded(self, recorder: Recorder, scope: Scope, receive: Receive, send: Send) -> None:
        status = 0

        async def noting(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        active = recorder.http_active
        active.append(None)
        root = scope.get("root_path", "")
        start = time.perf_counter()
        error: str | None = None
        try:
            await self._app(scope, receive, noting)
        except BaseException as raised:
            if was_cancelled(raised):
                status = status or GAVE_UP
            else:
                error = type(raised).__name__
            raise
        finally:
            active.pop()
            route = self._bounded(route_template(scope, root))
            self._count(recorder, scope, route, status or 500, error, time.perf_counter() - start)

    def _bounded(self, route: str) -> str:
        """Whatever an application's router tells of its routes."""
        if route not in self._routes:
            if len(self._routes) >= MAX_ROUTES:
                return OTHER
            self._routes.add(route)
        return route

    def _count(
        self, recorder: Recorder, scope: Scope, route: str, status: int, error: str | None, duration: float
    ) -> None:
        method = scope["method"] if scope["method"] in METHODS else "OTHER"
        counters = recorder.counters
        request, taken = ("http", method, route, str(status)), ("http_duration", route)
        failed = error or (f"http_{status}" if status >= 500 else None)
        counted = [request, ("http_error", method, route, failed)] if failed else [request]
        cells = [counters.block(key, 1) for key in counted]
        histogram = counters.block(taken, durations.n_cells(HTTP_EDGES))
        with counters.lock:
            for one in cells:
                one[0] += 1
            durations.count(histogram, HTTP_EDGES, [duration])
            counters.changed(taken, *counted)


def route_template(scope: Scope, root: str = "") -> str:
    """``/items/{item_id}`` rather than ``/items/7``; ``__unmatched__`` where no route took the request.

    ``root`` is the ``root_path`` the request came with: what the application added to it is the path of its mounts. Of
    what a mounted application does not tell, as of static files, the mount is the route.
    """
    mounts = _templated(_mounts(scope, root), scope)
    included = _included_path(scope)
    if included is not None:
        return mounts + included
    route = scope.get("route") or _by_endpoint(scope)
    path = getattr(route, "path", None)
    if isinstance(path, str):
        return (mounts or path) if hasattr(route, "routes") else mounts + path
    if scope.get("endpoint") is None:
        return UNMATCHED
    return mounts or _templated(scope["path"], scope)


def _mounts(scope: Scope, root: str) -> str:
    """What mounts added to the path the application is served below: the server's, or the application's own setting."""
    path: str = scope.get("root_path", "")
    served_below = (root, scope.get("app_root_path") or "", getattr(scope.get("app"), "root_path", None) or "")
    return (
        path[max(len(below) for below in served_below if path.startswith(below)) :] if path.startswith(root) else path
    )


def _included_path(scope: Scope) -> str | None:
    """With FastAPI 0.137 and later: the template with the prefixes of all routers that include the route.

    ``scope["route"]`` is there the router's own route, without them; before, a copy of it with them.
    """
    fastapi = scope.get("fastapi")
    context = fastapi.get("effective_route_context") if isinstance(fastapi, dict) else None
    path = getattr(context, "path", None)
    route = getattr(context, "original_route", None)
    if not isinstance(path, str) or (route is not None and route is not scope.get("route")):
        return None
    return path


def _by_endpoint(scope: Scope) -> Any:
    """The route, where the router names but the endpoint it leads to."""
    endpoint = scope.get("endpoint")
    if endpoint is None:
        return None
    routes = [r for r in getattr(scope.get("app"), "routes", ())
              if endpoint in (getattr(r, "endpoint", None), getattr(r, "app", None))]  # fmt: skip
    if len(routes) > 1:  # several lead to it: the first that takes the path, as the router has it
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        routes = [r for r in routes if hasattr(r, "path_regex") and r.path_regex.match(path)]
    return routes[0] if routes else None


def _templated(path: str, scope: Scope) -> str:
    """Parameters of the path by name, as far as their values stand in it as they were read."""
    by_value = {str(value): name for name, value in (scope.get("path_params") or {}).items()}
    return "/".join(f"{{{by_value[p]}}}" if p in by_value else p for p in path.split("/"))
