"""Traffic: flights of 2013 as requests, in the order they were to leave."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
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
        return {
            "prediction_id": self.prediction_id,
            "event_time": self.event_time.isoformat(),
            "features": self.features,
        }

    def label(self) -> dict[str, Any]:
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


def usual_day(frame: pd.DataFrame, day: date, n: int) -> list[Request]:
    """``n`` flights drawn from the reference, moved to ``day`` at their own time of day: a day without drift.

    No real day is one: weather is one and the same for most of a day's flights.
    """
    import pandas as pd

    from monitoring_pipeline.demo.models import reference_rows

    drawn = reference_rows(frame).sample(n, random_state=SEED)
    moved = pd.Timestamp(day, tz="UTC") - drawn["event_time"].dt.floor("D")
    drawn = drawn.assign(
        prediction_id="usual-" + drawn["prediction_id"],
        event_time=drawn["event_time"] + moved,
        label_time=drawn["label_time"] + moved,
    )
    return list(_requests(drawn.sort_values(["event_time", "prediction_id"])))


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
