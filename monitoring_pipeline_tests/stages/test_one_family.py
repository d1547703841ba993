"""What a window no longer holds, and what was never declared: measurements follow the data, family by family."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from monitoring_pipeline.measurements import Measurement, metric_keys
from monitoring_pipeline.settings import Settings
from monitoring_pipeline.warehouse import measurement_store
from monitoring_pipeline.warehouse.database import Warehouse
from monitoring_pipeline.warehouse.measurement_store import Provenance
from monitoring_pipeline_tests import toy
from monitoring_pipeline_tests.front_door import FrontDoor, assert_same, fresh_door
from monitoring_pipeline_tests.toy import ready


def estimate(of: Measurement, value: float) -> Measurement:
    """One estimated metric of what a realized measurement is about."""
    keys = metric_keys("estimated", of.keys.columns[:1], of.keys.roles[:1], of.keys.metrics[:1])
    one = np.array([value])
    return replace(
        of, family="estimated", keys=keys, value=one, n=of.n[:1], low=one - 0.1, high=one + 0.1, reference_value=one,
        n_labelled=0,
    )  # fmt: skip


def test_an_estimate_leaves_the_realized_metrics_current(door: FrontDoor, settings: Settings) -> None:
    _, monitor = ready(door.base, 2)
    assert door.run(monitor, 0, 1) is None
    before = door.views()
    revisions = "select count(*) from monitoring.measurement where superseded_at is not null"
    with Warehouse.open(settings, patience=5) as warehouse, warehouse.transaction() as conn:
        realized = measurement_store.current(conn, monitor.name, [toy.day(0)], ["realized"])
        made = Provenance("d", None, monitor.config_version, "0.1.0", "r")
        for value in (0.8, 0.9):
            estimated = [estimate(one.measurement, value) for one in realized]
            measurement_store.replace_family(
                conn, monitor.name, toy.day(0), "performance", "estimated", estimated, made
            )
    estimates = (
        "select segment, value from monitoring.performance_current"
        f" where kind = 'estimated' and window_start = '{toy.day(0).start}' order by segment"
    )
    assert [tuple(row) for row in door.query(estimates).itertuples(index=False)] == [
        (segment, 0.9) for segment in ("*", "region=north", "region=south")
    ]
    assert door.query(revisions).iat[0, 0] == 4, "the estimate there was and the first ones, nothing else"
    after = door.views()
    for views in (before, after):
        views["performance_current"] = [row for row in views["performance_current"] if "estimated" not in row]
    assert_same(before, after)
    assert door.run(monitor, 0, 1) is None
    assert len(door.query(estimates)) == 3, "measuring what is realized leaves the estimates"


def test_rows_relabelled_at_the_source_leave_no_measurement_of_the_other_version(door: FrontDoor) -> None:
    it, monitor = ready(door.base, 3)
    rows = it.rows(1)
    it.write_log(rows.assign(version=np.where(rows.index < 200, "v1", "v2")), "2024-03-02")
    assert door.run(monitor, 0, 2) is None
    of_version = (
        "select family, count(*) as n from monitoring.measurement"
        " where model_version = 'v2' and superseded_at is {} group by family order by family"
    )
    assert door.query(of_version.format("null"))["family"].tolist() == ["drift", "estimated", "quality", "realized"]

    it.write_log(rows, "2024-03-02")
    (request,) = door.ask(monitor, "stale_windows")
    assert door.do(monitor, request)
    assert door.query(of_version.format("null")).empty
    assert door.query(of_version.format("not null"))["family"].tolist() == ["drift", "estimated", "quality", "realized"]
    for request in door.ask(monitor, "stale_windows"):  # the day after was compared with the day that changed
        assert door.do(monitor, request)
    assert door.ask(monitor, "stale_windows") == []
    with fresh_door(door) as other:
        assert other.run(monitor, 0, 2) is None
        assert_same(door.views(("data_version",)), other.views(("data_version",)))


def test_a_segment_that_vanished_at_the_source_leaves_no_measurement(door: FrontDoor) -> None:
    it, monitor = ready(door.base, 1)
    rows = it.rows(0)
    assert door.run(monitor, 0) is None
    it.write_log(rows.assign(region="north"), "2024-03-01")
    (request,) = door.ask(monitor, "stale_windows")
    assert door.do(monitor, request)
    segments = "select distinct family, segment from monitoring.measurement where superseded_at is null order by 1, 2"
    assert {tuple(row) for row in door.query(segments).itertuples(index=False)} == {
        (family, segment) for family in ("drift", "quality", "realized") for segment in ("*", "region=north")
    } | {("estimated", "*")}
    with fresh_door(door) as other:
        assert other.run(monitor, 0) is None
        assert_same(door.views(("data_version",)), other.views(("data_version",)))


def test_columns_that_appear_or_change_their_type_are_violations(door: FrontDoor) -> None:
    it, monitor = ready(door.base, 3)
    it.write_log(it.rows(1).assign(surprise=1, another="x"), "2024-03-02")
    rows = it.rows(2)
    returning = rows["returning"].map({True: "y", False: "n"})
    it.write_log(rows.assign(x=rows["x"].astype(str), returning=returning), "2024-03-03")
    assert door.run(monitor, 0, 2) is None
    found = door.query(
        "select window_start, column_name, metric, value, violated, detail, threshold from monitoring.quality_current"
        " where segment = '*' and metric in ('column_extra', 'retyped') order by window_start, column_name, metric"
    )
    by_day = {
        day: {(r.column_name, r.metric): (r.value, r.violated, r.detail) for r in of.itertuples()}
        for day, (_, of) in enumerate(found.groupby("window_start"))
    }
    assert not any(violated for _, violated, _ in by_day[0].values())
    assert by_day[1][("*", "column_extra")] == (2.0, True, "another, surprise")
    assert {key for key, (_, violated, _) in by_day[1].items() if violated} == {("*", "column_extra")}
    violated = {key: detail for key, (_, violated, detail) in by_day[2].items() if violated}
    assert violated == {("x", "retyped"): "VARCHAR", ("returning", "retyped"): "VARCHAR"}
    assert {key for key, (_, v, _) in by_day[2].items() if v is None} == set(), "each of them is judged"


def test_awkward_names_of_versions_and_segments_are_inputs_like_others(door: FrontDoor) -> None:
    it, _ = ready(door.base, 2)
    version = "v1@86400: \"x'; --"
    for day in (0, 1):
        rows = it.rows(day)
        named = rows["region"].map({"north": "stage:quality@7", "south": "ü\t'\""})
        it.write_log(rows.assign(version=version, region=named), f"2024-03-{day + 1:02d}")
    monitor = it.declare()
    assert door.run(monitor, 0, 1) is None
    assert door.query("select * from monitoring.stage_input where recorded is distinct from now").empty
    assert door.query("select * from monitoring.stale_window").empty
    read = door.query("select distinct input from monitoring.stage_input where input like 'reference:%' order by 1")
    assert read["input"].tolist() == ["reference:v1", f"reference:{version}"]
    before = door.query("select count(*) from monitoring.measurement").iat[0, 0]
    assert door.run(monitor, 0, 1) is None
    assert door.query("select count(*) from monitoring.measurement").iat[0, 0] == before
