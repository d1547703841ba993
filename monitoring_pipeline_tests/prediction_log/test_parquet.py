"""One table, one file, whole or not at all."""

from __future__ import annotations

from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from monitoring_pipeline.errors import UserError
from monitoring_pipeline.prediction_log.parquet import below, check_target, write_table

TABLE = pa.table({"n": list(range(5))})


@pytest.mark.parametrize("written", ["{0}/a/b", "{0}/a/b/", "file://{0}/a/b"])
def test_a_local_directory_however_written(tmp_path: Path, written: str) -> None:
    target = written.format(tmp_path)
    write_table(TABLE, target, "one")
    write_table(TABLE.slice(2), target, "one")
    assert pq.read_table(tmp_path / "a" / "b" / "one.parquet")["n"].to_pylist() == [2, 3, 4], "the later replaces"
    assert [p.name for p in (tmp_path / "a" / "b").iterdir()] == ["one.parquet"]


def test_another_file_system() -> None:
    filesystem = fsspec.filesystem("memory")
    write_table(TABLE, "memory://parquet/a", "one")
    write_table(TABLE.slice(2), "memory://parquet/a", "one")
    assert [Path(p).name for p in filesystem.ls("/parquet/a", detail=False)] == ["one.parquet"]
    with filesystem.open("/parquet/a/one.parquet") as file:
        assert pq.read_table(file)["n"].to_pylist() == [2, 3, 4]


@pytest.mark.parametrize("target", ["{0}", "memory://parquet/b"])
def test_what_fails_is_not_to_be_seen(tmp_path: Path, target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    target = target.format(tmp_path)
    write_table(TABLE, target, "one")

    def half(*arguments: object, **options: object) -> None:
        arguments[1].write(b"PAR1 half a fi")  # type: ignore[attr-defined]
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq, "write_table", half)
    with pytest.raises(OSError, match="No space left"):
        write_table(TABLE, target, "two")
    monkeypatch.undo()
    filesystem, root = fsspec.core.url_to_fs(target)
    assert [Path(p).name for p in filesystem.ls(root, detail=False)] == ["one.parquet"], "nothing takes up the room"


def test_paths_below() -> None:
    assert below("/a", "b", "c") == below("/a/", "b", "c") == "/a/b/c"
    assert below("s3://bucket/", "b") == "s3://bucket/b"
    assert fsspec.core.url_to_fs(below("memory://", "b"))[1] == "/b"


def test_a_url_that_nothing_can_write_to_is_said_before_it_matters() -> None:
    for good in ("/a/b", "relative", "memory://a", "file:///a"):
        check_target(good)
    for bad, why in {"s4://bucket": "s4", "hdfs2://x": "hdfs2"}.items():
        with pytest.raises(UserError, match=f"{bad}.*{why}.*local directory"):
            check_target(bad)
