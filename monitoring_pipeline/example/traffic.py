"""Traffic: flights of 2013 as requests, in the order they were to leave."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

SEED = 2013


@dataclass(frozen=True)
class Request:
    """One flight: what is asked, and what came of it (``outcome`` None: it never arrived). Times in UTC."""

    prediction_id: str
    event_time: datetime
    features: dict[str, Any]
    outcome: int | None
    label_time: datetime | None

    def to_json(self) -> dict[str, Any]:
        """The request's body."""
        return {
            "prediction_id": self.prediction_id,
            "event_time": self.event_time.isoformat(),
            "features": self.features,
        }

    def label(self) -> dict[str, Any]:
        """The outcome, as the service's feedback takes it."""
        assert self.label_time is not None
        return {
            "prediction_id": self.prediction_id,
            "outcome": self.outcome,
            "label_time": self.label_time.isoformat(),
        }


def flights_between(frame: pd.DataFrame, first: date, last: date) -> list[Request]:
    """The flights of these UTC days, ``last`` included, as they were."""
    days = frame["event_time"].dt.date
    return list(_requests(frame[(days >= first) & (days <= last)]))


def drawn_from_reference(frame: pd.DataFrame, n: int) -> list[Request]:
    """``n`` flights of the reference. Moved to one day they are a day without drift, which no real day is: weather is
    one and the same for most of a day's flights."""
    from monitoring_pipeline.demo.models import reference_rows

    return list(_requests(reference_rows(frame).sample(n, random_state=SEED)))


def moved(requests: Sequence[Request], day: date, prefix: str) -> list[Request]:
    """The requests as if they were of ``day``, at their own time of day and under ids of their own; in order."""
    found = []
    for request in requests:
        by = timedelta(days=(day - request.event_time.date()).days)
        known = request.label_time + by if request.label_time else None
        name = f"{prefix}-{request.prediction_id}"
        found.append(replace(request, prediction_id=name, event_time=request.event_time + by, label_time=known))
    return sorted(found, key=lambda r: (r.event_time, r.prediction_id))


def _requests(frame: pd.DataFrame) -> Iterator[Request]:
    from monitoring_pipeline.demo.flights import FEATURES

    features = frame[list(FEATURES)].astype("object").to_dict("records")
    outcomes = frame[["prediction_id", "event_time", "late15", "label_time"]].itertuples(index=False)
    for row, (name, moment, late, known) in zip(features, outcomes, strict=True):
        arrived = not math.isnan(late)
        yield Request(
            name,
            moment.to_pydatetime().astimezone(UTC),
            {str(k): None if v is None or v != v else v for k, v in row.items()},
            int(late) if arrived else None,
            known.to_pydatetime().astimezone(UTC) if arrived else None,
        )
