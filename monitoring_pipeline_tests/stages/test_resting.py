"""A monitor whose runs end before they note anything rests, longer each time; one note in the ledger ends it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from monitoring_pipeline.stages.resting import FailedRun, resting

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Noted:
    """A warehouse whose ledger noted something at ``at``, or nothing."""

    def __init__(self, at: datetime | None) -> None:
        self.at = at

    def run(self, _: object) -> dict[str, datetime]:
        return {} if self.at is None else {"m": self.at}


def runs(n: int) -> dict[str, list[FailedRun]]:
    """The last one ended now, each of the others a minute before the next."""
    ends = [NOW - timedelta(minutes=i) for i in range(n)]
    return {"m": [FailedRun(end - timedelta(seconds=30), end) for end in ends]}


@pytest.mark.parametrize(("n", "minutes"), [(3, 1), (4, 2), (6, 8), (9, 60), (40, 60)])
def test_the_rest_doubles_up_to_an_hour(n: int, minutes: int) -> None:
    found = resting(Noted(None), runs(n), NOW)  # type: ignore[arg-type]
    assert found == {"m": NOW + timedelta(minutes=minutes)}
    assert resting(Noted(None), runs(n), found["m"]) == {}  # type: ignore[arg-type]


def test_the_first_two_are_followed_at_once() -> None:
    assert resting(Noted(None), runs(2), NOW) == {}  # type: ignore[arg-type]


def test_runs_before_the_last_note_do_not_count() -> None:
    noted = Noted(NOW - timedelta(minutes=2, seconds=45))  # within the run that ended two minutes ago
    assert resting(noted, runs(5), NOW) == {"m": NOW + timedelta(minutes=1)}  # type: ignore[arg-type]
    assert resting(Noted(NOW - timedelta(seconds=15)), runs(5), NOW) == {}  # type: ignore[arg-type]
