"""Facts of a monitor with daily windows, counted in days from the first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from monitoring_pipeline.monitors.retraining import RetrainPolicy
from monitoring_pipeline.retraining.policy.facts import (
    ChampionFact,
    Facts,
    IncidentFact,
    LabelledWindow,
    MovedWindow,
    PastRetraining,
    PerformanceWindow,
)
from monitoring_pipeline.windows import Window

FIRST = datetime(2024, 3, 1, tzinfo=UTC)
ROWS = 1000
CHAMPION = ChampionFact("v1", FIRST, 10_000)


def at(day: float) -> datetime:
    return FIRST + timedelta(days=day)


def window(day: int) -> Window:
    return Window(at(day), at(day + 1))


def policy(**declared: Any) -> RetrainPolicy:
    """A policy whose guards let everything pass unless declared otherwise."""
    easy: dict[str, Any] = {"cooldown": "0s", "guards": {"min_labels": 1}, "promote": {"shadow": "always"}}
    return RetrainPolicy.model_validate(easy | declared)


def facts(
    days: int, degraded: Iterable[int] = (), alarms: dict[int, Sequence[str]] | None = None, mature_lag: int = 1,
    champion: ChampionFact | None = CHAMPION, **others: Any,
) -> Facts:  # fmt: skip
    """``days`` judged windows; performance degraded and columns in alarm on the days named."""
    bad, moved = set(degraded), alarms or {}
    mature = [day < days - mature_lag for day in range(days)]
    return replace(
        Facts(
            first_window=at(0),
            windows=tuple(MovedWindow(window(day), frozenset(moved.get(day, ()))) for day in range(days)),
            performance=tuple(
                PerformanceWindow(window(d), "realized", "roc_auc", d in bad, mature[d], 0.6, 0.1 if d in bad else -0.1)
                for d in range(days)
            ),
            labels=tuple(LabelledWindow(window(day), ROWS, mature[day]) for day in range(days)),
            champion=champion,
        ),
        **others,
    )  # fmt: skip


def incident(first: int, last: int, *columns: str, **others: Any) -> IncidentFact:
    base = IncidentFact("i1", 1, "drift", "warning", True, "feature drift", columns, at(first), at(last))
    return replace(base, **others)


def past(day: float, outcome: str | None = "promoted", number: int = 1, minutes: float = 1.0) -> PastRetraining:
    return PastRetraining(number, at(day), "performance", outcome, minutes)
