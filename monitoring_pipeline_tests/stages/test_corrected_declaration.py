"""A declaration that was wrong at first: once it is corrected, figures are those of a start with the right one."""

from __future__ import annotations

import logging

import pandas as pd
import pytest

from monitoring_pipeline_tests.front_door import FrontDoor, assert_same, fresh_door
from monitoring_pipeline_tests.toy import N_ROWS, Toy, ready

FIGURES = ("drift_current", "quality_current", "performance_current")


def test_the_same_files_are_read_again(door: FrontDoor) -> None:
    """The files have not changed, but what their times and outcomes mean has."""
    it, right = ready(door.base, 2)
    schema = it.declaration()["schema"] | {"timezone": "Pacific/Honolulu"}
    truth = it.declaration()["ground_truth"]
    assert door.run(it.declare(schema=schema, ground_truth=truth | {"outcome": "known"}), 0, 1) is None
    it.declared.clear()
    assert it.declare() == right
    assert door.run(right, 0, 1) is None
    corrected = door.views()
    with fresh_door(door) as other:
        assert other.run(right, 0, 1) is None
        fresh = other.views()
    assert_same({view: corrected[view] for view in FIGURES}, {view: fresh[view] for view in FIGURES})


def test_a_column_that_a_file_lacked_by_mistake(door: FrontDoor) -> None:
    it, right = ready(door.base, 1)
    truth = it.declaration()["ground_truth"]
    assert door.run(it.declare(ground_truth=truth | {"outcome": "label"}), 0) is None
    labelled = "select n_labelled from monitoring.window_status"
    assert door.query(labelled).iat[0, 0] == 0
    it.declared.clear()
    assert door.run(it.declare(), 0) is None
    assert door.query(labelled).iat[0, 0] == 300
    batches = "select count(*) from monitoring.label_batch"
    assert door.query(batches).iat[0, 0] == 1
    assert door.run(right, 0) is None
    assert door.query(batches).iat[0, 0] == 1


def test_rows_that_are_left_out_are_told(door: FrontDoor, caplog: pytest.LogCaptureFixture) -> None:
    it, monitor = ready(door.base, 1)
    late = it.rows(0, 20)
    it.write_log(late.assign(id="z" + late["id"], at="31/03/2024 10:00"), "other")
    it.write_labels(late.assign(y=float("nan")), "other")
    with caplog.at_level(logging.WARNING):
        assert door.run(monitor, 0) is None
    assert "other.parquet of toy: 20 of 20 rows belong to no window" in caplog.text
    assert "(such as '31/03/2024 10:00')" in caplog.text
    assert "20 of 320 labels of toy are skipped: 20 × no outcome" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        assert door.run(monitor, 0) is None
    assert "skipped" not in caplog.text


def test_ids_that_one_file_writes_as_numbers_with_a_point_are_joined(
    door: FrontDoor, caplog: pytest.LogCaptureFixture
) -> None:
    """As pandas writes a column of whole numbers with one gap."""
    it = Toy(door.base)
    it.write_reference()
    rows = it.rows(0).assign(id=range(1_000_000, 1_000_000 + N_ROWS))
    it.write_log(rows, "log")
    labels = pd.DataFrame({"id": rows["id"].astype(float), "y": rows["y"], "known": rows["at"]})
    labels.loc[len(labels)] = [None, 1, None]
    (door.base / "truth").mkdir()
    labels.to_csv(door.base / "truth" / "labels.csv", index=False)
    truth = it.declaration()["ground_truth"] | {"path": "../truth/*.csv"}
    monitor = it.declare(ground_truth=truth)
    with caplog.at_level(logging.WARNING):
        assert door.run(monitor, 0) is None
    assert door.query("select coverage from monitoring.window_status")["coverage"].tolist() == [1.0]
    assert "have a prediction" not in caplog.text

    caplog.clear()
    others = labels.dropna().assign(id=lambda frame: "x" + frame["id"].astype(str))
    pd.concat([others, labels.head(100)]).to_csv(door.base / "truth" / "others.csv", index=False)
    with caplog.at_level(logging.WARNING):
        assert door.run(monitor, 0) is None
    assert "only 100 of 400 labels of toy have a prediction among the windows taken in" in caplog.text
