"""Running the collector: uvicorn on loopback, unless told otherwise, and then with a warning."""

from __future__ import annotations

import ipaddress
import logging
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING

from monitoring_pipeline.collector.landing import SPOOL
from monitoring_pipeline.errors import UserError

if TYPE_CHECKING:
    import uvicorn
    from fastapi import FastAPI

logger = logging.getLogger(__name__)


def serve(
    home: Path,
    monitors_dir: Path,
    host: str = "127.0.0.1",
    port: int = 8090,
    tls_cert: Path | None = None,
    tls_key: Path | None = None,
    ship_every: float = 60.0,
    landing: str | None = None,
    references: Path | None = None,
) -> None:
    """Runs until SIGINT or SIGTERM. ``landing``: a directory or an fsspec URL; ``home/collected`` when None.
    ``references``: where the reference documents for live series are; ``home/collector/references`` when None.

    Raises UserError: no monitors directory, a port that is taken, half of TLS, a landing URL that nothing can write to,
    a spool that cannot be made.
    """
    import uvicorn

    from monitoring_pipeline.collector.app import create_app

    _check_landing(landing)
    _check_tls(tls_cert, tls_key)
    if exposed(host) and tls_cert is None:
        logger.warning(
            "the collector listens on %s without TLS: keys and records are sent unencrypted. Give --tls-cert and "
            "--tls-key, or bind to 127.0.0.1 behind a proxy that terminates TLS",
            host,
        )
    app = create_app(home, monitors_dir, ship_every=ship_every, landing=landing, references=references)
    config = _configured(app, host, port, tls_cert, tls_key)
    _check_spool(home)
    _run(uvicorn.Server(config), f"{host}:{port}")


def _configured(app: FastAPI, host: str, port: int, tls_cert: Path | None, tls_key: Path | None) -> uvicorn.Config:
    """Loaded, so that TLS files are read. Raises UserError when they cannot be used."""
    import uvicorn

    from monitoring_pipeline.collector.connection import Connection

    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        log_level="warning",
        access_log=False,
        server_header=False,
        http=Connection,
        ws="none",
        timeout_keep_alive=30,
        timeout_graceful_shutdown=10,
        ssl_certfile=tls_cert,
        ssl_keyfile=str(tls_key) if tls_key else None,
    )
    try:
        config.load()
    except OSError as error:
        raise UserError(f"{tls_cert}, {tls_key}: these TLS files cannot be used ({error})") from None
    return config


def _run(server: uvicorn.Server, address: str) -> None:
    """Until a signal. Raises UserError when it does not start."""
    try:
        server.run()
    except SystemExit:
        raise UserError(f"the collector could not start on {address}; see its output above") from None
    if not server.started:
        raise UserError(f"the collector could not start on {address}; is the port in use?")


def _check_landing(landing: str | None) -> None:
    """Raises UserError for a target that nothing can write to."""
    from monitoring_pipeline.prediction_log.parquet import check_target

    if landing is None:
        return
    if not landing.strip():
        raise UserError("--landing is empty; give a directory or a URL, or omit the option")
    check_target(landing)


def _check_tls(tls_cert: Path | None, tls_key: Path | None) -> None:
    """Raises UserError for half of TLS, and for files that are missing."""
    if (tls_cert is None) != (tls_key is None):
        raise UserError("TLS needs both --tls-cert and --tls-key")
    for file in (tls_cert, tls_key):
        if file is not None and not file.is_file():
            raise UserError(f"{file}: TLS file not found")


def _check_spool(home: Path) -> None:
    """While it can still be said in one line. Raises UserError."""
    spool = home / SPOOL
    try:
        spool.mkdir(parents=True, exist_ok=True)
        TemporaryFile(dir=spool).close()
    except OSError as error:
        raise UserError(f"{spool}: the spool cannot be written ({error.strerror}); give --home a writable place on a "
                        "local disk") from None  # fmt: skip


def exposed(host: str) -> bool:
    """Whether other machines can reach an address; a name other than localhost is taken for one that they can."""
    try:
        return not ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host != "localhost"
