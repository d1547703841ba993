"""What a scan is cut into adds up to the scan; here without a cluster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from monitoring_pipeline.engines.duckdb import DuckDBEngine
from monitoring_pipeline.engines.merging import merged_by_key
from monitoring_pipeline.engines.spark import tasks
from monitoring_pipeline.engines.spark.tasks import files_to_cut, tasks_of
from monitoring_pipeline.lake.row_groups import row_groups
from monitoring_pipeline.lake.scan import ReferenceRows, Scan
from monitoring_pipeline.profiles.parts import PARTS
from monitoring_pipeline_tests import toy
from monitoring_pipeline_tests.engines.scans import assert_equal, cut, in_row_groups, one_large_file, scan_of
from monitoring_pipeline_tests.engines.scans import reference_scan as sliced_reference
from monitoring_pipeline_tests.front_door import FrontDoor

DAYS = 2


@pytest.fixture(autouse=True)
def small_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "ROWS_A_TASK", 200)


def assert_adds_up(door: FrontDoor, scan: Scan, pieces: Sequence[Scan], days: int = DAYS) -> None:
    engine, (_, layouts) = DuckDBEngine(door.settings), scan_of(door, scan.monitor, days)
    arguments = (layouts, scan.monitor.segment_keys, frozenset(PARTS))
    in_pieces = [one for piece in pieces for one in engine.profile(piece, *arguments)]
    assert_equal(merged_by_key(in_pieces), engine.profile(scan, *arguments))


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_a_large_file_and_its_reference_are_cut_by_row_groups(door: FrontDoor, task: toy.Task) -> None:
    monitor = one_large_file(door, task, DAYS)
    assert door.run(monitor, 0, DAYS - 1) is None
    scan, _ = scan_of(door, monitor, DAYS)
    for one in (scan, sliced_reference(door, monitor)):
        pieces = cut(door, one)
        assert len(pieces) >= 4
        assert all(piece.row_range is not None and piece.row_range[1] - piece.row_range[0] <= 200 for piece in pieces)
        assert_adds_up(door, one, pieces)


def test_text_is_cut_as_the_copy_in_the_lake(door: FrontDoor) -> None:
    it = toy.Toy(door.base)
    log = it.rows(0, 500)
    (door.base / "log").mkdir(exist_ok=True)
    log.drop(columns="y").to_csv(door.base / "log" / "all.csv", index=False)
    it.write_labels(log, "all")
    it.write_reference().unlink()
    it.rows(-9, 600).to_csv(door.base / "reference.csv", index=False)
    reference = it.declaration()["reference"] | {"path": "../reference.csv"}
    monitor = it.declare(predictions={"path": "../log/*.csv"}, reference=reference)
    assert door.run(monitor, 0, 0) is None
    scan, _ = scan_of(door, monitor, 1)
    in_row_groups(scan.windows[0].files[0])
    pieces = cut(door, scan)
    assert len(pieces) == 3
    assert_adds_up(door, scan, pieces, 1)
    of_reference = sliced_reference(door, monitor)
    in_row_groups(of_reference.files[0])
    assert len(cut(door, of_reference)) == 4
    assert_adds_up(door, of_reference, cut(door, of_reference), 1)


def test_a_window_that_lost_duplicates_is_one_task(door: FrontDoor) -> None:
    it, _ = toy.ready(door.base, 1)
    it.write_log(it.rows(0), "again")
    monitor = it.declare(predictions={"path": "../log/*.parquet", "immutable": True})
    assert door.run(monitor, 0, 0) is None
    scan, _ = scan_of(door, monitor, 1)
    assert scan.windows[0].n_duplicates
    assert files_to_cut(scan) == []
    assert [one.files for one in cut(door, scan)] == [scan.files]


def test_small_windows_share_a_task_and_large_ones_do_not(door: FrontDoor) -> None:
    _, monitor = toy.ready(door.base, 1)
    assert door.run(monitor, 0, 0) is None
    scan, _ = scan_of(door, monitor, 1)
    windows = []
    for i, n in enumerate((90, 100, 50, 900)):
        start, length = scan.windows[0].window.start, timedelta(days=i)
        window = replace(scan.windows[0].window, start=start + length, end=start + length + timedelta(days=1))
        windows.append(replace(scan.windows[0], window=window, n_rows=n, files=(f"{i}.parquet",)))
    scan = replace(scan, windows=tuple(windows))
    assert files_to_cut(scan) == ["3.parquet"]
    found = [(one.files, one.row_range) for one in tasks_of(scan, {"3.parquet": [150, 50, 400, 300]})]
    assert found == [
        (("0.parquet", "1.parquet"), None),
        (("2.parquet",), None),
        (("3.parquet",), (0, 200)),
        (("3.parquet",), (200, 600)),
        (("3.parquet",), (600, 900)),
    ]


def test_files_of_a_reference_share_tasks(door: FrontDoor) -> None:
    monitor = toy.Toy(door.base).declare()
    scan = Scan(monitor, reference=ReferenceRows(("a", "b", "c", "d")))
    found = tasks_of(scan, {"a": [100], "b": [150], "c": [150, 150], "d": [40]})
    assert [(one.files, one.row_range) for one in found] == [
        (("a",), None), (("c",), (0, 150)), (("c",), (150, 300)), (("b", "d"), None),
    ]  # fmt: skip


def test_a_range_of_rows_is_of_one_file(door: FrontDoor) -> None:
    monitor = toy.Toy(door.base).declare()
    with pytest.raises(ValueError, match="of one file, not of 2"):
        Scan(monitor, reference=ReferenceRows(("a", "b")), row_range=(0, 5))


def test_a_broken_file_has_no_row_groups_and_the_others_do(door: FrontDoor) -> None:
    it = toy.Toy(door.base)
    good = it.write_reference(it.rows(-1, 20))
    broken = door.base / "broken.parquet"
    broken.write_bytes(b"PAR1")
    assert row_groups(door.settings, [str(broken), str(good)]) == {str(good): [20]}
