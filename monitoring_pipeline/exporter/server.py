"""The HTTP side: ``/metrics`` and ``/healthz``, on loopback unless told otherwise."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CONTENT_TYPE_LATEST

from monitoring_pipeline.errors import UserError
from monitoring_pipeline.exporter.collector import Collector
from monitoring_pipeline.warehouse.database import Warehouse

log = logging.getLogger(__name__)

DEFAULT_PORT = 9187
PLAIN = "text/plain; charset=utf-8"

StartResponse = Callable[[str, list[tuple[str, str]]], Any]


class Exporter:
    """A running exporter; a context manager. ``port`` is the one it got, ``url`` where its metrics are."""

    def __init__(self, collector: Collector, host: str, port: int) -> None:
        self.collector = collector
        try:
            self._server = make_server(host, port, application(collector), _Server, _QuietHandler)
        except OSError as error:
            raise UserError(
                f"the exporter cannot listen on {host}:{port}: {error.strerror}; give another --port"
            ) from error
        self.port = self._server.server_port
        self.url = f"http://{host}:{self.port}/metrics"
        self._thread = threading.Thread(target=self._server.serve_forever, name="exporter", daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Until ``close`` is called or the process is interrupted."""
        while self._thread.is_alive():
            self._thread.join(1.0)

    def close(self) -> None:
        """Stops serving."""
        self._server.shutdown()
        self._server.server_close()
        self.collector.close()

    def __enter__(self) -> Exporter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def start(
    warehouse_or_url: Warehouse | str, port: int = DEFAULT_PORT, host: str = "127.0.0.1", **options: Any
) -> Exporter:
    """Start an exporter in the background; port 0 takes a free one. ``options`` are ``Collector``'s.

    Raises UserError when the port is taken. A database that is away is no error: the exporter says so when scraped.
    """
    return Exporter(Collector(warehouse_or_url, **options), host, port)


def serve(warehouse_or_url: Warehouse | str, port: int = DEFAULT_PORT, host: str = "127.0.0.1", **options: Any) -> None:
    """``start``, and wait until the process is interrupted. Raises what it raises, and KeyboardInterrupt."""
    with start(warehouse_or_url, port, host, **options) as exporter:
        log.info("serving %s", exporter.url)
        exporter.wait()


def application(collector: Collector) -> Callable[[dict[str, Any], StartResponse], Iterable[bytes]]:
    """WSGI: ``/metrics``, and ``/healthz`` which is 503 with the reason while the database cannot be read."""

    def answer(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        status, kind, body = _answer(collector, environ["REQUEST_METHOD"], environ.get("PATH_INFO", "/"))
        start_response(status, [("Content-Type", kind), ("Content-Length", str(len(body)))])
        return [b"" if environ["REQUEST_METHOD"] == "HEAD" else body]

    return answer


def _answer(collector: Collector, method: str, path: str) -> tuple[str, str, bytes]:
    if method not in ("GET", "HEAD"):
        return "405 Method Not Allowed", PLAIN, b"only GET\n"
    if path == "/metrics":
        return "200 OK", CONTENT_TYPE_LATEST, collector.snapshot().render()
    if path == "/healthz":
        error = collector.snapshot().error
        return ("503 Service Unavailable", PLAIN, f"{error}\n".encode()) if error else ("200 OK", PLAIN, b"ok\n")
    return "404 Not Found", PLAIN, b"/metrics or /healthz\n"


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _QuietHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """A line per scrape helps nobody."""
