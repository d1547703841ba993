"""Opening the warehouse: which database, how long to wait for it, what to say when it is not there."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg2
import pytest
from sqlalchemy import Connection, Engine, create_engine, make_url, text

from monitoring_pipeline.errors import WarehouseError
from monitoring_pipeline.settings import Settings
from monitoring_pipeline.warehouse import database
from monitoring_pipeline.warehouse.database import Warehouse, normalized
from monitoring_pipeline.warehouse.embedded import EmbeddedPostgres
from monitoring_pipeline.warehouse.migrations import migrate


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg2", "postgresql+psycopg"])
def test_every_spelling_of_postgres_is_taken(scheme: str) -> None:
    url = normalized(f"{scheme}://user:p%40ss@db.example:5433/figures?sslmode=require")
    assert (url.drivername, url.password, url.host, url.port) == ("postgresql+psycopg2", "p@ss", "db.example", 5433)
    assert url.query == {"sslmode": "require"}


@pytest.mark.parametrize(
    ("url", "complaint"),
    [("mysql://u@h/d", "only Postgres"), ("postgresql://u@h", "names no database"), ("not a url", "is not a URL")],
)
def test_other_urls_are_refused_with_what_to_write(url: str, complaint: str) -> None:
    with pytest.raises(WarehouseError, match=complaint):
        normalized(url)


def test_a_transaction_commits_at_its_end_and_not_on_an_error(any_warehouse: Warehouse) -> None:
    with any_warehouse.transaction() as conn:
        conn.execute(text("create table public.kept (n int)"))
    with pytest.raises(RuntimeError), any_warehouse.transaction() as conn:
        conn.execute(text("insert into public.kept values (1)"))
        raise RuntimeError
    with any_warehouse.transaction() as conn:
        assert conn.execute(text("select count(*) from public.kept")).scalar() == 0
        assert conn.execute(text("show timezone")).scalar() == "UTC"


def test_dagster_has_a_database_of_its_own(warehouse: Warehouse) -> None:
    assert make_url(warehouse.dagster_url).database == f"{make_url(warehouse.url).database}_dagster"
    engine = create_engine(warehouse.dagster_url)
    with engine.connect() as conn:
        assert conn.execute(text("select to_regnamespace('monitoring')")).scalar() is None
    engine.dispose()


def test_a_user_who_may_not_create_dagsters_database_is_told_the_statement(warehouse_url: str) -> None:
    owner = create_engine(warehouse_url)
    database = make_url(warehouse_url).database
    with owner.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        conn.exec_driver_sql(f"create role weak_{database} login password 'secret'")
        try:
            url = make_url(warehouse_url).set(username=f"weak_{database}", password="secret")
            with pytest.raises(WarehouseError, match=f'create database "{database}_dagster" owner weak_'):
                Warehouse.open(Settings(database_url=url.render_as_string(hide_password=False)))
        finally:
            conn.exec_driver_sql(f"drop role weak_{database}")
    owner.dispose()


def test_a_database_that_stays_away_is_waited_for_and_then_named() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    began = time.monotonic()
    with pytest.raises(WarehouseError) as caught:
        Warehouse.open(Settings(database_url=f"postgresql://u:hunter2@127.0.0.1:{port}/d"), patience=1)
    assert 0.8 < time.monotonic() - began < 10
    assert str(port) in str(caught.value)
    assert "DATABASE_URL" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_wrong_password_is_not_waited_for_nor_shown(warehouse_url: str) -> None:
    url = make_url(warehouse_url).set(password="hunter2").render_as_string(hide_password=False)
    began = time.monotonic()
    with pytest.raises(WarehouseError, match="password authentication failed") as caught:
        Warehouse.open(Settings(database_url=url), patience=20)
    assert time.monotonic() - began < 5
    assert "hunter2" not in str(caught.value)


def test_a_lost_connection_is_reported_and_nothing_is_half_written(warehouse: Warehouse) -> None:
    with warehouse.transaction() as conn:
        conn.execute(text("create table public.kept (n int)"))
    with pytest.raises(WarehouseError, match="nothing of this step was written"), warehouse.transaction() as conn:
        conn.execute(text("insert into public.kept values (1)"))
        _cut(warehouse, conn.execute(text("select pg_backend_pid()")).scalar_one())
        conn.execute(text("insert into public.kept values (2)"))
    with warehouse.transaction() as conn:
        assert conn.execute(text("select count(*) from public.kept")).scalar() == 0


def test_work_is_done_over_when_two_wait_for_each_other(warehouse: Warehouse) -> None:
    """As two monitors do that make the same months at the same time."""
    both, tried = threading.Barrier(2), []

    def work(conn: Connection, first: int) -> int:
        conn.execute(text("select pg_advisory_xact_lock(:n)"), {"n": first})
        tried.append(first)
        if len(tried) <= 2:
            both.wait(10)
        conn.execute(text("select pg_advisory_xact_lock(:n)"), {"n": 3 - first})
        return first

    with ThreadPoolExecutor(2) as pool:
        done = pool.map(lambda n: warehouse.run(lambda conn: work(conn, n)), (1, 2))
        assert sorted(done) == [1, 2]
    assert len(tried) == 3


def test_work_is_done_over_when_the_connection_is_lost(warehouse: Warehouse) -> None:
    attempts = []

    def work(conn: object) -> int:
        attempts.append(1)
        if len(attempts) == 1:
            _cut(warehouse, conn.execute(text("select pg_backend_pid()")).scalar_one())  # type: ignore[attr-defined]
        return conn.execute(text("select 42")).scalar_one()  # type: ignore[attr-defined]

    assert warehouse.run(work) == 42
    assert len(attempts) == 2


def test_the_embedded_server_is_brought_back_when_killed(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home of mine")
    with Warehouse.open(settings) as warehouse:
        assert warehouse.server is not None
        place = warehouse.server.status.place
        with warehouse.transaction() as conn:
            conn.execute(text("create table public.kept as select 1 as n"))
        warehouse.server.stop()
        with warehouse.transaction() as conn:
            assert conn.execute(text("select n from public.kept")).scalar() == 1
        with create_engine(warehouse.dagster_url).connect() as conn:
            assert conn.execute(text("select current_database()")).scalar() == "dagster"
    assert not EmbeddedPostgres(settings.home).status.running
    shutil.rmtree(place)


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    """A server of the test's own, running."""
    server = EmbeddedPostgres(tmp_path / "home").start()
    place = server.status.place
    yield server
    EmbeddedPostgres(tmp_path / "home").stop()
    shutil.rmtree(place)


def test_an_embedded_server_on_its_way_down_is_waited_for_and_begun_anew(own_server: EmbeddedPostgres) -> None:
    with _on_its_way_down(own_server), Warehouse.open(Settings(home=own_server.home.parent)) as warehouse:
        assert warehouse.run(lambda conn: conn.execute(text("select 42")).scalar()) == 42


def test_a_server_of_database_url_on_its_way_down_is_waited_for(own_server: EmbeddedPostgres) -> None:
    settings = Settings(database_url=own_server.url())
    with ThreadPoolExecutor() as pool, _on_its_way_down(own_server):
        opening = pool.submit(Warehouse.open, settings, patience=30)
        time.sleep(0.5)
        assert not opening.done()
        EmbeddedPostgres(own_server.home.parent).start()
        with opening.result(timeout=30) as warehouse:
            assert warehouse.run(lambda conn: conn.execute(text("select 42")).scalar()) == 42


def test_a_server_that_goes_away_while_the_schema_is_made_is_waited_for(own_server: EmbeddedPostgres) -> None:
    migrated = []

    def interrupted(engine: Engine) -> bool:
        migrated.append(1)
        if len(migrated) == 1:
            own_server.stop()
        return migrate(engine)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(database, "migrate", interrupted)
        with Warehouse.open(Settings(home=own_server.home.parent)) as warehouse, warehouse.transaction() as conn:
            assert conn.execute(text("select count(*) from monitoring.monitor")).scalar() == 0
    assert len(migrated) == 2


@contextlib.contextmanager
def _on_its_way_down(server: EmbeddedPostgres) -> Iterator[None]:
    """It waits for its last client, and tells all others "the database system is shutting down"."""
    url = server.url().replace("+psycopg2", "", 1)
    last_client = psycopg2.connect(url)
    pid = server.status.pid
    assert pid is not None
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + 10
    while True:
        try:
            psycopg2.connect(url).close()
        except psycopg2.OperationalError as error:
            assert "the database system is shutting down" in str(error)
            break
        assert time.monotonic() < deadline
    yield
    last_client.close()


def _cut(warehouse: Warehouse, pid: int) -> None:
    with warehouse.engine.connect() as other:
        other.execute(text("select pg_terminate_backend(:pid)"), {"pid": pid})
    time.sleep(0.1)
