"""A window judged before its labels could all be there is judged again when it has come of age."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from monitoring_pipeline.stages import judging
from monitoring_pipeline_tests import toy
from monitoring_pipeline_tests.front_door import FrontDoor, asked
from monitoring_pipeline_tests.toy import ready


class EarlyClock(datetime):
    """The clock on the third day: no window is older than the maximum label delay."""

    @classmethod
    def now(cls, tz: object = None) -> datetime:
        return toy.day(2).end + timedelta(hours=1)


def test_a_window_comes_of_age(door: FrontDoor, monkeypatch: pytest.MonkeyPatch) -> None:
    it, _ = ready(door.base, 3, labelled=False)
    monitor = it.declare(labels={"coverage": 0.9, "max_delay": "2d"})
    for day in (0, 1, 2):
        it.write_labels(it.rows(day).iloc[:150], f"half of {day}")
    with monkeypatch.context() as patch:
        patch.setattr(judging, "datetime", EarlyClock)
        assert door.run(monitor, 0, 2) is None
    mature = "select window_start, bool_or(mature) as mature from monitoring.performance_current group by 1 order by 1"
    assert door.query(mature)["mature"].tolist() == [True, False, False], "the first day was two days old"
    stale = door.query("select window_start, stage, reason from monitoring.stale_window order by 1")
    assert [tuple(row) for row in stale.itertuples(index=False)] == [
        (toy.day(day).start, "verdicts", "maturity") for day in (1, 2)
    ]
    measurements = "select measurement_id, as_known_at, superseded_at from monitoring.measurement order by 1"
    before = door.query(measurements)
    (request,) = door.ask(monitor, "stale_windows")
    assert asked([request]) == [("2024-03-02", "2024-03-03", ("verdicts", "incidents", "rollups"))]
    assert door.do(monitor, request)
    assert door.query(mature)["mature"].tolist() == [True, True, True]
    assert door.query(measurements).equals(before)
    assert door.ask(monitor, "stale_windows") == []
