"""What people look at in Dagster: pictures in the metadata, verdicts as checks, Evidently's report on demand."""

from __future__ import annotations

import base64
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from monitoring_pipeline.graph import pictures
from monitoring_pipeline.graph.factory import build_monitor_graph
from monitoring_pipeline.graph.keys import EVIDENTLY, asset_key, assets_of
from monitoring_pipeline.monitors import Monitor, Window
from monitoring_pipeline.stages.evidently_report import due
from monitoring_pipeline_tests.front_door import QUIET, FrontDoor
from monitoring_pipeline_tests.toy import Task, Toy, day, ready

drawn = pictures.of_stage  # the fixture puts an empty one in its place


@pytest.fixture
def with_pictures(door: FrontDoor, monkeypatch: pytest.MonkeyPatch) -> FrontDoor:
    monkeypatch.setattr(pictures, "of_stage", drawn)
    return door


@pytest.mark.parametrize("name", ["$$", "$a_{$", "\\$x$"])
def test_a_name_in_a_picture_is_no_formula(name: str) -> None:
    drawn = pictures.picture(2, 2, pictures.Margins(), lambda ax: ax.set_title(name))
    assert "data:image/png" in str(drawn.value)


def test_materializations_carry_facts_and_pictures(with_pictures: FrontDoor) -> None:
    door = with_pictures
    it, monitor = ready(door.base, 3)
    it.write_log(it.rows(2, shift=2.0), "2024-03-03")
    assert door.run(monitor, 0, 2) is None

    def events(asset: str) -> list[dict[str, dg.MetadataValue]]:
        key = asset_key(monitor, asset)
        found = door.instance.fetch_materializations(key, limit=20).records
        assert {r.partition_key for r in found} == {"2024-03-01", "2024-03-02", "2024-03-03"}
        return [dict(r.asset_materialization.metadata) for r in found if r.asset_materialization]

    assert [m["rows"].value for m in events("predictions")] == [300, 300, 300]
    shown = {name: value for m in events("drift") + events("performance") for name, value in m.items()}
    images = {
        n: v.value for n, v in shown.items() if isinstance(v, dg.MarkdownMetadataValue) and "data:image" in str(v.value)
    }
    assert "drift_by_column" in images and any(n.startswith("histogram_") for n in images)
    for name, markdown in images.items():
        content = base64.b64decode(str(markdown).partition("base64,")[2].rstrip(")"))
        assert content.startswith(b"\x89PNG") and len(content) < 60_000, name


def test_checks_say_what_stands_against_the_newest_window(door: FrontDoor) -> None:
    it, monitor = ready(door.base, 2, labelled=False)
    it.write_log(it.rows(1, shift=4.0), "2024-03-02")
    job = build_monitor_graph(monitor).resolve_job_def("toy_windows_job")
    tags = {"dagster/asset_partition_range_start": "2024-03-01", "dagster/asset_partition_range_end": "2024-03-02"}
    result = job.execute_in_process(instance=door.instance, tags=tags, run_config=QUIET)
    checks = {check.check_name: check for check in result.get_asset_check_evaluations()}
    failed = {name for name, check in checks.items() if not check.passed}
    assert failed == {"drifted_columns"} and len(checks) == 5
    drifted = checks["drifted_columns"]
    assert drifted.severity is dg.AssetCheckSeverity.WARN
    assert drifted.metadata["window"].value == "2024-03-02 00:00 UTC"
    problems = str(drifted.metadata["problems"].value)
    assert problems.startswith("- warning: Feature drift since 2024-03-02") and " of x " in problems


@pytest.mark.slow
def test_evidently_draws_a_window_when_asked_and_not_otherwise(door: FrontDoor) -> None:
    _it, monitor = ready(door.base, 1)
    assert door.run(monitor, 0) is None
    report = asset_key(monitor, EVIDENTLY)
    assert door.instance.get_latest_materialization_event(report) is None

    job = build_monitor_graph(monitor).resolve_implicit_global_asset_job_def()
    asked = {"asset_selection": [report], "instance": door.instance, "run_config": QUIET}
    assert job.execute_in_process(partition_key="2024-03-01", **asked).success  # type: ignore[arg-type]
    event = door.instance.get_latest_materialization_event(report)
    assert event is not None and event.asset_materialization is not None
    facts = event.asset_materialization.metadata
    html = Path(str(facts["report"].value)).read_text()
    assert html.lstrip().lower().startswith(("<!doctype html", "<html")) and "channel" in html
    assert facts["rows_of_window"].value == 300

    empty = job.execute_in_process(partition_key="2024-03-02", raise_on_error=False, **asked)  # type: ignore[arg-type]
    (failure,) = [e.step_failure_data for e in empty.all_events if e.is_step_failure]
    assert failure.user_failure_data is not None and "has no rows" in str(failure.user_failure_data.description)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "shown"),
    [("binary", "ROC AUC"), ("regression", "Mean Absolute Percentage Error")],
)
def test_a_declared_report_is_written_with_the_last_window_of_its_period(
    door: FrontDoor, task: Task, shown: str
) -> None:
    """2024-03-01 is a Friday: the week ends with the window of Sunday the 3rd."""
    it = Toy(door.base, task=task, declared={"evidently": {"every": "week", "rows": 500}})
    it.write_reference()
    it.write_days([1, 2])
    monitor = it.declare()
    asked = "select * from monitoring.evidently_report_current"
    assert door.run(monitor, 1) is None
    assert door.query(asked).empty, "the week has not ended"
    assert door.run(monitor, 2) is None
    (row,) = door.query(asked).to_dict("records")
    assert (f"{row['window_start']:%m-%d}", f"{row['window_end']:%m-%d}") == ("02-26", "03-04")
    assert (row["n_current"], row["n_labelled"], row["sampled"], row["model_version"]) == (500, 500, True, "v1")
    for path in (row["path"], row["performance_path"]):
        assert Path(path).read_text().lstrip().lower().startswith(("<!doctype html", "<html"))
    said = Path(row["performance_path"]).read_text()
    assert shown in said and "__outcome" in said


def test_reports_are_due_where_a_period_ends() -> None:
    one = Toy(Path("/nowhere")).declaration() | {"evidently": {"every": "month"}}
    monthly = Monitor.model_validate(one)
    march = [day(n) for n in range(-2, 33)]
    assert [f"{w.start:%m-%d}/{w.end:%m-%d}" for w in due(monthly, march)] == ["02-01/03-01", "03-01/04-01"]
    daily = Monitor.model_validate(one | {"window": "hour", "evidently": {"every": "day"}})
    hours = [Window(day(0).start + timedelta(hours=h), day(0).start + timedelta(hours=h + 1)) for h in range(30)]
    assert due(daily, hours) == [day(0)]
    assert due(Monitor.model_validate(one | {"evidently": None}), march) == []


def test_sensors_ask_for_a_declared_report_with_new_rows_and_with_labels() -> None:
    declared = Monitor.model_validate(Toy(Path("/nowhere")).declaration() | {"evidently": {"every": "week"}})
    plain = declared.model_copy(update={"evidently": None})
    for stage, wanted in (("ingestion", True), ("ground_truth", True), ("verdicts", False)):
        assert (EVIDENTLY in assets_of(declared, stage)) is wanted
        assert EVIDENTLY not in assets_of(plain, stage)
