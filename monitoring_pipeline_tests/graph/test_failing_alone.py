"""A window that fails fails alone, is tried again when there is reason to, and in the end is reported."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from monitoring_pipeline.errors import WindowError
from monitoring_pipeline.monitors import Window
from monitoring_pipeline.stages import catalogue, profiling
from monitoring_pipeline.warehouse.database import Warehouse
from monitoring_pipeline.warehouse.status import monitor_statuses
from monitoring_pipeline_tests import toy
from monitoring_pipeline_tests.front_door import FrontDoor, asked, assert_same, fresh_door
from monitoring_pipeline_tests.toy import Toy, ready

EVERYTHING = tuple(stage.asset for stage in catalogue.STAGES)
GOOD = {"2024-03-01", "2024-03-02", "2024-03-04", "2024-03-05"}
BAD = "2024-03-03"


def drop_id(path: Path) -> None:
    pd.read_parquet(path).drop(columns="id").to_parquet(path)


@pytest.mark.parametrize(
    ("poison", "reason"),
    [(toy.truncate, "it is truncated or no Parquet file"), (drop_id, "schema.prediction_id")],
    ids=["truncated file", "missing column"],
)
def test_a_poisoned_day_fails_alone(door: FrontDoor, poison: object, reason: str) -> None:
    it, monitor = ready(door.base, 5)
    poison(it.log_path(2))  # type: ignore[operator]

    said = door.run(monitor, 0, 4)
    assert said is not None and BAD in said and reason in said and f"{it.log_path(2)}" in said
    assert "2024-03-04" not in said and "Traceback" not in said
    for asset in EVERYTHING:
        assert door.materialized(monitor, asset) == GOOD, asset
    status = door.query("select * from monitoring.window_status order by window_start").set_index("window_start")
    assert status["n_rows"].notna().sum() == 4 and reason in status["last_error"].dropna().item()
    figures = door.query("select distinct window_start from monitoring.performance_current")
    assert len(figures) == 4

    it.write_log(it.rows(2), BAD)
    requests = door.ask(monitor, "stale_windows")
    # The day after was held against the day before the bad one, so that it is asked for too.
    assert asked(requests) == [(BAD, BAD, EVERYTHING)]
    assert door.do(monitor, requests[0])
    for request in door.ask(monitor, "stale_windows"):
        assert door.do(monitor, request)
    assert asked(door.ask(monitor, "stale_windows")) == []
    mended = door.views()

    with fresh_door(door) as undisturbed:
        assert undisturbed.run(monitor, 0, 4) is None
        assert_same(undisturbed.views(), mended)


def test_a_poisoned_day_is_tried_three_times_then_reported(door: FrontDoor) -> None:
    it, monitor = ready(door.base, 3)
    toy.truncate(it.log_path(1))
    assert door.run(monitor, 0, 2) is not None
    for _ in range(2):
        (request,) = door.ask(monitor, "stale_windows")
        assert asked([request]) == [("2024-03-02", "2024-03-02", EVERYTHING)]
        assert not door.do(monitor, request)
    assert door.ask(monitor, "stale_windows") == []
    with Warehouse.open(door.settings) as warehouse, warehouse.transaction() as conn:
        (status,) = monitor_statuses(conn)
    (failure,) = status.failed_windows
    assert failure.window == toy.day(1) and failure.gave_up and failure.attempts == 3
    assert list(status.unreadable_files) == [str(it.log_path(1))]

    it.write_log(it.rows(1), "2024-03-02")
    (request,) = door.ask(monitor, "stale_windows")
    assert door.do(monitor, request)


def test_labels_that_cannot_be_joined_are_tried_three_times(door: FrontDoor) -> None:
    it, monitor = ready(door.base, 2)
    assert door.run(monitor, 0, 1) is None
    # Someone damages the lake's own file of a day: labels cannot be matched any more.
    damaged = Path(door.query("select lake_files from monitoring.prediction_window order by window_start").iat[0, 0][0])
    damaged.write_bytes(damaged.read_bytes()[:100])
    it.write_labels(it.rows(0).assign(y=1), "corrected", pd.Timedelta(days=3))
    tries = 0
    while requests := door.ask(monitor, "new_labels"):
        (request,) = requests
        assert not door.do(monitor, request)
        tries += 1
        assert tries <= 3
    assert tries == 3
    assert str(damaged) in door.query("select last_error from monitoring.window_stage where attempts = 3").iat[0, 0]

    damaged.unlink()
    assert door.run(monitor, 0, 1) is None
    assert door.query("select coverage from monitoring.window_status")["coverage"].tolist() == [1.0, 1.0]
    assert door.query("select count(*) from monitoring.label_batch").iat[0, 0] == 2


def test_a_stage_that_waits_for_a_failed_one_is_not_asked_for_without_end(door: FrontDoor) -> None:
    """Profiling fails; drift and quality never come to their turn and have no failures of their own to count."""
    _, monitor = ready(door.base, 2, labelled=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(profiling.profile_store, "save_profiles", _refuses)
        assert "cannot be kept" in (door.run(monitor, 0, 1) or "")
        tries = 1
        while requests := door.ask(monitor, "stale_windows"):
            tries += 1
            assert tries <= 3 and asked(requests) == [("2024-03-01", "2024-03-02", EVERYTHING[1:])]
            assert not door.do(monitor, requests[0])
    assert tries == 3


def test_a_day_that_cannot_be_written_fails_alone(door: FrontDoor) -> None:
    """Windows are written together; the ones beside the bad one are then written without it."""
    _, monitor = ready(door.base, 4)
    save = profiling.profile_store.save_profiles

    def saves_but_one(conn: object, name: str, windows: list[Window], profiles: list) -> None:
        save(conn, name, windows, profiles)  # type: ignore[arg-type]
        if toy.day(2) in windows:
            raise ValueError("what was written so far must not stay")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(profiling.profile_store, "save_profiles", saves_but_one)
        said = door.run(monitor, 0, 3) or ""
    assert said.startswith("1 window(s) of toy failed") and "must not stay" in said and BAD in said
    assert door.materialized(monitor, "profile") == GOOD - {"2024-03-05"}
    kept = "select distinct window_start from monitoring.profile where scope = 'window' order by 1"
    assert [f"{start:%Y-%m-%d}" for start in door.query(kept)["window_start"]] == sorted(GOOD - {"2024-03-05"})
    (failed,) = door.query("select * from monitoring.window_stage where last_error is not null").itertuples()
    assert (f"{failed.window_start:%Y-%m-%d}", failed.stage, failed.attempts) == (BAD, "profile", 1)


def _refuses(*_: object) -> None:
    raise WindowError("cannot be kept")


def test_a_poisoned_label_file_does_not_keep_the_others_out(door: FrontDoor) -> None:
    it, monitor = ready(door.base, 3)
    poisoned = it.base / "truth" / "2024-03-02.parquet"
    pd.read_parquet(poisoned).drop(columns="y").to_parquet(poisoned)
    assert door.run(monitor, 0, 2) is None
    coverage = "select coverage from monitoring.window_status order by window_start"
    assert door.query(coverage)["coverage"].tolist() == [1.0, 0.0, 1.0]
    unreadable = door.query("select path, error from monitoring.source_file where error is not null").iloc[0]
    assert unreadable["path"] == str(poisoned) and "ground_truth.outcome" in unreadable["error"]
    assert door.ask(monitor, "new_labels") == []

    it.write_labels(it.rows(1), "2024-03-02")
    (request,) = door.ask(monitor, "new_labels")
    assert door.do(monitor, request)
    (request,) = door.ask(monitor, "stale_windows")
    assert asked([request]) == [("2024-03-02", "2024-03-02", EVERYTHING[2:])]
    assert door.do(monitor, request)
    assert door.query(coverage)["coverage"].tolist() == [1.0, 1.0, 1.0]


def test_the_reason_of_the_tenth_bad_day_is_in_the_metadata(door: FrontDoor) -> None:
    it = Toy(door.base)
    it.write_reference()
    it.write_days(range(12), labelled=False)
    for day in range(11):
        toy.truncate(it.log_path(day))
    said = door.run(it.declare(), 0, 11)
    assert said is not None and said.startswith("11 window(s) of toy failed; the others succeeded.")
    assert "… and 1 more" in said
    assert door.materialized(it.declare(), "predictions") == {"2024-03-12"}
