"""``collector``: predictions and ground truth over HTTP, for services in other languages."""

from __future__ import annotations

from typing import Annotated

import typer


def collector(
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8090,
    host: Annotated[str, typer.Option(help="Address to bind to.")] = "127.0.0.1",
) -> None:
    """Accept predictions and ground truth by HTTP and log them durably, until Ctrl-C."""
    from monitoring_pipeline.serving.collector import serve

    serve(host=host, port=port)
