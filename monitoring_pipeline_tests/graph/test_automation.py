"""What runs by itself: the newest window, once an hour, and everything that follows from it; old windows do not."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg

from monitoring_pipeline.graph.automation import is_automated
from monitoring_pipeline.graph.factory import build_monitor_graph
from monitoring_pipeline.graph.keys import EVIDENTLY, WINDOWED, asset_key
from monitoring_pipeline.monitors import Monitor
from monitoring_pipeline_tests.toy import Toy

NIGHT = datetime(2024, 3, 9, 0, 5, tzinfo=UTC)


def endless(base: Path) -> Monitor:
    return Toy(base).declare(end=None)


def requested(result: dg.EvaluateAutomationConditionsResult, monitor: Monitor) -> dict[str, set[str]]:
    """Partitions asked for, by the asset's short name."""
    found = {name: result.get_requested_partitions(asset_key(monitor, name)) for name in (*WINDOWED, EVIDENTLY)}
    return {name: partitions for name, partitions in found.items() if partitions}


def test_after_the_hour_the_newest_window_and_all_that_follows_is_asked_for(tmp_path: Path) -> None:
    monitor = endless(tmp_path)
    graph = build_monitor_graph(monitor)
    with dg.DagsterInstance.ephemeral() as instance:
        instance.report_runless_asset_event(dg.AssetMaterialization(asset_key(monitor, "reference")))
        before = dg.evaluate_automation_conditions(graph, instance, evaluation_time=NIGHT)
        at_ten_past = dg.evaluate_automation_conditions(
            graph, instance, evaluation_time=NIGHT + timedelta(minutes=6), cursor=before.cursor
        )
        again = dg.evaluate_automation_conditions(
            graph, instance, evaluation_time=NIGHT + timedelta(minutes=7), cursor=at_ten_past.cursor
        )
        for name in WINDOWED:
            newest = dg.AssetMaterialization(asset_key(monitor, name), partition="2024-03-08")
            instance.report_runless_asset_event(newest)
        done = dg.evaluate_automation_conditions(
            graph, instance, evaluation_time=NIGHT + timedelta(minutes=8), cursor=again.cursor
        )
        an_hour_later = dg.evaluate_automation_conditions(
            graph, instance, evaluation_time=NIGHT + timedelta(hours=1, minutes=6), cursor=done.cursor
        )
    assert requested(before, monitor) == {}
    assert requested(at_ten_past, monitor) == {key: {"2024-03-08"} for key in WINDOWED}
    assert requested(again, monitor) == requested(done, monitor) == {}
    # Late rows of the window that ended last are looked for every hour.
    assert requested(an_hour_later, monitor) == {key: {"2024-03-08"} for key in WINDOWED}


def test_without_a_reference_only_it_and_the_predictions_are_asked_for(tmp_path: Path) -> None:
    monitor = endless(tmp_path)
    graph = build_monitor_graph(monitor)
    with dg.DagsterInstance.ephemeral() as instance:
        first = dg.evaluate_automation_conditions(graph, instance, evaluation_time=NIGHT)
        second = dg.evaluate_automation_conditions(
            graph, instance, evaluation_time=NIGHT + timedelta(minutes=6), cursor=first.cursor
        )
    assert first.get_requested_partitions(asset_key(monitor, "reference")) == {None}
    assert requested(second, monitor) == {"predictions": {"2024-03-08"}}


def test_a_monitor_that_has_ended_is_not_automated_and_one_that_goes_on_is_without_being_switched_on(
    tmp_path: Path,
) -> None:
    assert not is_automated(Toy(tmp_path).declare(end=date(2024, 4, 1)))
    assert is_automated(Toy(tmp_path).declare(end=date(2024, 4, 1)), datetime(2024, 3, 31, tzinfo=UTC))

    ended = build_monitor_graph(Toy(tmp_path).declare(end=date(2024, 4, 1)))
    conditions = [spec.automation_condition for spec in ended.resolve_all_asset_specs()]
    assert conditions == [None] * len(conditions)
    sensor = build_monitor_graph(endless(tmp_path)).resolve_sensor_def("toy_automation")
    assert sensor.default_status is dg.DefaultSensorStatus.RUNNING
