"""A small ASGI service for uvicorn's workers: ``/predict/{id}``, ``/metrics``, and two that fail."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Response

from monitoring_pipeline.serving import Monitoring, MonitoringMiddleware, ParquetSink, PredictionLog
from monitoring_pipeline_tests.serving.reference import good_row, reference_document

place = Path(os.environ["SERVICE_PLACE"])
log = PredictionLog(place / "spool", ParquetSink(place / "lake"), max_age=0.5, segment_bytes=100_000)
monitoring = Monitoring(reference_document(), log)
predict = monitoring.wrap(lambda row: 0.5)
app = FastAPI()
app.add_middleware(MonitoringMiddleware, monitoring=monitoring)


@app.get("/predict/{flight}")
def answer(flight: str) -> dict[str, Any]:
    return {"id": flight, "score": predict(good_row(), prediction_id=flight), "pid": os.getpid()}


@app.get("/metrics")
def metrics() -> Response:
    return Response(monitoring.metrics(), media_type=monitoring.content_type)


@app.get("/broken")
def broken() -> None:
    raise RuntimeError("on purpose")


@app.get("/unavailable")
def unavailable() -> Response:
    return Response(status_code=503)
