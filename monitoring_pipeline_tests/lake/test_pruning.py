"""Deleting the lake files of windows: those and no others, on a disk and behind a URL."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import fsspec
import pytest

from monitoring_pipeline.lake.pruning import Files, remove_windows
from monitoring_pipeline.lake.store import join, window_directory

OLD, KEPT = datetime(2024, 3, 1, tzinfo=UTC), datetime(2024, 3, 2, tzinfo=UTC)
LATER = datetime.now(UTC) + timedelta(hours=1)
OF_OLD = (
    f"m/predictions/{window_directory(OLD)}/a.parquet",
    f"m/quarantine/{window_directory(OLD)}/a.parquet",
    f"m/labels/{window_directory(OLD)}/batch-1.parquet",
    f"m/labels/{window_directory(OLD)}/batch-2.parquet",
)
OTHERS = (
    f"m/predictions/{window_directory(KEPT)}/b.parquet",
    "m/labels/pending-batch-1.parquet",
    "m/quarantine/labels-batch-1.parquet",
    "m/reference/r.parquet",
    f"other/predictions/{window_directory(OLD)}/c.parquet",
)


@pytest.fixture(params=["disk", "url"])
def lake(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    root = str(tmp_path / "lake of mine") if request.param == "disk" else f"memory://{tmp_path.name}/lake"
    for path in (*OF_OLD, *OTHERS):
        with fsspec.open(join(root, path), "wb", auto_mkdir=True) as file:
            file.write(b"12345")
    yield root
    filesystem, inner = fsspec.core.url_to_fs(root)
    filesystem.rm(inner, recursive=True)


def lying_in(lake: str) -> set[str]:
    filesystem, inner = fsspec.core.url_to_fs(lake)
    return {path.split(inner.strip("/") + "/", 1)[1] for path in filesystem.find(inner)}


def test_all_of_a_window_goes_and_nothing_else(lake: str) -> None:
    announced = remove_windows(lake, "m", [OLD], LATER, dry_run=True)
    assert lying_in(lake) == {*OF_OLD, *OTHERS}
    assert remove_windows(lake, "m", [OLD], LATER) == announced == Files(len(OF_OLD), 5 * len(OF_OLD))
    assert lying_in(lake) == set(OTHERS)
    assert remove_windows(lake, "m", [OLD], LATER) == Files()


def test_what_was_just_written_stays(lake: str) -> None:
    assert remove_windows(lake, "m", [OLD], datetime.now(UTC) - timedelta(hours=1)) == Files()
    assert lying_in(lake) == {*OF_OLD, *OTHERS}


def test_a_monitor_without_a_lake_has_nothing_to_delete(tmp_path: Path) -> None:
    assert remove_windows(str(tmp_path / "no lake"), "m", [OLD], LATER) == Files()


def test_a_directory_with_a_young_file_stays(tmp_path: Path) -> None:
    directory = tmp_path / "m" / "predictions" / window_directory(OLD)
    directory.mkdir(parents=True)
    for name, age in (("old", 7200), ("young", 0)):
        (directory / name).touch()
        then = datetime.now(UTC).timestamp() - age
        os.utime(directory / name, (then, then))
    assert remove_windows(str(tmp_path), "m", [OLD], datetime.now(UTC) - timedelta(hours=1)) == Files(1, 0)
    assert [path.name for path in directory.iterdir()] == ["young"]
