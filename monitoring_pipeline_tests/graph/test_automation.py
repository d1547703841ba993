"""What runs by itself, in a fleet: references, the window that ended last, and the history of a new monitor."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from monitoring_pipeline.graph import automation
from monitoring_pipeline.graph.automation import is_automated
from monitoring_pipeline.graph.factory import build_fleet
from monitoring_pipeline.graph.keys import WINDOWED
from monitoring_pipeline.monitors import Monitor
from monitoring_pipeline.stages import staleness
from monitoring_pipeline_tests.front_door import FrontDoor, asked
from monitoring_pipeline_tests.toy import Toy

TODAY = datetime.now(UTC).date()


def ago(days: int) -> date:
    """Yesterday is 1. Ten minutes after midnight the day before is still the newest window; tests do not run then."""
    return TODAY - timedelta(days=days)


def living(base: Path, name: str = "toy", days: range = range(1, 6), **declared: Any) -> Monitor:
    """A monitor without an end, in a directory of its own, whose log holds these days."""
    toy = Toy(base / name, name=name, declared={"start": f"{ago(max(days))}", "end": None} | declared)
    toy.write_reference()
    for day in days:
        toy.write_log(toy.rows(ago(day)), f"{ago(day)}")
        toy.write_labels(toy.rows(ago(day)), f"{ago(day)}")
    return toy.declare()


def late_rows(monitor: Monitor, day: date) -> None:
    toy = Toy(monitor.base_dir.parent, name=monitor.name)
    more = toy.rows(day, 310).iloc[300:]
    toy.write_log(more.assign(id="late-" + more["id"]), "straggler")


def test_a_new_monitor_gets_its_history_newest_windows_first_and_then_rests(
    door: FrontDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(staleness.RANGE_WINDOWS, "day", 2)
    monitor = living(door.base)
    assert door.ask(monitor, "stale_windows") == door.ask(monitor, "new_labels") == []
    (reference,) = door.ask(monitor, "automation")
    assert door.do(monitor, reference)
    ranges = []
    for _ in range(3):
        (request,) = door.ask(monitor, "automation")
        ranges += asked([request])
        assert request.tags["monitoring/monitor"] == "toy"
        assert door.do(monitor, request)
    assert ranges == [
        (f"{ago(2)}", f"{ago(1)}", WINDOWED),
        (f"{ago(4)}", f"{ago(3)}", WINDOWED),
        (f"{ago(5)}", f"{ago(5)}", WINDOWED),
    ]
    assert door.ask(monitor, "automation") == []
    n_rows = door.query("select n_rows from monitoring.window_status order by window_start")["n_rows"]
    assert n_rows.tolist() == [300] * 5


def test_references_of_three_monitors_are_one_run_and_one_that_fails_is_asked_for_once_an_hour(
    door: FrontDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = [living(door.base, name, range(1, 2)) for name in ("a", "b", "c")]
    (door.base / "b" / "reference.parquet").write_bytes(b"no Parquet")
    ticked = door.tick(fleet, "automation")
    (request,) = ticked.run_requests or []
    assert [key.to_user_string() for key in request.asset_selection or ()] == [f"{n}/reference" for n in "abc"]
    result = (
        build_fleet(fleet)
        .resolve_implicit_global_asset_job_def()
        .execute_in_process(instance=door.instance, asset_selection=request.asset_selection, raise_on_error=False)
    )
    assert not result.success  # b's cannot be read; a's and c's are profiled all the same
    profiled = door.query("select distinct monitor from monitoring.reference_profile order by monitor")
    assert profiled["monitor"].tolist() == ["a", "c"]

    following = door.ask_fleet(fleet, "automation", ticked.cursor)
    assert {r.tags["monitoring/monitor"] for r in following} == {"a", "c"}
    an_hour_ago = {name: f"{datetime.now(UTC) - timedelta(hours=2):%Y-%m-%dT%H}" for name in "abc"}
    again = door.ask_fleet(fleet, "automation", json.dumps(an_hour_ago))
    assert [[k.path[0] for k in r.asset_selection or ()] for r in again if not r.tags.get("monitoring/monitor")] == [
        ["b"]
    ]

    monkeypatch.setattr(automation, "REFERENCES_A_RUN", 2)
    (door.base / "a" / "reference.parquet").touch()
    fleet += [living(door.base, name, range(1, 2)) for name in ("d", "e")]
    batches = [r for r in door.ask_fleet(fleet, "automation") if not r.tags.get("monitoring/monitor")]
    assert [len(r.asset_selection or ()) for r in batches] == [2, 1]


def test_of_two_monitors_with_late_rows_the_paused_one_is_left_alone(door: FrontDoor) -> None:
    fleet = [living(door.base, "goes_on", range(1, 2)), living(door.base, "rests", range(1, 2))]
    for monitor in fleet:
        yesterday = staleness.Window.at(datetime.now(UTC) - timedelta(days=1), "day")
        assert door.run(monitor, yesterday) is None
        late_rows(monitor, ago(1))
    assert len(door.ask_fleet(fleet, "stale_windows")) == 2
    paused = Toy(
        door.base / "rests", name="rests", declared={"start": f"{ago(1)}", "end": None, "paused": True}
    ).declare()
    assert paused.config_version == fleet[1].config_version
    requests = door.ask_fleet([fleet[0], paused], "stale_windows")
    assert [r.tags["monitoring/monitor"] for r in requests] == ["goes_on"]
    assert door.ask_fleet([paused], "automation") == door.ask_fleet([paused], "new_labels") == []


def test_a_monitor_of_which_nothing_is_stale_is_not_asked_about_until_its_ledger_changes(
    door: FrontDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = [living(door.base, "a", range(1, 2)), living(door.base, "b", range(1, 2))]
    for monitor in fleet:
        assert door.run(monitor, staleness.Window.at(datetime.now(UTC) - timedelta(days=1), "day")) is None
    asked_about = []
    stale_windows = staleness.fleet.stale_windows
    monkeypatch.setattr(
        staleness.fleet, "stale_windows", lambda conn, names: asked_about.append(names) or stale_windows(conn, names)
    )
    first = door.tick(fleet, "stale_windows")
    second = door.tick(fleet, "stale_windows", first.cursor)
    assert (first.run_requests, second.run_requests) == ([], [])
    late_rows(fleet[1], ago(1))
    (request,) = door.ask_fleet(fleet, "stale_windows", second.cursor)
    assert request.tags["monitoring/monitor"] == "b"
    assert asked_about == [["a", "b"], ["b"]]


def test_a_window_of_a_silent_service_is_asked_for_too_and_one_not_yet_over_is_not(door: FrontDoor) -> None:
    monitor = living(door.base, days=range(3, 4))
    assert door.do(monitor, door.ask(monitor, "automation")[0])
    (request,) = door.ask(monitor, "automation")
    assert asked([request])[0][:2] == (f"{ago(3)}", f"{ago(1)}")
    assert door.do(monitor, request)
    n_rows = door.query("select n_rows from monitoring.window_status order by window_start")["n_rows"]
    assert n_rows.tolist() == [300, 0, 0]
    assert door.ask(monitor, "automation") == []


def test_a_source_that_cannot_be_listed_holds_up_no_other(door: FrontDoor) -> None:
    fleet = [living(door.base, "a", range(1, 2)), living(door.base, "b", range(1, 2))]
    for monitor in fleet:
        assert door.run(monitor, staleness.Window.at(datetime.now(UTC) - timedelta(days=1), "day")) is None
        late_rows(monitor, ago(1))
    broken = Toy(
        door.base / "a",
        name="a",
        declared={"start": f"{ago(1)}", "end": None, "predictions": {"path": "s4://no/*.parquet"}},
    ).declare()
    requests = door.ask_fleet([broken, fleet[1]], "stale_windows")
    assert [r.tags["monitoring/monitor"] for r in requests] == ["b"]


def test_a_table_is_asked_again_and_a_source_never_looked_at_by_the_calendar(door: FrontDoor) -> None:
    from monitoring_pipeline.graph.resources import warehouse_of
    from monitoring_pipeline.stages.context import StageContext

    monitor = living(door.base)
    stages = StageContext(monitor, warehouse_of(door.settings), door.settings, "test")
    noon = datetime.combine(TODAY, datetime.min.time(), UTC) + timedelta(hours=12)
    (first, last) = staleness.new_windows([stages], unseen=["toy"], now=noon)["toy"]
    assert (first.key("day"), last.key("day")) == (f"{ago(5)}", f"{ago(1)}")
    assert door.run(monitor, first, last) is None
    assert staleness.new_windows([stages], now=noon) == {}
    assert staleness.new_windows([stages], again=["toy"], now=noon) == {"toy": (last, last)}
    early = noon - timedelta(hours=11, minutes=55)
    assert staleness.new_windows([stages], again=["toy"], now=early)["toy"][1].key("day") == f"{ago(2)}"


def test_a_monitor_that_has_ended_or_is_paused_is_not_automated(tmp_path: Path) -> None:
    ended = Toy(tmp_path).declare(end=date(2024, 4, 1))
    assert not is_automated(ended)
    assert is_automated(ended, datetime(2024, 3, 31, tzinfo=UTC))
    assert not is_automated(Toy(tmp_path).declare(end=None, paused=True))


def test_sensors_are_four_whatever_the_number_of_monitors_and_on_without_being_switched_on(tmp_path: Path) -> None:
    fleet = [Toy(tmp_path / name, name=name).declare() for name in ("a", "b", "c")]
    sensors = build_fleet(fleet).get_repository_def().sensor_defs
    assert sorted(sensor.name for sensor in sensors) == ["automation", "freshness", "new_labels", "stale_windows"]
    assert {sensor.default_status for sensor in sensors} == {dg.DefaultSensorStatus.RUNNING}
