"""Retention as it is declared: each kind its own duration, and none so short that what is needed goes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from monitoring_pipeline.monitors.declaration import Monitor, as_text

DECLARED: dict[str, Any] = {
    "name": "m",
    "task": "binary",
    "schema": {"prediction_id": "id", "event_time": "at", "score": "score", "numerical": ["x"]},
    "predictions": {"path": "log/*.parquet"},
    "ground_truth": {"path": "truth/*.parquet", "outcome": "y"},
    "reference": {"path": "reference.parquet"},
    "start": "2024-01-01",
}


def declared(retention: dict[str, str], **changes: Any) -> Monitor:
    return Monitor.model_validate(DECLARED | {"retention": retention} | changes)


def test_everything_is_kept_unless_declared() -> None:
    kept = Monitor.model_validate(DECLARED).retention
    assert set(kept.model_dump().values()) == {None}
    assert kept.shortest is None


def test_each_kind_has_its_own_duration() -> None:
    kept = declared({"profiles": "60d", "revisions": "0d", "lake_files": "P30D"}).retention
    assert (kept.profiles, kept.revisions, kept.lake_files) == (timedelta(60), timedelta(0), timedelta(30))
    assert kept.measurements is None
    assert kept.shortest == timedelta(30), "revisions are not what a window is computed from"


@pytest.mark.parametrize(
    ("retention", "changes", "least"),
    [
        ({"measurements": "7d"}, {}, "8d"),  # a window and labels.max_delay
        ({"measurements": "0d"}, {"ground_truth": None}, "1d"),
        ({"lake_files": "59m"}, {"ground_truth": None, "window": "hour"}, "1h"),
        ({"verdicts": "2d"}, {"labels": {"max_delay": "36h"}}, "2d 12h"),
        ({"profiles": "14d"}, {}, "15d"),  # seven windows back for `previous`
        ({"profiles": "35d"}, {"baselines": ["seasonal"]}, "36d"),
        ({"profiles": "7d"}, {"baselines": ["training"]}, "8d"),
        ({"lake_files": "90d"}, {"retrain": {"enabled": True, "trainer": "a:b"}}, "98d"),
    ],
)
def test_what_is_still_needed_is_not_to_be_deleted(
    retention: dict[str, str], changes: dict[str, Any], least: str
) -> None:
    ((kind, _),) = retention.items()
    with pytest.raises(ValidationError, match=rf"retention\.{kind}: .* write at least {least}"):
        declared(retention, **changes)
    assert getattr(declared({kind: least}, **changes).retention, kind) is not None


def test_a_verdict_does_not_outlive_its_measurement() -> None:
    with pytest.raises(ValidationError, match=r"retention\.verdicts: 60d is longer than `measurements` \(30d\)"):
        declared({"verdicts": "60d", "measurements": "30d"})


def test_a_negative_duration_is_refused() -> None:
    with pytest.raises(ValidationError, match="is not a duration"):
        declared({"revisions": "-P1D"})


@pytest.mark.parametrize("duration", ["1d", "36h", "90m", "1d 1h 1m 1s"])
def test_durations_are_written_as_they_may_be_declared(duration: str) -> None:
    read = declared({"revisions": duration}).retention.revisions
    assert read is not None
    assert declared({"revisions": as_text(read)}).retention.revisions == read
