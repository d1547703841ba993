"""Connections: bounded, in UTC, spilling apart from each other, leaving nothing behind."""

from __future__ import annotations

import os
import time

from monitoring_pipeline.lake import duck
from monitoring_pipeline.settings import Settings


def test_two_connections_spill_side_by_side_and_leave_nothing(tmp_path):
    settings = Settings(home=tmp_path, duckdb_memory_limit="60MB", duckdb_threads=1)
    heavy = "CREATE TEMP TABLE t AS SELECT i, hash(i) AS h, 'text ' || hash(i) AS s FROM range({n}) r(i)"
    with duck.connected(settings) as one, duck.connected(settings) as two:
        for connection, n in ((one, 2_000_000), (two, 2_100_000)):
            connection.execute(heavy.format(n=n))
        assert len(list((tmp_path / "tmp/duckdb").iterdir())) == 2, "both spilled"
        for connection, n in ((one, 2_000_000), (two, 2_100_000)):
            wrong = "SELECT count(*), count(*) FILTER (h != hash(i) OR s != 'text ' || hash(i)) FROM t"
            assert connection.execute(wrong).fetchone() == (n, 0)
    assert list((tmp_path / "tmp/duckdb").iterdir()) == []


def test_leftovers_of_killed_processes_go_after_a_day(tmp_path):
    settings = Settings(home=tmp_path)
    old, young = (duck.scratch(settings, "staging") / name for name in ("old", "young"))
    for directory in (old, young):
        directory.mkdir()
    os.utime(old, (time.time() - 90_000,) * 2)
    duck.scratch(settings, "staging")
    assert young.exists() and not old.exists()


def test_quoting_survives_anything():
    for name in ['"; drop table x; --', "it's", 'a""b', "ü\n"]:
        assert duck.duckdb.sql(f"SELECT {duck.literal(name)} AS {duck.identifier(name)}").fetchall() == [(name,)]
        assert duck.duckdb.sql(f"SELECT 1 AS {duck.identifier(name)}").columns == [name]
