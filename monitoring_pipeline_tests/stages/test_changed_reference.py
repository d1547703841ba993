"""A reference that changes brings new bins: windows are counted and compared by them, their outcomes too."""

from __future__ import annotations

from datetime import timedelta

import pytest

from monitoring_pipeline_tests.front_door import FrontDoor, assert_same, door, fresh_door
from monitoring_pipeline_tests.toy import START, Task, ready

__all__ = ["door"]

WITHOUT = ("data_version",)  # of the reference's changes; what the views say of the windows is the same


@pytest.mark.parametrize("task", ["regression", "binary"])
def test_windows_measured_before_say_what_a_fresh_run_says(door: FrontDoor, task: Task) -> None:
    it, monitor = ready(door.base, 2, task)
    assert door.run(monitor, 0, 1) is None
    it.write_reference(it.rows(START - timedelta(days=20), 1200, shift=0.5))
    assert door.run(monitor, 0, 1) is None
    with fresh_door(door) as other:
        assert other.run(monitor, 0, 1) is None
        assert_same(door.views(WITHOUT), other.views(WITHOUT))
