"""Log files that are deleted, renamed or replaced after they were taken in, as retention and rotation do."""

from __future__ import annotations

import logging

import pytest

from monitoring_pipeline_tests.front_door import FrontDoor, assert_same
from monitoring_pipeline_tests.toy import START, ready


def test_what_was_taken_in_of_a_deleted_file_stays(door: FrontDoor, caplog: pytest.LogCaptureFixture) -> None:
    it, monitor = ready(door.base, 3, labelled=False)
    assert door.run(monitor, 0, 1) is None
    said = door.views()
    it.log_path(0).unlink()
    with caplog.at_level(logging.INFO):
        assert door.run(monitor, 0, 1) is None
    assert f"1 files of toy were deleted; what was taken in stays: {it.log_path(0)}" in caplog.text
    assert_same(door.views(), said)
    assert door.query("select * from monitoring.stale_window").empty
    caplog.clear()
    with caplog.at_level(logging.INFO):
        assert door.run(monitor, 0, 1) is None
    assert "deleted" not in caplog.text, "it is said once"

    it.log_path(1).rename(door.base / "log" / f"{START}-again.parquet")
    assert door.run(monitor, 0, 1) is None
    assert door.query("select n_rows from monitoring.prediction_window order by window_start")["n_rows"].tolist() == [
        300,
        300,
    ]

    it.write_log(it.rows(0).tail(20).assign(id=lambda rows: "late-" + rows["id"]), "late")
    failed = door.run(monitor, 0, 1)
    assert failed is not None and "rows came that belong beside its rows; restore the file" in failed
    assert "2024-03-01" in failed and "2024-03-02" not in failed
