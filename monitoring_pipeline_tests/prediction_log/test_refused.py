"""A segment that the sink takes no more: others pass it by, it is kept, and comes back by being renamed."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from monitoring_pipeline.prediction_log import attempts, shipper
from monitoring_pipeline.serving import Monitoring, SqlSink
from monitoring_pipeline_tests.prediction_log.test_log import Moody, eventually, names, put
from monitoring_pipeline_tests.serving.conftest import value
from monitoring_pipeline_tests.serving.reference import good_row

Make = Callable[..., Monitoring]


class Picky(Moody):
    """Refuses the segment in which a prediction ``poison`` stands."""

    def write(self, name: str, rows: Any) -> None:
        if "poison" in rows.ids and not self.cured:
            raise ValueError("no such letter")
        super().write(name, rows)

    cured = False


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "LONGEST_PAUSE", 0.02)
    monkeypatch.setattr(shipper, "ADOPTION_SECONDS", 0.05)


def spool(m: Monitoring) -> Path:
    assert m.log is not None
    return m.log.directory


def poisoned(make: Make, sink: Any) -> Monitoring:
    """One segment that is refused, and a segment a prediction behind it until it is set aside."""
    m = make(sink=sink, max_age=0.04)
    m.observe(good_row(), score=0.5, prediction_id="poison")
    eventually(lambda: value(m, "model_log_sink_failures_total"))
    i = 0

    def refused() -> bool:
        nonlocal i
        put(m, 1, i)
        i += 1
        eventually(lambda: value(m, "model_log_shipped_total") == i)
        return bool(list(spool(m).glob("*.refused")))

    eventually(refused, 20)
    return m


def test_it_blocks_no_other_is_kept_and_said(make: Make, lake: Path, caplog: pytest.LogCaptureFixture) -> None:
    m = poisoned(make, Picky(lake))
    found = names(lake)
    assert "poison" not in found and len(found) == len(set(found)) >= attempts.REFUSALS
    assert value(m, "model_log_refused_total") == 1
    assert value(m, "model_log_sink_up") == 1
    (file,) = spool(m).glob("*.refused")
    assert b"poison" in file.read_bytes()
    (said,) = [r.getMessage() for r in caplog.records if ".refused" in r.getMessage()]
    assert "no such letter" in said and f"rename the file to {file.stem}.sealed" in said
    m.close()
    assert file.exists(), "nobody deletes it"


def test_renamed_it_is_shipped_by_the_worker_that_wrote_it(make: Make, lake: Path) -> None:
    sink = Picky(lake)
    m = poisoned(make, sink)
    (file,) = spool(m).glob("*.refused")
    sink.cured = True
    file.rename(file.with_suffix(".sealed"))
    eventually(lambda: names(lake).count("poison") == 1)
    eventually(lambda: not list(spool(m).glob(f"{file.stem}.*")))
    on_disk = sum(p.stat().st_size for p in spool(m).glob("*.open"))
    assert m.log is not None and m.log._spool is not None
    assert (m.log.spool_bytes, m.log._spool.bytes_on_disk) == (0, on_disk), "the books are straight"


def test_renamed_it_is_shipped_by_a_worker_that_comes_later(make: Make, lake: Path) -> None:
    sink = Picky(lake)
    m = poisoned(make, sink)
    m.close()
    sink.cured = True
    (file,) = spool(m).glob("*.refused")
    later = make(sink=sink)
    assert "poison" not in names(lake), "not before somebody says so"
    file.rename(file.with_suffix(".sealed"))
    eventually(lambda: names(lake).count("poison") == 1)
    later.close()
    assert [p.name for p in spool(m).iterdir()] == []


def test_a_dead_workers_poisoned_segment_blocks_none_of_its_others(make: Make, lake: Path) -> None:
    sink = Moody(lake)
    sink.down = True
    dead = make(sink=sink, max_age=0.02)
    for name in ("poison", "after"):
        dead.observe(good_row(), score=0.5, prediction_id=name)
        eventually(lambda: len(list(spool(dead).glob("*.sealed"))) == (1 if name == "poison" else 2))  # noqa: B023
    dead.close(0.0)
    heir = make(sink=Picky(lake), max_age=0.04)

    def refused() -> bool:
        put(heir, 1)
        return bool(list(spool(heir).glob("*.refused")))

    eventually(refused, 20)
    assert "after" in names(lake) and "poison" not in names(lake)


def test_a_table_that_lost_a_column_takes_what_it_can(make: Make, tmp_path: Path) -> None:
    """Nothing fits any more: that is the sink's failure, nothing is set aside; mended, all of it arrives."""
    url, database = f"sqlite:///{tmp_path}/log.db", tmp_path / "log.db"
    m = make(sink=SqlSink(url, "predictions"), max_age=0.04)
    put(m, 1)
    eventually(lambda: value(m, "model_log_shipped_total") == 1)
    with sqlite3.connect(database) as db:
        db.execute("alter table predictions drop column x1")
    for i in range(1, 15):
        put(m, 1, i)
        failures = value(m, "model_log_sink_failures_total") or 0
        eventually(lambda n=failures: (value(m, "model_log_sink_failures_total") or 0) > n)
    assert value(m, "model_log_sink_up") == 0
    assert list(spool(m).glob("*.refused")) == []
    with sqlite3.connect(database) as db:
        db.execute("drop table predictions")
    eventually(lambda: value(m, "model_log_shipped_total") == 15)
    with sqlite3.connect(database) as db:
        assert db.execute("select count(*) from predictions").fetchone() == (14,), "made anew, with what came after"


def test_a_deleted_spool_file_is_said_and_holds_up_nothing(
    make: Make, lake: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sink = Moody(lake)
    sink.down = True
    m = make(sink=sink, max_age=0.04)
    put(m, 3)
    eventually(lambda: list(spool(m).glob("*.sealed")))
    before = m.log.spool_bytes if m.log else 0
    (file,) = spool(m).glob("*.sealed")
    size = file.stat().st_size
    file.unlink()
    sink.down = False
    eventually(lambda: value(m, "model_log_dropped_total", reason="deleted") == 3)
    assert m.log is not None and m.log.spool_bytes == before - size
    assert any("rows are lost" in r.getMessage() and r.levelno == logging.ERROR for r in caplog.records)
    put(m, 1, 10)
    eventually(lambda: names(lake) == ["p10"])
