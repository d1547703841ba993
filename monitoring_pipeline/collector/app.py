"""The HTTP application. The order of a request: key, monitor, body, records, log; an answer of 202 only after that."""

from __future__ import annotations

import ipaddress
import logging
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from threading import BoundedSemaphore
from typing import Annotated, Any, Literal

from anyio import CapacityLimiter, to_thread
from fastapi import Depends, FastAPI, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from monitoring_pipeline import __version__
from monitoring_pipeline.collector import body, document, telemetry
from monitoring_pipeline.collector.catalog import Catalog
from monitoring_pipeline.collector.connection import Connection
from monitoring_pipeline.collector.keys import KeyStore
from monitoring_pipeline.collector.landing import LANDING, SPOOL, Batch, PredictionLogError, RecordLog
from monitoring_pipeline.collector.limits import Limits
from monitoring_pipeline.collector.live import REFERENCES, LiveSeries
from monitoring_pipeline.collector.records import Checked, Kind, check, ground_truth_fields, prediction_fields
from monitoring_pipeline.collector.refusal import Refusal
from monitoring_pipeline.errors import UserError
from monitoring_pipeline.monitors import Monitor

logger = logging.getLogger(__name__)
Bearer = Annotated[HTTPAuthorizationCredentials | None, Depends(HTTPBearer(auto_error=False))]
Header = Annotated[str | None, Depends(APIKeyHeader(name="X-API-Key", auto_error=False))]
DESCRIPTION = """
Predictions and ground truth for a monitor, in batches. A batch is accepted whole (202: it is on disk) or rejected
whole, and may be sent again any number of times: records with the same `prediction_id` count once.

Keys: `monitoring-pipeline collector-key create MONITOR`; send as `Authorization: Bearer KEY` or `X-API-Key: KEY`.
"""
READING = 4  # batches that are parsed and checked at once: one takes many times its size in memory
WAITING = 32  # batches that wait for the disk, in threads of their own: /healthz and /metrics do not stand behind them


def create_app(
    home: Path,
    monitors_dir: Path,
    limits: Limits | None = None,
    ship_every: float = 60.0,
    durability: Literal["process", "power"] = "power",
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    landing: str | os.PathLike[str] | None = None,
    references: Path | None = None,
) -> FastAPI:
    """The application over ``home/collector`` (spool, keys, references). Raises DeclarationError.

    ``ship_every``: seconds a record waits at most before it lands. ``landing``: a directory or an fsspec URL;
    ``home/collected`` when None. ``references``: directory of the reference documents of versions that are to have live
    series; ``home/collector/references`` when None. The log is open while the application runs.
    """
    target = home / LANDING if landing is None else landing
    live = LiveSeries(references or home / REFERENCES)
    collector = Collector(Catalog(monitors_dir), KeyStore(home), limits or Limits(), clock, live)

    @asynccontextmanager
    async def running(app: FastAPI) -> AsyncIterator[None]:
        collector.open(RecordLog(home / SPOOL, target, collector.telemetry.count_log, durability, ship_every))
        yield
        await run_in_threadpool(collector.close)

    app = FastAPI(
        title="Collector", version=__version__, description=DESCRIPTION, lifespan=running, redoc_url=None,
        redirect_slashes=False,  # behind a proxy that terminates TLS it would send the client, and its key, to http://
    )  # fmt: skip
    app.add_exception_handler(Refusal, _answer)
    app.add_exception_handler(HTTPException, _answer_elsewhere)
    _add_records(app, collector)
    _add_health(app, collector)
    return app


class Collector:
    """What the routes share."""

    def __init__(
        self, catalog: Catalog, keys: KeyStore, limits: Limits, clock: Callable[[], datetime], live: LiveSeries
    ) -> None:
        self.catalog, self.keys, self.limits, self.clock, self.live = catalog, keys, limits, clock, live
        self.telemetry = telemetry.Telemetry()
        self.telemetry.registry.register(live)
        self._log: RecordLog | None = None
        self._waiting = CapacityLimiter(WAITING)
        self._reading = BoundedSemaphore(READING)

    def open(self, log: RecordLog) -> None:
        """Starts accepting records into ``log``."""
        self._log = self.telemetry.log = log

    def close(self) -> None:
        """Ships what can be shipped, and accepts nothing more."""
        assert self._log is not None
        self._log.close()
        self._log = self.telemetry.log = None

    @property
    def log(self) -> RecordLog:
        """The open log. Raises Refusal 503 while there is none."""
        if self._log is None:
            raise Refusal(503, "the collector is starting or stopping; send the batch again")
        return self._log

    async def receive(self, request: Request, name: str, secret: str | None, kind: Kind) -> document.Accepted:
        """One request from its key to its place on disk. Raises Refusal."""
        label = telemetry.UNKNOWN
        with self.telemetry.timed(kind):
            try:
                monitor = await self._authorized(request, name, secret)
                label = monitor.name
                content = await body.read_body(request, self.limits)
                accepted = await to_thread.run_sync(self._take_in, monitor, kind, content, limiter=self._waiting)
            except Refusal as refusal:
                self.telemetry.answered(label, kind, refusal.status)
                raise
            except Exception:
                logger.exception("%s: a request failed", label)
                self.telemetry.answered(label, kind, 500)
                raise Refusal(500, "the collector failed; see its log for the reason") from None
        self.telemetry.answered(label, kind, 202)
        return accepted

    async def _authorized(self, request: Request, name: str, secret: str | None) -> Monitor:
        try:
            monitor = self.authorize(name, secret)
        except Refusal:
            await body.drain(request, self.limits)
            raise
        connection = getattr(request.state, "connection", None)
        if isinstance(connection, Connection) and not connection.admit():
            raise Refusal(503, "too many connections are open; send the batch again", headers={"Retry-After": "5"})
        return monitor

    def authorize(self, name: str, secret: str | None) -> Monitor:
        """The monitor, if the key is for it. Only a monitor's own key learns whether it exists."""
        owner = self.owner(secret)
        if owner is None:
            raise Refusal(
                401,
                "missing or unknown API key; send `Authorization: Bearer KEY` with a key from "
                "`monitoring-pipeline collector-key create MONITOR`",
                headers={"WWW-Authenticate": "Bearer"},
            )
        if owner != name:
            raise Refusal(403, "this key is not for this monitor; a key writes to the one it was created for")
        monitor = self.catalog.get(name)
        if monitor is None:
            raise Refusal(404, f"the monitor {name!r} is no longer declared; restore its file, or revoke this key")
        return monitor

    def owner(self, secret: str | None) -> str | None:
        """Raises Refusal 503 when the keys cannot be read."""
        try:
            return self.keys.monitor_of(secret or "")
        except UserError as error:
            logger.error("%s", error)
            raise Refusal(503, "the collector cannot read its keys; see its log for the reason") from None

    def _take_in(self, monitor: Monitor, kind: Kind, content: body.Body) -> document.Accepted:
        with self._reading:
            checked = self._checked(monitor, kind, body.records_of(content, self.limits))
        try:
            self.log.append(Batch(monitor.name, kind, checked.columns, checked.rows))
        except PredictionLogError as error:
            logger.error("%s: %d records rejected: %s", monitor.name, len(checked.rows), error)
            raise Refusal(
                503, "the collector's log is full or its disk fails; send the batch again", headers={"Retry-After": "5"}
            ) from None
        self.telemetry.accepted(monitor.name, kind, len(checked.rows))
        if kind == "predictions":
            self.live.count(monitor, [name for name, _ in checked.columns], checked.rows)
        return document.Accepted(accepted=len(checked.rows), repeated=checked.n_repeated)

    def _checked(self, monitor: Monitor, kind: Kind, records: list[Any]) -> Checked:
        now = self.clock()
        if kind == "predictions":
            fields = prediction_fields(monitor, self.limits, now)
        else:
            declared = ground_truth_fields(monitor, self.limits, now)
            if declared is None:
                raise Refusal(409, f"{monitor.name} declares no `ground_truth`; add it to its file")
            fields = declared
        checked = check(records, fields, self.limits, now)
        if checked.n_errors:
            self.telemetry.refused(monitor.name, kind, checked.n_wrong)
            raise Refusal(
                422, _rejected(len(records), checked.n_errors),
                checked.errors, checked.n_errors,
            )  # fmt: skip
        return checked


def _rejected(n_records: int, n_errors: int) -> str:
    return f"batch of {n_records:,} rejected: {n_errors:,} {'error' if n_errors == 1 else 'errors'}"


def _add_records(app: FastAPI, collector: Collector) -> None:
    @app.post("/v1/{monitor}/predictions", status_code=202, responses=document.REFUSALS, tags=["records"],
              openapi_extra=document.request_body(document.Prediction, document.PREDICTION))  # fmt: skip
    async def predictions(request: Request, monitor: str, bearer: Bearer, key: Header) -> document.Accepted:
        """What the model answered. Fields are checked against the monitor's `schema`."""
        return await collector.receive(request, monitor, _secret(bearer, key), "predictions")

    @app.post("/v1/{monitor}/ground-truth", status_code=202, responses=document.REFUSALS, tags=["records"],
              openapi_extra=document.request_body(document.Label, document.LABEL))  # fmt: skip
    async def ground_truth(request: Request, monitor: str, bearer: Bearer, key: Header) -> document.Accepted:
        """The true outcomes, by prediction id; before or after the predictions."""
        return await collector.receive(request, monitor, _secret(bearer, key), "ground_truth")


def _add_health(app: FastAPI, collector: Collector) -> None:
    @app.get("/healthz", tags=["health"], responses=document.HEALTH)
    def healthz() -> JSONResponse:
        """200 while records can be accepted; `degraded` names what needs a person all the same."""
        trouble = collector.log.trouble()
        collector.catalog.refresh()
        degraded = [] if collector.log.sink_up else ["records cannot be shipped and wait in the spool"]
        degraded += [] if trouble or not (why := collector.log.shortage()) else [why]
        degraded += [f"{len(collector.catalog.broken)} monitor files are broken"] if collector.catalog.broken else []
        try:
            collector.keys.all()
        except UserError:
            trouble = trouble or "the keys cannot be read"
        status = "failing" if trouble else "degraded" if degraded else "ok"
        found = {"status": status, "trouble": trouble, "degraded": degraded}
        values = {"spool_bytes": collector.log.spool_bytes, "oldest_seconds": round(collector.log.oldest_seconds, 1)}
        return JSONResponse(found | values, 503 if trouble else 200)

    @app.get("/metrics", tags=["health"], responses=document.METRICS, response_class=PlainTextResponse)
    def metrics(request: Request, bearer: Bearer, key: Header) -> Response:
        """For Prometheus. From another machine it needs a key, of any monitor: the page names the monitors."""
        if not _is_local(request) and collector.owner(_secret(bearer, key)) is None:
            raise Refusal(401, "from another machine /metrics needs a key", headers={"WWW-Authenticate": "Bearer"})
        return Response(collector.telemetry.page(), media_type=telemetry.CONTENT_TYPE)


def _secret(bearer: HTTPAuthorizationCredentials | None, key: str | None) -> str | None:
    return bearer.credentials if bearer else key


def _is_local(request: Request) -> bool:
    try:
        return request.client is not None and ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False


async def _answer_elsewhere(request: Request, error: Exception) -> JSONResponse:
    """A path or method that there is not, in the shape of every refusal."""
    assert isinstance(error, HTTPException)
    message = (
        f"{request.method} {request.url.path}: {error.detail}; post to /v1/MONITOR/predictions or .../ground-truth"
    )
    return await _answer(request, Refusal(error.status_code, message, headers=dict(error.headers or {})))


async def _answer(request: Request, refusal: Exception) -> JSONResponse:
    assert isinstance(refusal, Refusal)
    content = {
        "error": refusal.message,
        "accepted": 0,
        "n_errors": refusal.n_errors,
        "errors": [asdict(e) for e in refusal.errors],
    }
    headers = refusal.headers | (body.CLOSE if refusal.status in body.UNREAD else {})
    return JSONResponse(content, refusal.status, headers)
