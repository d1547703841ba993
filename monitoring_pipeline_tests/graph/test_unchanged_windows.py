"""What a run over windows that were computed before measures again: what differs, and nothing else."""

from __future__ import annotations

from datetime import timedelta

import pandas as pd
from sqlalchemy import create_engine, text

from monitoring_pipeline_tests.front_door import FrontDoor, assert_same
from monitoring_pipeline_tests.toy import START, ready

MEASURED = ["drift", "performance", "quality"]


def measured_at(door: FrontDoor) -> pd.Series:
    """When each stage that measures was last done, by stage and window."""
    return door.query(
        "select stage, window_start, completed_at from monitoring.window_stage where stage = any (:measured)",
        measured=MEASURED,
    ).set_index(["stage", "window_start"])["completed_at"]  # fmt: skip


def measured_again(door: FrontDoor, before: pd.Series) -> dict[str, list[int]]:
    """Days, counted from 0, by the stages done since."""
    again = measured_at(door).sort_index()
    again = again[again != before.reindex(again.index)]
    found: dict[str, list[int]] = {}
    for stage, start in again.index:
        found.setdefault(stage, []).append((start - pd.Timestamp(START, tz="UTC")).days)
    return found


def test_only_windows_of_which_something_changed_are_measured_again(door: FrontDoor) -> None:
    it, monitor = ready(door.base, 4, baselines=["training", "previous"])
    it.write_labels(it.rows(2).head(100), f"{START + timedelta(days=2)}")
    assert door.run(monitor, 0, 3) is None
    before, said = measured_at(door), door.views()
    assert len(before) == 3 * 4

    assert door.run(monitor, 0, 3) is None
    assert measured_again(door, before) == {}
    assert_same(door.views(), said)

    it.write_labels(it.rows(2).tail(200), "late")
    assert door.run(monitor, 0, 3) is None
    assert measured_again(door, before) == {"drift": [2, 3], "performance": [2], "quality": [2]}, "3 follows 2"
    before = measured_at(door)

    it.write_log(it.rows(0, 280), f"{START}")
    assert door.run(monitor, 0, 3) is None
    assert measured_again(door, before) == {"drift": [0, 1], "performance": [0], "quality": [0]}, "1 follows 0"
    before = measured_at(door)

    assert door.run(it.declare(baselines=["training"]), 1, 2) is None
    assert measured_again(door, before) == {"drift": [1, 2]}, "the declared baselines are read by drift alone"


def test_another_version_of_the_program_measures_again(door: FrontDoor) -> None:
    _, monitor = ready(door.base, 2)
    assert door.run(monitor, 0, 1) is None
    engine = create_engine(door.settings.database_url or "")
    with engine.begin() as conn:
        conn.execute(text("update monitoring.window_stage set code_version = 'before'"))
    engine.dispose()
    before = measured_at(door)
    assert door.run(monitor, 0, 1) is None
    assert measured_again(door, before) == {stage: [0, 1] for stage in MEASURED}
