"""The log's promises: shipped once, kept when the sink is gone, loud when full, adopted when its worker died."""

from __future__ import annotations

import logging
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from monitoring_pipeline.prediction_log import attempts, shipper, sinks
from monitoring_pipeline.prediction_log.decoding import decode_rows
from monitoring_pipeline.prediction_log.segment import Segment, SegmentContent
from monitoring_pipeline.prediction_log.spool import GroupCommit
from monitoring_pipeline.serving import Monitoring, ParquetSink, PredictionLogError, SqlSink
from monitoring_pipeline_tests.serving.conftest import logged, value
from monitoring_pipeline_tests.serving.reference import good_row, reference_document
from monitoring_pipeline_tests.serving.small_disk import small_disk_at

Make = Callable[..., Monitoring]


def eventually(true: Callable[[], Any], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "did not come true in time"
        time.sleep(0.02)


class Moody(ParquetSink):
    """A sink that is down while ``down`` is set."""

    down = False
    attempts = 0

    def write(self, name: str, rows: Any) -> None:
        self.attempts += 1
        if self.down:
            raise ConnectionError("the lake is away")
        super().write(name, rows)


def names(lake: Path) -> list[str]:
    return [r["prediction_id"] for r in logged(lake)]


def put(m: Monitoring, n: int, start: int = 0) -> None:
    for i in range(start, start + n):
        m.observe(good_row(i), score=0.5, prediction_id=f"p{i}")


def test_age_ships_a_segment_that_is_not_full(make: Make, lake: Path) -> None:
    m = make(max_age=0.2)
    put(m, 3)
    eventually(lambda: value(m, "model_log_shipped_total") == 3)
    assert names(lake) == ["p0", "p1", "p2"]
    eventually(lambda: value(m, "model_log_oldest_seconds") == 0)


def test_size_rotates(make: Make, lake: Path) -> None:
    m = make(segment_bytes=20_000)
    put(m, 2000)
    m.close()
    assert len(list(lake.glob("*.parquet"))) > 5
    assert sorted(names(lake)) == sorted(f"p{i}" for i in range(2000))


def test_a_batch_larger_than_a_segment(make: Make, lake: Path) -> None:
    m = make(segment_bytes=20_000)
    ids = [f"b{i}" for i in range(5000)]
    rows = [{**good_row(i), "c0": f"new{i}"} for i in range(5000)]
    m.wrap(lambda rows: np.full(len(rows), 0.5))(rows, prediction_id=ids)
    m.close()
    found = {r["prediction_id"]: r["c0"] for r in logged(lake)}
    assert found == {f"b{i}": f"new{i}" for i in range(5000)}


def test_generated_ids_of_a_large_batch_are_distinct(make: Make, lake: Path) -> None:
    m = make(segment_bytes=20_000)
    m.wrap(lambda rows: np.full(len(rows), 0.5))([good_row()] * 5000)
    m.close()
    assert len(set(names(lake))) == len(names(lake)) == 5000


def test_the_sink_is_away_and_comes_back(make: Make, lake: Path, caplog: pytest.LogCaptureFixture) -> None:
    sink = Moody(lake)
    sink.down = True
    m = make(sink=sink, max_age=0.1, segment_bytes=20_000)
    put(m, 500)
    eventually(lambda: value(m, "model_log_sink_up") == 0)
    assert (value(m, "model_log_shipped_total") or 0) == 0
    assert value(m, "model_log_spooled_total") == 500
    assert (value(m, "model_log_oldest_seconds") or 0) > 0
    put(m, 500, 500)
    sink.down = False
    eventually(lambda: value(m, "model_log_shipped_total") == 1000)
    assert value(m, "model_log_sink_up") == 1
    assert sorted(names(lake)) == sorted(f"p{i}" for i in range(1000))
    complaints = [r for r in caplog.records if "the lake is away" in r.getMessage()]
    assert 1 <= len(complaints) <= 2, "said, and not with every attempt"


def test_the_age_of_what_waits_goes_by_no_clock_that_can_be_set(make: Make, lake: Path) -> None:
    sink = Moody(lake)
    sink.down = True
    m = make(sink=sink, max_age=0.2)
    put(m, 1)
    spool = m.log.directory  # type: ignore[union-attr]
    eventually(lambda: list(spool.glob("*.sealed")))
    (file,) = spool.glob("*.sealed")
    for moment in (0, time.time() + 1e6):  # what a clock leaves behind that was set forward, or back
        os.utime(file, (moment, moment))
        assert 0.2 <= (value(m, "model_log_oldest_seconds") or 0) < 10
    sink.down = False
    eventually(lambda: value(m, "model_log_oldest_seconds") == 0)


def test_what_cannot_be_deleted_is_shipped_once_and_deleted_when_it_can(
    make: Make, lake: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real, locked = Path.unlink, True

    def unlink(path: Path, missing_ok: bool = False) -> None:
        if locked and path.suffix == ".sealed":
            raise PermissionError(13, "Permission denied", str(path))
        real(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", unlink)
    m = make(sink=(sink := Moody(lake)), max_age=0.05)
    put(m, 3)
    eventually(lambda: "Permission denied" in caplog.text)
    time.sleep(0.3)
    assert (sink.attempts, value(m, "model_log_shipped_total"), value(m, "model_log_oldest_seconds")) == (1, 3, 0)
    (left,) = m.log.directory.glob("*.sealed")  # type: ignore[union-attr]
    before, size = value(m, "model_log_spool_bytes") or 0, left.stat().st_size
    locked = False
    eventually(lambda: not left.exists())
    eventually(lambda: value(m, "model_log_spool_bytes") == before - size)


def test_a_sink_that_hangs_holds_up_no_request(make: Make, lake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mended = threading.Event()
    monkeypatch.setattr(shipper, "HANGS_SECONDS", 0.5)

    class Hanging(ParquetSink):
        def write(self, name: str, rows: Any) -> None:
            assert mended.wait(30)
            super().write(name, rows)

    m = make(sink=Hanging(lake), max_age=0.1, segment_bytes=20_000)
    durations, start = [], time.monotonic()
    for i in range(300):  # over a second and a half, some ten segments
        before = time.perf_counter()
        put(m, 1, i)
        durations.append(time.perf_counter() - before)
        time.sleep(max(0.0, start + 0.005 * (i + 1) - time.monotonic()))
    assert value(m, "model_log_shipped_total") in (None, 0)
    assert value(m, "model_log_sink_up") == 0, "it has not answered for a while"
    assert sorted(durations)[int(0.99 * len(durations))] < 0.1, "no request waits for the sink"
    mended.set()
    eventually(lambda: value(m, "model_log_shipped_total") == 300)
    assert value(m, "model_log_sink_up") == 1
    assert sorted(names(lake)) == sorted(f"p{i}" for i in range(300))


def test_what_is_shipped_twice_is_there_once(make: Make, lake: Path) -> None:
    """Death between the rename in the lake and the deletion of the segment."""
    m = make(max_age=60.0)
    put(m, 10)
    spool = m.log.directory  # type: ignore[union-attr]
    segment = next(p for p in spool.glob("*.open") if b"p9" in p.read_bytes())
    dead = spool / f"99999-dead0000-{segment.stem[-8:]}.open"
    dead.write_bytes(segment.read_bytes())
    m.close()
    for _ in range(2):
        dead.exists() or dead.write_bytes(b"")
        m2 = make()
        eventually(lambda: not dead.exists())
        m2.close()
    files = [f.name for f in lake.glob("99999-*")]
    assert files == [f"{dead.stem}.parquet"]


def test_a_dead_workers_files_are_adopted_a_live_ones_are_not(make: Make, lake: Path) -> None:
    alive = make(max_age=60.0)
    put(alive, 5)
    orphan = subprocess.run(
        ["python3", "-c", "import os; print(os.getpid())"], capture_output=True, text=True, check=True
    ).stdout.strip()
    spool = alive.log.directory  # type: ignore[union-attr]
    dead = Segment(spool / f"{orphan}-0badf00d-00000001.open", 100_000, alive.schema.to_bytes())
    _, body = alive._capture.one(good_row(), alive_answer(alive), b"Torphan", 0, 0.0)
    dead.append(body, 1)
    other = make(max_age=60.0)
    eventually(lambda: names(lake) == ["orphan"])
    eventually(lambda: list(spool.glob(f"{orphan}-*")) == [])
    other.close()
    assert names(lake) == ["orphan"], "the live worker's rows are its own business"


def alive_answer(m: Monitoring) -> Any:
    from monitoring_pipeline.serving.output import Output

    return Output(m.reference.layout, m.schema).one(0.5)


@pytest.mark.parametrize("damage", ["garbage tail", "torn tail", "flipped in the middle", "schema"])
def test_a_damaged_file_gives_its_good_rows(
    make: Make, lake: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    m = make(max_age=60.0)
    put(m, 100)
    spool = m.log.directory  # type: ignore[union-attr]
    data = next(p.read_bytes() for p in spool.glob("*.open") if b"p99" in p.read_bytes()).rstrip(b"\0")
    m.close()
    for f in lake.glob("*"):
        f.unlink()
    at = data.index(b"Tp50")
    lost = {"garbage tail": 0, "torn tail": 1, "flipped in the middle": 1, "schema": 100}[damage]
    data = {
        "garbage tail": data + os.urandom(500),
        "torn tail": data[:-7] + bytes(7),
        "flipped in the middle": data[:at] + b"\xff" + data[at + 1 :],
        "schema": data[:40] + b"\xff\xff" + data[42:],
    }[damage]
    (spool / "99999-dead0000-00000001.sealed").write_bytes(data + (bytes(5000) if damage != "garbage tail" else b""))
    m = make()
    eventually(lambda: not list(spool.glob("99999-*.sealed")))
    assert len(names(lake)) == 100 - lost
    corrupt = list(spool.glob("*.corrupt"))
    assert len(corrupt) == (2 if damage == "schema" else 1)
    assert (value(m, "model_log_corrupt_total") or 0) >= 1
    assert any(".corrupt" in r.getMessage() and r.levelno == logging.ERROR for r in caplog.records)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk_at(tmp_path / "disk", 2) as place:
        yield place


def full_log(small_disk: Path, sink: Any, **options: Any) -> Monitoring:
    from monitoring_pipeline.serving import PredictionLog

    log = PredictionLog(small_disk / "spool", sink, segment_bytes=100_000, max_age=60.0, **options)
    return Monitoring(reference_document(), log)


def test_full_disk_block_refuses_rather_than_loses(small_disk: Path, lake: Path) -> None:
    sink = Moody(lake)
    sink.down = True
    m = full_log(small_disk, sink, on_full="block", block_timeout=0.05)
    answered = []
    with pytest.raises(PredictionLogError, match=r"full \(No space left on device\).*not be answered"):
        for i in range(100_000):
            m.observe(good_row(i), prediction_id=f"p{i}")
            answered.append(f"p{i}")
    assert len(answered) > 1000
    assert (value(m, "model_prediction_errors_total", error="PredictionLogError") or 0) == 1
    sink.down = False
    eventually(lambda: m.log is not None and m.log.sink_up and m.log.spool_bytes < 500_000, 20)
    m.observe(good_row(), prediction_id="later")
    m.close()
    assert set(names(lake)) == {*answered, "later"} and len(names(lake)) == len(answered) + 1


def test_full_disk_drop_oldest_keeps_the_newest_and_counts_the_rest(
    small_disk: Path, lake: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sink = Moody(lake)
    sink.down = True
    m = full_log(small_disk, sink, on_full="drop_oldest")
    n = 30_000
    put(m, n)
    dropped = sum(value(m, "model_log_dropped_total", reason=r) or 0 for r in ("drop_oldest", "spool_full"))
    assert 0 < dropped < n
    assert any("dropped" in r.getMessage() for r in caplog.records)
    sink.down = False
    m.close(20.0)
    found = names(lake)
    assert len(found) == len(set(found)) == n - dropped
    missing = {int(name[1:]) for name in {f"p{i}" for i in range(n)} - set(found)}
    assert max(missing) < n - 5000, "the newest are kept"


def test_a_limit_on_the_size_of_files_is_met_by_policy(tmp_path: Path) -> None:
    """What an account that may not mount sees of a full disk: EFBIG."""
    code = f"""
import resource
from monitoring_pipeline.serving import *
from monitoring_pipeline_tests.serving.reference import *
log = PredictionLog({str(tmp_path / "spool")!r}, ParquetSink({str(tmp_path)!r}), block_timeout=0.01)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    Monitoring(reference_document(), log).observe(good_row())
except PredictionLogError as error:
    print("refused", error)
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.startswith("refused") and "File too large" in found.stdout


def test_the_spools_own_budget_is_a_full_disk(make: Make, lake: Path) -> None:
    sink = Moody(lake)
    sink.down = True
    m = make(sink=sink, segment_bytes=50_000, max_spool_bytes=200_000, block_timeout=0.01)
    with pytest.raises(PredictionLogError, match="budget"):
        put(m, 10_000)


def test_a_spool_that_cannot_be_made_is_said_at_once(tmp_path: Path, lake: Path, make: Make) -> None:
    (tmp_path / "spool").write_text("a file")
    with pytest.raises(PredictionLogError, match="writable directory"):
        make()


@pytest.mark.parametrize("threads", [1, 8])
def test_power_durability_syncs_before_it_returns(
    make: Make, lake: Path, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from concurrent.futures import ThreadPoolExecutor

    synced: list[int] = []
    real = Segment.sync

    def sync(self: Segment) -> None:
        real(self)
        time.sleep(0.002)
        synced.append(self.n_rows)

    monkeypatch.setattr(Segment, "sync", sync)
    m = make(durability="power")
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda i: m.observe(good_row(i), prediction_id=f"p{i}"), range(80)))
    assert synced[-1] == 80
    assert len(synced) == 80 if threads == 1 else len(synced) < 60, "waiting requests share a sync"
    m.close()
    assert len(names(lake)) == 80


@pytest.mark.parametrize(("durability", "wanted"), [("power", True), ("process", False)])
def test_the_name_of_a_spool_file_is_on_the_device_before_a_row_is(
    make: Make, durability: str, wanted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    monkeypatch.setattr("monitoring_pipeline.prediction_log.spool.sync_directory", synced.append)
    m = make(durability=durability)
    put(m, 1)
    assert (m.log.directory in synced) is wanted  # type: ignore[union-attr]


def test_a_device_that_refuses_to_sync_is_not_hidden(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def sync(self: Segment) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Segment, "sync", sync)
    with pytest.raises(PredictionLogError, match="not durable"):
        put(make(durability="power"), 1)


def test_a_sync_that_failed_is_told_to_those_who_waited_for_it_and_to_no_other() -> None:
    """Neither to the next, nor forgotten by the next before the first has woken."""
    failures: list[OSError | None] = [OSError(5, "Input/output error"), None]
    commit = GroupCommit(lambda: [])
    commit._sync_all = lambda: failures.pop(0)  # type: ignore[method-assign]
    first = commit.ticket()
    eventually(lambda: first.done)
    second = commit.ticket()
    eventually(lambda: second.done)
    commit.wait(second)
    with pytest.raises(PredictionLogError, match=r"Input/output error.*not durable"):
        commit.wait(first)
    commit.stop()


def test_rows_of_a_sql_table(make: Make, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/log.db"
    m = make(sink=SqlSink(url, "predictions"))
    m.observe({**good_row(), "x0": None, "c0": 'Robert"); DROP TABLE'}, score=0.5, prediction_id="a", event_time=0)
    m.close()
    again = make(sink=SqlSink(url, "predictions"))
    again.observe(good_row(), score=0.9, prediction_id="a")
    again.observe(good_row(), score=0.9, prediction_id="b")
    again.close()
    with sqlite3.connect(tmp_path / "log.db") as db:
        rows = db.execute("select prediction_id, x0, c0, chance, predicted from predictions order by 1").fetchall()
    assert rows == [("a", None, 'Robert"); DROP TABLE', 0.5, "1"), ("b", 0.0, "AA", 0.9, "1")]


def test_rows_of_a_postgres_table(make: Make, warehouse_url: str) -> None:
    import psycopg2

    plain = warehouse_url.replace("+psycopg2", "")
    with psycopg2.connect(plain) as db, db.cursor() as cursor:
        cursor.execute("create schema serving")
    for _ in range(2):
        m = make(sink=SqlSink(warehouse_url, "serving.predictions"))
        m.observe({**good_row(), "x0": float("nan"), "c0": "a\0b"}, score=0.5, prediction_id="a", event_time=1.5)
        m.close()
    with psycopg2.connect(plain) as db, db.cursor() as cursor:
        cursor.execute("select prediction_id, event_time, x0, c0, late from serving.predictions")
        ((name, moment, x0, c0, late),) = cursor.fetchall()
    assert (name, moment, c0, late) == ("a", datetime(1970, 1, 1, 0, 0, 1, 500_000, UTC), "a\ufffdb", "true")
    assert np.isnan(x0)


def test_a_postgres_table_that_is_locked_altered_or_dropped(
    make: Make, warehouse_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import psycopg2

    monkeypatch.setitem(sinks.POSTGRES, "options", "-c lock_timeout=200ms")
    monkeypatch.setattr(attempts, "LONGEST_PAUSE", 0.1)
    m = make(sink=SqlSink(warehouse_url, "predictions"), max_age=0.05)
    put(m, 1)
    eventually(lambda: value(m, "model_log_shipped_total") == 1)
    other = psycopg2.connect(warehouse_url.replace("+psycopg2", ""))
    troubles = [
        ("lock table predictions in access exclusive mode", "rollback"),
        ("truncate predictions; alter table predictions add extra int not null", "alter table predictions drop extra"),
        ("alter table predictions drop constraint predictions_pkey",
         "alter table predictions add primary key (prediction_id)"),
        ("alter table predictions rename x0 to y0", "alter table predictions rename y0 to x0"),
    ]  # fmt: skip
    with other.cursor() as cursor:
        for number, (trouble, remedy) in enumerate(troubles, 1):
            other.commit()
            cursor.execute(trouble)
            if "lock" not in trouble:
                other.commit()
            put(m, 1, number)
            eventually(lambda: value(m, "model_log_sink_up") == 0)
            cursor.execute(remedy)
            other.commit()
            eventually(lambda n=number: value(m, "model_log_shipped_total") == n + 1)
            assert value(m, "model_log_sink_up") == 1
        cursor.execute("drop table predictions")
        other.commit()
        put(m, 1, 9)
        eventually(lambda: value(m, "model_log_shipped_total") == 6)
        cursor.execute("select prediction_id from predictions")
        assert cursor.fetchall() == [("p9",)]
    other.close()


def test_an_fsspec_url(make: Make) -> None:
    import fsspec
    import pyarrow.parquet as pq

    m = make(sink=ParquetSink("memory://lake/flights"))
    put(m, 7)
    m.close()
    fs = fsspec.filesystem("memory")
    (found,) = fs.glob("/lake/flights/*.parquet")
    with fs.open(found) as file:
        assert pq.read_table(file).num_rows == 7


@pytest.mark.parametrize("body", [b"short", b"\xff" * 40, b""])
def test_an_intact_frame_that_is_no_row_is_not_laid_to_the_sink(make: Make, lake: Path, body: bytes) -> None:
    schema = make().schema.to_bytes()
    assert decode_rows(schema, [body]).rows is None and decode_rows(schema, [body]).unreadable
    assert decode_rows(body, []).unreadable


def test_sealing_that_fails_is_tried_again_and_touches_no_other_file(tmp_path: Path) -> None:
    """Its descriptor is closed once: the number may belong to another file by the second try."""
    (tmp_path / "a").mkdir()
    segment = Segment(tmp_path / "a" / "w-1.open", 10_000, b"{}")
    segment.append(b"body", 1)
    (tmp_path / "a").rename(tmp_path / "b")
    with pytest.raises(FileNotFoundError):
        segment.seal(sync=True)
    with (tmp_path / "other").open("wb") as other:
        other.write(b"x" * 50_000)
        other.flush()
        (tmp_path / "b").rename(tmp_path / "a")
        segment.seal(sync=True)
        os.fstat(other.fileno())
    assert (tmp_path / "other").stat().st_size == 50_000
    assert SegmentContent(tmp_path / "a" / "w-1.sealed").bodies == [b"body"]


def test_what_another_monitors_worker_left_is_not_shipped_to_this_ones_sink(
    make: Make, lake: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sink = Moody(lake)
    sink.down = True
    other = make(reference_document() | {"monitor": "other"}, sink=sink)
    put(other, 2)
    other.close(0.0)
    (left,) = other.log.directory.glob("*.sealed")  # type: ignore[union-attr]
    mine = make()
    eventually(lambda: "is of another monitor" in caplog.text)
    put(mine, 1, 10)
    mine.close()
    assert names(lake) == ["p10"] and left.exists()
    elsewhere = tmp_path / "its own lake"
    make(reference_document() | {"monitor": "other", "model_version": "next"}, sink=ParquetSink(elsewhere))
    eventually(lambda: names(elsewhere) == ["p0", "p1"])
    eventually(lambda: not left.exists())
