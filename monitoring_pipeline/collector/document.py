"""What the OpenAPI page says of requests and responses. ``records`` reads requests and reports errors better."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from monitoring_pipeline.collector.limits import Limits

Id = str | int
Scalar = str | float | bool


class Accepted(BaseModel):
    """The batch is durable; it reaches the monitor's landing directory within a minute."""

    accepted: int = Field(description="records made durable", examples=[2])
    repeated: int = Field(description="equal records of one id in this request, kept once", examples=[0])


class Mistake(BaseModel):
    """What is wrong with one record of a batch."""

    index: int = Field(description="which record of the batch, from 0")
    field: str | None = Field(description="such as `features.distance`; null: the record as a whole")
    message: str = Field(description="what is wrong and what to write")


class Refused(BaseModel):
    """Nothing of the batch was accepted."""

    error: str
    accepted: int = 0
    n_errors: int = Field(description="how many errors there are; the first are listed")
    errors: list[Mistake]


class Prediction(BaseModel):
    """One prediction as a service sends it."""

    model_config = ConfigDict(extra="forbid")

    prediction_id: Id = Field(description="identifies the prediction; the same record sent again counts once")
    event_time: str | float = Field(description="ISO 8601 with a zone, or seconds since 1970 UTC")
    model_version: str | None = Field(None, description="where the monitor declares `schema.model_version`")
    features: dict[str, Scalar | None] = Field(
        default_factory=dict, description="declared features by name; absent or null is missing"
    )
    prediction: Scalar | None = Field(
        None, description="class or number; required where `schema.prediction` is declared"
    )
    score: float | None = Field(None, description="binary: score of the positive class in [0, 1]")
    scores: dict[str, float] | None = Field(None, description="multiclass: class -> score in [0, 1]")


class Label(BaseModel):
    """The true outcome of one prediction."""

    model_config = ConfigDict(extra="forbid")

    prediction_id: Id
    outcome: Scalar = Field(description="the true class or number")
    label_time: str | float | None = Field(
        None, description="when it became known, as event_time; the time of arrival when absent. The latest wins"
    )


def request_body(model: type[BaseModel], example: dict[str, Any]) -> dict[str, Any]:
    """The body of an operation: a batch, a list or lines of ``model``."""
    records = {"type": "array", "items": model.model_json_schema(), "minItems": 1, "maxItems": Limits.records}
    batch = {
        "type": "object", "required": ["records"], "properties": {"records": records}, "additionalProperties": False,
    }  # fmt: skip
    content = {
        "application/json": {"schema": {"anyOf": [batch, records]}, "example": {"records": [example]}},
        "application/x-ndjson": {
            "schema": {"type": "string", "description": "one record a line"},
            "example": json.dumps(example) + "\n",
        },
    }
    return {"requestBody": {"required": True, "content": content}}


PREDICTION = {
    "prediction_id": "2013-04-01-UA-1545-EWR-0515",
    "event_time": "2013-04-01T09:15:00Z",
    "model_version": "2013-q1",
    "features": {"distance": 1400, "carrier": "UA", "peak": False},
    "prediction": 0,
    "score": 0.21,
}
LABEL = {"prediction_id": "2013-04-01-UA-1545-EWR-0515", "outcome": 1, "label_time": "2013-04-01T13:02:00Z"}
REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"model": Refused, "description": "The body cannot be read."},
    401: {"model": Refused, "description": "Missing or unknown API key."},
    403: {"model": Refused, "description": "The key is for another monitor."},
    404: {"model": Refused, "description": "The key's monitor is no longer declared."},
    408: {"model": Refused, "description": "The body did not arrive in time."},
    409: {"model": Refused, "description": "The monitor declares no ground truth."},
    413: {"model": Refused, "description": "The body is too large, or holds too many records."},
    415: {
        "model": Refused,
        "description": "Neither JSON nor JSON Lines, or compressed with something other than gzip.",
    },
    422: {"model": Refused, "description": "Records are invalid; the whole batch is rejected."},
    500: {"model": Refused, "description": "The collector failed; see its log."},
    503: {
        "model": Refused,
        "description": "The log is full, the keys cannot be read, or (in plain text) there are too many connections; "
        "send the batch again.",
    },
}
HEALTH: dict[int | str, dict[str, Any]] = {
    503: {"description": "Records cannot be accepted; see the body for the reason."}
}
METRICS: dict[int | str, dict[str, Any]] = {
    200: {"description": "Prometheus' text format.", "content": {"text/plain": {"schema": {"type": "string"}}}},
    401: {"model": Refused, "description": "From another machine, without a key."},
}
