"""A migrator killed at any point leaves a database that the next one brings up to date.

Killed between the commands that it sends (its process ends), at many statements inside of a migration
(its server process ends), and at arbitrary moments (kill -9). On a fresh database and on those that the former tool,
yoyo, left behind: it committed a migration, its log and its mark in three transactions.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, NullPool, create_engine, event

from monitoring_pipeline.errors import WarehouseError
from monitoring_pipeline.resources import data_dir
from monitoring_pipeline.warehouse import migrations
from monitoring_pipeline_tests.conftest import fresh_database
from monitoring_pipeline_tests.warehouse.schema_snapshot import snapshot

Snapshot = set[tuple[object, ...]]
LAST_OF_YOYO = 8
KILLED = 9
# yoyo 9's own tables, as its internal migrations make them; the lock table comes first, in a transaction of its own.
YOYO_LOCK = """
create schema if not exists monitoring_migrations;
create table monitoring_migrations.yoyo_lock ("locked" int default 1, "ctime" timestamp, "pid" int not null,
  primary key ("locked"));
"""
YOYO_TABLES = """
create table monitoring_migrations._yoyo_log ("id" varchar(36), "migration_hash" varchar(64),
  "migration_id" varchar(255), "operation" varchar(10), "username" varchar(255), "hostname" varchar(255),
  "comment" varchar(255),
  "created_at_utc" timestamp, primary key ("id"));
create table monitoring_migrations._yoyo_version ("version" int not null primary key, "installed_at_utc" timestamp);
create table monitoring_migrations._yoyo_migration ("migration_hash" varchar(64), "migration_id" varchar(255),
  "applied_at_utc" timestamp, primary key ("migration_hash"));
"""
EMPTY = """
drop schema if exists monitoring cascade;
drop schema if exists monitoring_migrations cascade;
"""
KILL_SWITCH = """
create table public.kill_switch (statement bigint);
insert into public.kill_switch values (0);
create sequence public.statements_seen;
create sequence public.comments_seen;
create function public.kill() returns event_trigger language plpgsql as $$
begin
  -- Four statements in five are comments, and come in a row: every 25th is enough, in a tenth of the time.
  if tg_tag = 'COMMENT' and nextval('public.comments_seen') % 25 <> 0 then return; end if;
  if nextval('public.statements_seen') = (select statement from public.kill_switch) then
    perform pg_terminate_backend(pg_backend_pid());
  end if;
end $$;
create event trigger kill on ddl_command_start execute function public.kill();
"""


@pytest.fixture
def engine(any_server: str) -> Iterator[Engine]:
    """An empty database on each kind of server in turn."""
    for url in fresh_database(any_server):
        yield create_engine(url, poolclass=NullPool)


@pytest.fixture(scope="module")
def fresh(any_server: str) -> Snapshot:
    """What an undisturbed migration of an empty database makes."""
    for url in fresh_database(any_server):
        undisturbed = create_engine(url, poolclass=NullPool)
        migrations.migrate(undisturbed)
        made = now(undisturbed)
    return made


def now(engine: Engine) -> Snapshot:
    with engine.connect() as connection:
        return snapshot(connection)


def run(engine: Engine, statements: str) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql(statements, execution_options={"no_parameters": True})


def migration_files() -> list[Path]:
    return sorted((data_dir("sql") / "migrations").glob("*.sql"))


def migrate_in_child(engine: Engine, kill_at: int) -> int:
    """Migrate in a process that ends without a word at its ``kill_at``-th command; that of a commit counts too.

    Returns the child's exit code, 0 if it came to the end.
    """
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    seen = 0

    def count(*_: object) -> None:
        nonlocal seen
        seen += 1
        if seen == kill_at:
            os._exit(KILLED)

    status = 1
    try:
        mortal = create_engine(engine.url, poolclass=NullPool)
        for happening in ("before_cursor_execute", "commit", "savepoint", "release_savepoint"):
            event.listen(mortal, happening, count)
        migrations.migrate(mortal)
        status = 0
    finally:
        os._exit(status)


def kill_at_commands(engine: Engine, fresh: Snapshot, step: int = 1) -> int:
    before = now(engine)
    command = 1
    while (status := migrate_in_child(engine, command)) == KILLED:
        assert now(engine) == before, f"killed at its command {command}, the migrator left something behind"
        command += step
    assert status == 0
    assert now(engine) == fresh
    return command - step


def test_killed_between_commands(engine: Engine, fresh: Snapshot) -> None:
    assert kill_at_commands(engine, fresh, step=2) > 2 * len(migration_files())


def test_killed_between_commands_while_taking_over_a_half_applied_migration(engine: Engine, fresh: Snapshot) -> None:
    leave_as_yoyo_did(engine, applied=5, marked=4)
    assert kill_at_commands(engine, fresh, step=3) > len(migration_files())


@pytest.mark.slow
def test_killed_at_statements_of_every_migration(engine: Engine, fresh: Snapshot) -> None:
    """Every seventh: they run in one transaction, and each kill repeats all that comes before it."""
    run(engine, KILL_SWITCH)
    before = now(engine)
    statement = 1
    while killed_at_statement(engine, statement):
        assert now(engine) == before, f"killed at statement {statement}, the migrator left something behind"
        statement += 7
    assert now(engine) == fresh
    assert statement > sum(path.read_text().count("\ncreate ") for path in migration_files())


def killed_at_statement(engine: Engine, statement: int) -> bool:
    restart = "select setval('public.statements_seen', 1, false), setval('public.comments_seen', 1, false)"
    run(engine, f"update public.kill_switch set statement = {statement}; {restart}")
    try:
        return not migrations.migrate(engine)
    except WarehouseError:
        raise
    except migrations.DBAPIError as error:
        assert error.connection_invalidated
        return True


def test_killed_at_arbitrary_moments(engine: Engine, fresh: Snapshot) -> None:
    began = time.perf_counter()
    assert migrate_in_child(engine, kill_at=0) == 0
    whole = time.perf_counter() - began
    run(engine, EMPTY)
    for share in range(1, 9):
        child = os.fork()
        if not child:
            try:
                migrations.migrate(create_engine(engine.url, poolclass=NullPool))
            finally:
                os._exit(0)
        time.sleep(whole * share / 8)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        migrations.migrate(engine)
        assert now(engine) == fresh
        run(engine, EMPTY)


def leave_as_yoyo_did(
    engine: Engine, applied: int, marked: int, logged: int | None = None, locked: bool = True
) -> None:
    """``applied`` migrations' statements, of them ``logged`` in yoyo's log and ``marked`` as applied."""
    run(engine, EMPTY + YOYO_LOCK + YOYO_TABLES)
    with engine.begin() as connection:
        if locked:
            connection.exec_driver_sql("insert into monitoring_migrations.yoyo_lock values (1, now(), 4711)")
        for number, path in enumerate(migration_files()[:applied], start=1):
            connection.exec_driver_sql(path.read_text(), execution_options={"no_parameters": True})
            if number <= (marked if logged is None else logged):
                log(connection, path.stem)
            if number <= marked:
                connection.exec_driver_sql(
                    "insert into monitoring_migrations._yoyo_migration values (md5(%s), %s, now())",
                    (path.stem, path.stem),
                )


def log(connection: Connection, name: str) -> None:
    connection.exec_driver_sql(
        "insert into monitoring_migrations._yoyo_log (id, migration_hash, migration_id, operation)"
        " values (gen_random_uuid()::text, md5(%s), %s, 'apply')",
        (name, name),
    )


def test_every_state_that_yoyo_left_is_taken_over(engine: Engine, fresh: Snapshot) -> None:
    for applied in range(LAST_OF_YOYO + 1):
        half_applied = [(applied, applied - 1, applied - 1), (applied, applied - 1, applied)] if applied else []
        for state in [(applied, applied, applied), *half_applied]:
            leave_as_yoyo_did(engine, applied=state[0], marked=state[1], logged=state[2])
            assert migrations.migrate(engine) is True, state
            assert now(engine) == fresh, f"(applied, marked, logged) = {state}"
            assert migrations.migrate(engine) is False, state


@pytest.mark.parametrize("left", ["create schema monitoring_migrations", YOYO_LOCK, YOYO_LOCK + YOYO_TABLES])
def test_yoyos_own_tables_may_be_half_made(engine: Engine, fresh: Snapshot, left: str) -> None:
    run(engine, left)
    assert migrations.migrate(engine) is True
    assert now(engine) == fresh


def test_rows_outlive_the_taking_over(engine: Engine) -> None:
    leave_as_yoyo_did(engine, applied=8, marked=8)
    run(
        engine,
        "insert into monitoring.monitor (monitor, task, window_size, starts_on, has_ground_truth, label_coverage,"
        " label_max_delay, config_version) values ('kept', 'binary', 'day', '2013-01-01', true, 0.9, '7 days', 'c1')",
    )
    migrations.migrate(engine)
    with engine.connect() as connection:
        assert connection.exec_driver_sql("select monitor from monitoring.monitor").scalars().all() == ["kept"]
