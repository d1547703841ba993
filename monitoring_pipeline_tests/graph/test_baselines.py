"""Comparisons with earlier windows are made again when one of these changes, appears, or ceases to be the nearest."""

from __future__ import annotations

import pandas as pd

from monitoring_pipeline.monitors import Monitor
from monitoring_pipeline_tests import toy
from monitoring_pipeline_tests.front_door import FrontDoor, asked, assert_same, fresh_door
from monitoring_pipeline_tests.toy import Toy, ready

AFTER_DRIFT = ("drift", "performance", "estimated_performance", "verdicts", "incidents", "rollups")


def arrive_late(it: Toy, day: int) -> None:
    """As many rows again, of another distribution."""
    more = it.rows(day, 600, shift=3.0).iloc[300:]
    it.write_log(more.assign(id="late-" + more["id"]), f"late {day}")


def stale(door: FrontDoor) -> set[tuple[str, str, str]]:
    found = door.query("select to_char(window_start, 'MM-DD') as day, stage, reason from monitoring.stale_window")
    return {tuple(row) for row in found.itertuples(index=False)}


def psi(door: FrontDoor, day: int, baseline: str) -> float:
    found = door.query(
        "select value from monitoring.drift_current where window_start = :w and baseline = :b and segment = '*'"
        " and column_name = 'x' and method = 'psi'",
        w=toy.day(day).start,
        b=baseline,
    )
    assert len(found) == 1
    return float(found.iat[0, 0])


def settle(door: FrontDoor, monitor: Monitor) -> None:
    """What the sensor asks for, until it asks for nothing more."""
    for _ in range(5):
        requests = door.ask(monitor, "stale_windows")
        if not requests:
            return
        assert all(door.do(monitor, request) for request in requests)
    raise AssertionError(f"still stale: {stale(door)}")


def assert_as_fresh(door: FrontDoor, monitor: Monitor, days: list[int]) -> None:
    with fresh_door(door) as other:
        for day in days:
            assert other.run(monitor, day) is None
        assert_same(door.views(), other.views())


def test_late_rows_a_week_ago_make_the_seasonal_comparison_stale(door: FrontDoor) -> None:
    it, monitor = ready(door.base, 0, baselines=["seasonal"], ground_truth=None, segments=[])
    it.write_days(range(16), labelled=False)
    assert door.run(monitor, 0, 15) is None
    before = psi(door, 14, "seasonal")
    arrive_late(it, 7)
    (request,) = door.ask(monitor, "stale_windows")
    assert asked([request])[0][:2] == ("2024-03-08", "2024-03-08")
    assert door.do(monitor, request)
    weekly = {("03-15", "drift", "baseline"), ("03-15", "quality", "baseline")}  # quality: the usual number of rows
    assert stale(door) == weekly, "only the day a week later is compared with it"
    settle(door, monitor)
    assert psi(door, 14, "seasonal") > before + 0.5
    n_reference = door.query(
        "select distinct n_reference from monitoring.drift_current where window_start = :w and column_name = 'amount'"
        " and method = 'psi'",
        w=toy.day(14).start,
    )
    assert n_reference["n_reference"].tolist() == [300 + 600], "the same weekday one and two weeks before"
    assert_as_fresh(door, monitor, list(range(16)))


def test_the_previous_window_may_lie_behind_empty_days(door: FrontDoor) -> None:
    it, monitor = ready(door.base, 0, baselines=["previous"], segments=[])
    it.write_days([0, 2, 3])
    for day in (0, 2, 3):
        assert door.run(monitor, day) is None
    before = psi(door, 2, "previous")
    arrive_late(it, 0)
    (request,) = door.ask(monitor, "stale_windows")
    assert asked([request])[0][:2] == ("2024-03-01", "2024-03-01")
    assert door.do(monitor, request)
    assert stale(door) == {("03-03", "drift", "baseline")}, "the day after has no rows; the one after that looked back"
    (request,) = door.ask(monitor, "stale_windows")
    assert asked([request]) == [("2024-03-03", "2024-03-03", AFTER_DRIFT)]
    assert door.do(monitor, request)
    assert door.ask(monitor, "stale_windows") == []
    assert psi(door, 2, "previous") > before + 0.5
    assert_as_fresh(door, monitor, [0, 2, 3])


def test_a_nearer_window_that_appears_takes_the_place_of_the_previous_one(door: FrontDoor) -> None:
    it, monitor = ready(door.base, 0, baselines=["previous"], segments=[])
    it.write_days([0, 2])
    for day in (0, 2):
        assert door.run(monitor, day) is None
    before = psi(door, 2, "previous")
    between = it.rows(1, 300, shift=2.0)
    it.write_log(between, "2024-03-02")
    it.write_labels(between, "2024-03-02", pd.Timedelta(hours=20))
    requests = door.ask(monitor, "stale_windows")
    assert [one[:2] for one in asked(requests)] == [("2024-03-02", "2024-03-02")]
    assert door.do(monitor, requests[0])
    assert ("03-03", "drift", "baseline") in stale(door), "it was looked for and not found, and now it is there"
    settle(door, monitor)
    assert psi(door, 2, "previous") > before + 0.5
    # The first day is no longer what the third is compared with.
    arrive_late(it, 0)
    (request,) = door.ask(monitor, "stale_windows")
    assert door.do(monitor, request)
    assert stale(door) == {("03-02", "drift", "baseline")}
    settle(door, monitor)
    assert_as_fresh(door, monitor, [0, 1, 2])


def test_a_named_span_is_compared_as_one_and_goes_stale_with_its_windows(door: FrontDoor) -> None:
    launch = {"name": "launch", "from": toy.day(0).start.date(), "to": toy.day(3).start.date()}
    it, monitor = ready(door.base, 0, baselines=["training", launch], ground_truth=None, segments=[])
    it.write_days(range(6), labelled=False)
    assert door.run(monitor, 0, 5) is None
    held = door.query(
        "select to_char(window_start, 'MM-DD') as day, n_reference from monitoring.drift_current"
        " where baseline = 'launch' and column_name = 'amount' and method = 'psi' and segment = '*' order by 1"
    )
    per_day = [300] * 5
    assert held["n_reference"].tolist() == [per_day[0], sum(per_day[:2]), *[sum(per_day[:3])] * 3], "only days before"
    before = psi(door, 5, "launch")
    arrive_late(it, 1)
    settle(door, monitor)
    assert psi(door, 5, "launch") > before + 0.2
    assert_as_fresh(door, monitor, list(range(6)))
