"""The service. Run it by ``monitoring-pipeline example serve``, or by uvicorn, with as many workers as it takes:

MONITORING_HOME=.monitoring uvicorn --factory monitoring_pipeline.example.service:create_app --workers 2
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from fastapi import FastAPI, HTTPException, Response
from pydantic import AwareDatetime, BaseModel, Field

from monitoring_pipeline.collector.landing import Batch, RecordLog
from monitoring_pipeline.demo.service_model import load_service_model
from monitoring_pipeline.errors import UserError
from monitoring_pipeline.example.champion import Answering, load_champion
from monitoring_pipeline.example.place import MODEL, Place
from monitoring_pipeline.serving import (
    ChampionFollower,
    ChampionPointer,
    Monitoring,
    MonitoringMiddleware,
    ParquetSink,
    PredictionLog,
    PredictionLogError,
    Serving,
)
from monitoring_pipeline.settings import Settings

POLL_SECONDS = 1.0
SHIP_SECONDS = 5.0  # a demonstration is short; a service of one's own ships once a minute
Scalar = str | float | bool | None
Id = Field(min_length=1, max_length=256)


class Flight(BaseModel):
    """Features by name; what is absent or null is missing. ``event_time``: now when absent, else that of a replay."""

    features: dict[str, Scalar]
    prediction_id: str | None = Field(None, min_length=1, max_length=256)
    event_time: AwareDatetime | None = None


class Predicted(BaseModel):
    """``prediction`` is 1 when the flight is called late; ``score`` the probability. Keep the id: feedback needs it."""

    prediction_id: str
    prediction: int
    score: float
    model_version: str


class Arrival(BaseModel):
    """Whether the flight of a prediction arrived more than 15 minutes late, and when that was known."""

    prediction_id: str = Id
    outcome: Literal[0, 1]
    label_time: AwareDatetime | None = None


class Feedback(BaseModel):
    """Outcomes of flights, up to 10,000 a request."""

    labels: list[Arrival] = Field(min_length=1, max_length=10_000)


def create_app() -> FastAPI:
    """The application over MONITORING_HOME. Raises UserError when the demo was not prepared or has no reference."""
    place = Place(Settings().home)
    name = monitored_name(place)
    champion = ChampionFollower(
        place.champion(name),
        lambda pointer: _promoted(place, pointer),
        own=lambda: _serving(place, load_service_model(place.home, MODEL), place.reference, seq=0),
        poll_seconds=POLL_SECONDS,
    )
    app = FastAPI(title="Will my flight be late?", lifespan=_closing(champion, feedback := _feedback_log(place)))
    app.add_middleware(MonitoringMiddleware, monitoring=champion)

    @app.post("/predict")
    def predict_one(flight: Flight) -> Predicted:
        moment = flight.event_time or datetime.now(UTC)
        with champion.in_use() as version:
            name = flight.prediction_id or version.monitoring.new_id()
            try:
                answer = version.predict(flight.features, prediction_id=name, event_time=moment)
            except PredictionLogError as error:
                raise HTTPException(503, "the prediction could not be logged and is not answered; try again") from error
            except ValueError as error:
                raise HTTPException(422, f"features: {error}") from error
            return Predicted(prediction_id=name, model_version=version.model_version, **answer)

    _answer_without_model(app, champion)
    _take_feedback(app, name, feedback)
    _tell_health(app, champion, feedback)
    return app


def _serving(place: Place, model: Answering, reference: str | Path, seq: int) -> Serving:
    """To be monitored takes these lines, and ``close()`` at the end. The model decides at a threshold of its own: its
    pipeline counts what it imputes, what is wrapped is the decision."""
    landed = place.landed / monitored_name(place) / "predictions"
    log = PredictionLog(place.spool / "predictions", ParquetSink(landed), max_age=SHIP_SECONDS, segment_bytes=1 << 20)
    monitoring = Monitoring(reference, log)
    monitored = model.with_pipeline(monitoring.instrument(model.pipeline))
    predict = monitoring.wrap(lambda features: vars(monitored.predict([features])[0]))
    return Serving(seq, model.model_version, monitoring, predict)


def _promoted(place: Place, pointer: ChampionPointer) -> Serving:
    """A promoted version: loaded as it was registered, and warm before a request meets it."""
    model = load_champion(pointer)
    model.predict([{}])
    return _serving(place, model, pointer.reference, pointer.seq)


def _answer_without_model(app: FastAPI, champion: ChampionFollower) -> None:
    """``/dummy``: for trying dashboards with features of any kind. Counted and logged as a prediction is."""

    @app.post("/dummy")
    def dummy(flight: Flight) -> Predicted:
        moment = flight.event_time or datetime.now(UTC)
        with champion.in_use() as version:
            name = flight.prediction_id or version.monitoring.new_id()
            try:
                answer = _guessing(version.monitoring)(flight.features, prediction_id=name, event_time=moment)
            except PredictionLogError as error:
                raise HTTPException(503, "the prediction could not be logged and is not answered; try again") from error
            return Predicted(prediction_id=name, model_version=version.model_version, **answer)


@lru_cache(maxsize=2)  # the version in service, and the one before it while requests still hold that
def _guessing(monitoring: Monitoring) -> Callable[..., Any]:
    """Wrapped once a version, as its model is."""
    return monitoring.wrap(_guess)


def _guess(features: dict[str, Scalar]) -> dict[str, Any]:
    """The same for the same features, and nothing they mean."""
    digest = hashlib.sha256(json.dumps(features, sort_keys=True).encode()).digest()
    score = int.from_bytes(digest[:4], "big") / 2**32
    return {"prediction": int(score >= 0.5), "score": score}


def _take_feedback(app: FastAPI, monitor: str, feedback: RecordLog) -> None:
    @app.post("/feedback", status_code=202)
    def learn(sent: Feedback) -> dict[str, int]:
        try:
            feedback.append(_labels(monitor, sent))
        except PredictionLogError as error:
            raise HTTPException(503, "the feedback could not be logged; send it again") from error
        return {"accepted": len(sent.labels)}


def _tell_health(app: FastAPI, champion: ChampionFollower, feedback: RecordLog) -> None:
    @app.get("/metrics")
    def metrics() -> Response:
        return Response(champion.metrics(), media_type=champion.content_type)

    @app.get("/healthz")
    def healthz(response: Response) -> dict[str, Any]:
        if why := feedback.trouble():
            response.status_code = 503
        version = champion.current.model_version
        return {
            "status": "failing" if why else "ok", "trouble": why or champion.trouble, "model_version": version,
        }  # fmt: skip


def monitored_name(place: Place) -> str:
    """The monitor that the reference is of. Raises UserError when there is no reference."""
    from monitoring_pipeline.serving.reference_series import load_reference

    if not place.reference.is_file():
        raise UserError(
            f"{place.reference}: the service needs its reference; write it with `monitoring-pipeline reference export "
            f"{MODEL} --out {place.reference}` after `monitoring-pipeline run {MODEL}`"
        )
    return load_reference(place.reference).monitor


def _feedback_log(place: Place) -> RecordLog:
    """Outcomes are logged as durably as predictions, by the log of the collector."""
    return RecordLog(place.spool / "feedback", place.landed, durability="process", max_age=SHIP_SECONDS)


def _labels(monitor: str, sent: Feedback) -> Batch:
    now = datetime.now(UTC)
    rows = [[a.prediction_id, str(a.outcome), int((a.label_time or now).timestamp() * 1e6)] for a in sent.labels]
    return Batch(monitor, "ground_truth", (("prediction_id", "text"), (MODEL, "text"), ("label_time", "time")), rows)


def _closing(champion: ChampionFollower, feedback: RecordLog) -> Any:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        champion.close()
        feedback.close()

    return lifespan
