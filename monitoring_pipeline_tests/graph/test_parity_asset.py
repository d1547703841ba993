"""Parity as an asset: there for monitors that declare it, run with every range and by the sensor."""

from __future__ import annotations

from datetime import timedelta

from monitoring_pipeline_tests import toy
from monitoring_pipeline_tests.front_door import FrontDoor
from monitoring_pipeline_tests.toy import START, Toy, ready


def test_a_range_compares_its_windows_and_names_those_that_cannot_be(door: FrontDoor) -> None:
    it, monitor = ready(door.base, 2, parity={"path": "../features/*.parquet"})
    assert "parity.path: no file matches" in (door.run(monitor, 0, 1) or "")
    assert door.materialized(monitor, "parity") == set() and len(door.materialized(monitor, "incidents")) == 2
    toy.write(it.rows(0).drop(columns="y"), door.base / "features" / "day.parquet")
    assert door.run(monitor, 0, 1) is None
    assert door.materialized(monitor, "parity") == {f"{START}", f"{START + timedelta(days=1)}"}
    rows = door.query(
        "select n_compared, n_unmatched from monitoring.parity_current where column_name = '*' order by 2"
    )
    assert rows.to_numpy().tolist() == [[300, 0], [0, 300]]


def test_the_sensor_asks_for_it_with_new_windows_and_only_where_it_is_declared(door: FrontDoor) -> None:
    declared = {"end": None, "retention": {}}
    _, monitor = ready(door.base, 1, parity={"path": "../features/*.parquet"}, **declared)
    door.run(monitor, 0)
    toy_again = Toy(door.base, declared=dict(declared))
    toy_again.write_days([1])
    (request,) = door.ask(monitor, "automation")
    assert "parity" in {key.path[-1] for key in request.asset_selection or ()}
    (request,) = door.ask(toy_again.declare(), "automation")
    assert "parity" not in {key.path[-1] for key in request.asset_selection or ()}
