"""A service for uvicorn's workers that answers batches: POST ``/predict``, and ``/metrics``."""

from __future__ import annotations

import itertools
import os
from typing import Any

from fastapi import FastAPI, Response

from monitoring_pipeline.serving import Monitoring, MonitoringMiddleware
from monitoring_pipeline_tests.serving.reference import reference_document

monitoring = Monitoring(reference_document())
# The scores of the reference lie in four bins alike.
scores = itertools.cycle((0.1, 0.3, 0.6, 0.8))
predict = monitoring.wrap(lambda rows: [next(scores) for _ in rows])
app = FastAPI()
app.add_middleware(MonitoringMiddleware, monitoring=monitoring)


@app.post("/predict")
def answer(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {"scores": predict(rows), "pid": os.getpid()}


@app.get("/metrics")
def metrics() -> Response:
    return Response(monitoring.metrics(), media_type=monitoring.content_type)
