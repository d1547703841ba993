"""On streams where nothing changes, a policy on performance retrains no more often than the budget of alarms allows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from benchmarks.detection_streams import Change
from monitoring_pipeline.retraining.policy import decide
from monitoring_pipeline_tests.alerting.performance.series import scored, verdicts
from monitoring_pipeline_tests.retraining.policy.facts_of import at, facts, past, policy

YEAR, STREAMS = 365, 6
BUDGET = 0.25
"""False alarms of performance that the default budget, one a month, allows in a month."""
WHEN = {"any": [{"performance": {}}, {"concept": {}}, {"drift": {}}]}


def retrained(alarms: np.ndarray, **guards: Any) -> list[int]:
    """Days on which a policy retrains when these days (T,) alarm; no challenger is promoted, so nothing changes."""
    declared = policy(when=WHEN, cooldown="14d", guards={"min_labels": 1, **guards})
    days: list[int] = []
    used: frozenset[str] = frozenset()
    whole = facts(len(alarms), degraded=np.flatnonzero(alarms).tolist(), mature_lag=0)
    for day in range(1, len(alarms) + 1):
        seen = replace(
            whole, windows=whole.windows[:day], performance=whole.performance[:day], labels=whole.labels[:day],
            used=used, retrainings=tuple(past(one, "kept") for one in days),
        )  # fmt: skip
        found = decide(declared, seen, at(day))
        if found.answer == "retrain":
            days, used = [*days, day], used | {*found.keys}
    return days


@pytest.mark.parametrize("kind", ["iid", "all"])
def test_a_year_without_change_retrains_within_the_budget(kind: str) -> None:
    calibration, evidence = scored(21, 1000, kind, windows=YEAR, series=STREAMS)
    alarms = verdicts(calibration, evidence)[1].status == "alarm"
    n = [len(retrained(one)) for one in alarms]
    assert sum(n) <= BUDGET * 12 * STREAMS, n
    confirmed = [len(retrained(one, persistence={"windows": 2, "of": 3})) for one in alarms]
    assert sum(confirmed) <= sum(n)


def test_a_change_is_followed_within_three_windows() -> None:
    calibration, evidence = scored(7, 5000, change=Change("concept", 0.1), since=40)
    alarms = verdicts(calibration, evidence)[1].status[0] == "alarm"
    assert not [day for day in retrained(alarms) if day <= 40]
    assert 40 < retrained(alarms)[0] <= 43
