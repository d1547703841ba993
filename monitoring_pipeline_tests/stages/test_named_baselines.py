"""Which windows a named baseline is made of."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from monitoring_pipeline.monitors.declaration import NamedBaseline
from monitoring_pipeline.stages.baselines import windows_before
from monitoring_pipeline.windows import Window


def starts(baseline: NamedBaseline, day: str) -> list[str]:
    start = datetime.fromisoformat(day).replace(tzinfo=UTC)
    window = Window(start, start + timedelta(days=1))
    return [f"{start - by:%Y-%m-%d}" for by in windows_before(baseline, window)]


def test_the_same_month_of_an_earlier_year_with_its_leap_day() -> None:
    found = starts(NamedBaseline.model_validate({"name": "then", "same": "month", "years_ago": 2}), "2026-02-10")
    assert (found[0], found[-1], len(found)) == ("2024-02-29", "2024-02-01", 29)
    december = starts(NamedBaseline.model_validate({"name": "then", "same": "month"}), "2026-12-31")
    assert (december[0], december[-1]) == ("2025-12-31", "2025-12-01")


def test_a_span_counts_only_windows_before() -> None:
    launch = NamedBaseline.model_validate({"name": "launch", "from": "2026-01-05", "to": "2026-01-08"})
    assert starts(launch, "2026-03-01") == ["2026-01-07", "2026-01-06", "2026-01-05"]
    assert starts(launch, "2026-01-06") == ["2026-01-05"]
    assert starts(launch, "2026-01-05") == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "training", "same": "month"},
        {"name": "both", "same": "month", "from": "2026-01-05", "to": "2026-01-08"},
        {"name": "half", "from": "2026-01-05"},
        {"name": "none"},
        {"name": "backwards", "from": "2026-01-08", "to": "2026-01-05"},
        {"name": "Big Name", "same": "month"},
    ],
)
def test_a_span_that_makes_no_sense_is_refused(wrong: dict) -> None:
    with pytest.raises(ValidationError):
        NamedBaseline.model_validate(wrong)
