"""Fixtures that several rooms share: real Postgres servers for the session, a fresh database for each test."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest
from sqlalchemy import create_engine, make_url

from monitoring_pipeline.settings import Settings
from monitoring_pipeline.warehouse.database import Warehouse
from monitoring_pipeline.warehouse.embedded import EmbeddedPostgres
from monitoring_pipeline.warehouse.migrations import migrate

DEBIAN_BINARIES = Path("/usr/lib/postgresql/15/bin")
# What a test left behind goes; the schema stays. Deleting a few rows is quicker than truncating thirty tables. Months
# of partitioned tables go when there are many: each makes every later query, and this, slower to plan.
EMPTY = """
select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid();
set session_replication_role = replica;
do $$
declare name text;
  months text[] := array(select inhrelid::regclass::text from pg_inherits join pg_class on oid = inhrelid
    where relnamespace = 'monitoring'::regnamespace and relkind = 'r');
begin
  if cardinality(months) > 24 then execute 'drop table ' || array_to_string(months, ', '); end if;
  for name in select relname from pg_class where relnamespace = 'monitoring'::regnamespace and relkind = 'r' loop
    if name <> 'applied_views' then execute format('delete from monitoring.%I', name); end if;
  end loop;
  for name in select tablename from pg_tables where schemaname = 'public' loop
    execute format('drop table public.%I cascade', name);
  end loop;
end $$;
"""


@pytest.fixture(scope="session")
def embedded_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """The embedded server of the whole test session, in a home of its own."""
    server = EmbeddedPostgres(tmp_path_factory.mktemp("embedded home")).start()
    administer(server.url("postgres"), "alter system set fsync = off")  # dropping a database is a checkpoint
    administer(server.url("postgres"), "select pg_reload_conf()")
    yield server
    place = server.status.place
    server.stop()
    shutil.rmtree(place)


@pytest.fixture(scope="session")
def debian_server() -> Iterator[str]:
    """URL of Debian's Postgres 15, on loopback under an unprivileged account; skips, loudly, where it is absent."""
    if not (DEBIAN_BINARIES / "initdb").exists():
        pytest.skip(f"NOT TESTED ON POSTGRES 15: {DEBIAN_BINARIES} is absent (apt-get install postgresql-15)")
    place = Path(tempfile.mkdtemp(prefix="postgres15-", dir="/tmp"))
    account = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
    run_as = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []} if account else {}
    if account:
        os.chown(place, account.pw_uid, account.pw_gid)
    initdb = [
        DEBIAN_BINARIES / "initdb",
        "-D",
        place / "data",
        "-U",
        "tester",
        "--auth=trust",
        "--encoding=UTF8",
        "--no-sync",
    ]
    subprocess.run(initdb, check=True, capture_output=True, cwd="/", **run_as)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "fsync=off", "-p", str(port)]
    server = subprocess.Popen(
        [DEBIAN_BINARIES / "postgres", "-D", place / "data", *options], stderr=subprocess.DEVNULL, cwd="/", **run_as
    )
    url = f"postgresql+psycopg2://tester@127.0.0.1:{port}/postgres"
    try:
        _wait_for(url)
        yield url
    finally:
        server.terminate()
        server.wait(20)
        shutil.rmtree(place)


@pytest.fixture(
    scope="session",
    params=[
        pytest.param("embedded_server", id="pg18"),
        pytest.param("debian_server", id="pg15", marks=pytest.mark.server),
    ],
)
def any_server(request: pytest.FixtureRequest) -> str:
    """URL of each kind of server in turn: the wheel's and Debian's."""
    server = request.getfixturevalue(request.param)
    return server if isinstance(server, str) else server.url("postgres")


@pytest.fixture(scope="session")
def shared_database(embedded_server: EmbeddedPostgres) -> Iterator[str]:
    """URL of the migrated database that tests share in turn; take it through ``settings`` or ``warehouse``."""
    yield from _migrated_database(embedded_server.url("postgres"))


@pytest.fixture(scope="session")
def any_shared_database(any_server: str) -> Iterator[str]:
    yield from _migrated_database(any_server)


@pytest.fixture
def warehouse_url(embedded_server: EmbeddedPostgres) -> Iterator[str]:
    """URL of an empty database of the test's own, dropped after it. Slow: for tests of the schema."""
    yield from fresh_database(embedded_server.url("postgres"))


@pytest.fixture
def settings(tmp_path: Path, shared_database: str) -> Iterator[Settings]:
    """Settings of a home of the test's own, with a migrated database without rows."""
    yield Settings(home=tmp_path / "home", monitors_dir=tmp_path / "monitors", database_url=shared_database)
    administer(shared_database, EMPTY)


@pytest.fixture
def warehouse(settings: Settings) -> Iterator[Warehouse]:
    """An open, migrated warehouse without rows on the embedded server."""
    with Warehouse.open(settings, patience=5) as opened:
        yield opened


@pytest.fixture
def any_warehouse(any_shared_database: str, tmp_path: Path) -> Iterator[Warehouse]:
    """The same on each kind of server in turn."""
    with Warehouse.open(Settings(home=tmp_path / "home", database_url=any_shared_database), patience=5) as opened:
        yield opened
    administer(any_shared_database, EMPTY)


def fresh_database(server_url: str) -> Iterator[str]:
    """Create a database on this server, yield its URL, drop it and Dagster's beside it."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    administer(server_url, f'create database "{name}"')
    try:
        yield make_url(server_url).set(database=name).render_as_string(hide_password=False)
    finally:
        for database in (name, f"{name}_dagster"):
            administer(server_url, f'drop database if exists "{database}" with (force)')


def _migrated_database(server_url: str) -> Iterator[str]:
    for url in fresh_database(server_url):
        engine = create_engine(url)
        migrate(engine)
        engine.dispose()
        yield url


def administer(url: str, statement: str) -> None:
    """Run a statement outside of any transaction."""
    connection = psycopg2.connect(url.replace("+psycopg2", "", 1))
    try:
        connection.autocommit = True
        connection.cursor().execute(statement)
    finally:
        connection.close()


def _wait_for(url: str) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            psycopg2.connect(url.replace("+psycopg2", "", 1)).close()
            return
        except psycopg2.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
