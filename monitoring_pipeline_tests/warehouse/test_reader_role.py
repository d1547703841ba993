"""The role Grafana reads with: every public view, nothing else, also where this user may not make roles."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, Engine, create_engine, make_url, text
from sqlalchemy.exc import DBAPIError

from monitoring_pipeline.errors import WarehouseError
from monitoring_pipeline.warehouse import migrations
from monitoring_pipeline.warehouse.database import Warehouse
from monitoring_pipeline.warehouse.reader_role import READER, enable_login, grant_views
from monitoring_pipeline_tests.conftest import administer

PASSWORD = 'it\'s "long" % enough'
RELATIONS = text("""
select relname, relkind from pg_class
where relnamespace = 'monitoring'::regnamespace and relkind in ('r', 'p', 'v', 'm') and not relispartition
""")


@pytest.fixture
def reader(any_warehouse: Warehouse) -> Iterator[Engine]:
    """Logged in as the role, with its password."""
    with any_warehouse.transaction() as conn:
        enable_login(conn, PASSWORD)
    engine = create_engine(any_warehouse.engine.url.set(username=READER, password=PASSWORD))
    yield engine
    engine.dispose()


def refusal(engine: Engine, statement: str) -> str:
    """The server's words; an assertion when it does as told."""
    with pytest.raises(DBAPIError) as refused, engine.begin() as conn:
        conn.exec_driver_sql("set transaction read write")  # the role's own read-only setting is only a first fence
        conn.exec_driver_sql(statement)
    return str(refused.value.orig)


def test_it_reads_every_view_and_no_table(any_warehouse: Warehouse, reader: Engine) -> None:
    with any_warehouse.engine.connect() as conn:
        relations = conn.execute(RELATIONS).all()
    views = [r.relname for r in relations if r.relkind == "v"]
    tables = [r.relname for r in relations if r.relkind != "v"]
    assert len(views) > 20 and len(tables) > 20
    with reader.connect() as conn:
        for name in views:
            conn.exec_driver_sql(f'select * from monitoring."{name}" limit 1')
    for name in tables:
        assert "permission denied" in refusal(reader, f'select * from monitoring."{name}"')


def test_it_changes_nothing(reader: Engine) -> None:
    with pytest.raises(DBAPIError, match="read-only transaction"), reader.begin() as conn:
        conn.exec_driver_sql("create temporary table mine (n integer)")
    for statement in (
        "update monitoring.incident_current set state = 'resolved'",
        "delete from monitoring.monitor",
        "create table monitoring.mine (n integer)",
        "drop view monitoring.incident_current",
        "select monitoring.ensure_months('measurement', '{2031-01-01}')",
    ):
        assert "permission denied" in (said := refusal(reader, statement)) or "must be owner" in said, said


def test_its_sessions_are_short_and_in_utc(reader: Engine) -> None:
    with reader.connect() as conn:
        settings = [conn.exec_driver_sql(f"show {name}").scalar() for name in ("statement_timeout", "timezone")]
    assert settings == ["30s", "UTC"]


def test_views_made_anew_are_granted_again(warehouse_url: str) -> None:
    engine = create_engine(warehouse_url)
    migrations.migrate(engine)
    with engine.begin() as conn:
        conn.exec_driver_sql("create view monitoring.of_a_later_version as select 1 as one")
        conn.exec_driver_sql("drop view monitoring.window_status cascade")
        conn.exec_driver_sql("update monitoring.applied_views set sha256 = ''")
    assert migrations.migrate(engine) is True
    with engine.connect() as conn:
        denied = conn.exec_driver_sql(
            "select relname from pg_class where relnamespace = 'monitoring'::regnamespace and relkind = 'v'"
            f" and not has_table_privilege('{READER}', oid, 'select')"
        ).all()
    engine.dispose()
    assert denied == []


def test_the_password_is_sent_as_a_verifier(any_warehouse: Warehouse, reader: Engine) -> None:
    with any_warehouse.engine.connect() as conn:
        stored = conn.exec_driver_sql(f"select rolpassword from pg_authid where rolname = '{READER}'").scalar()
    assert str(stored).startswith("SCRAM-SHA-256$")
    with any_warehouse.transaction() as conn, pytest.raises(WarehouseError, match="too short"):
        enable_login(conn, "secret")


@pytest.fixture
def modest(warehouse_url: str) -> Iterator[Engine]:
    """A user who owns the database and may not make roles."""
    name = f"owner_{uuid.uuid4().hex[:8]}"
    administer(warehouse_url, f"create role {name} login password 'secret'")
    administer(warehouse_url, f'alter database "{make_url(warehouse_url).database}" owner to {name}')
    engine = create_engine(make_url(warehouse_url).set(username=name, password="secret"))
    try:
        yield engine
    finally:
        engine.dispose()
        administer(warehouse_url, f"reassign owned by {name} to current_user; drop owned by {name}; drop role {name}")


def renamed(url: str, old: str, new: str) -> None:
    administer(url, f"alter role {old} rename to {new}")


def test_a_user_who_may_not_make_roles_migrates_all_the_same(modest: Engine, warehouse_url: str) -> None:
    others = f"aside_{uuid.uuid4().hex[:8]}"
    administer(warehouse_url, f"do $$ begin create role {READER}; exception when duplicate_object then null; end $$")
    renamed(warehouse_url, READER, others)  # the server as it is before anyone made the role
    try:
        assert migrations.migrate(modest) is True
        with modest.begin() as conn, pytest.raises(WarehouseError, match="Let an administrator run once"):
            enable_login(conn, PASSWORD)
        with modest.connect() as conn:
            assert not there(conn)
    finally:
        renamed(warehouse_url, others, READER)
    with modest.begin() as conn:
        assert grant_views(conn) is True, "an administrator made the role; the owner of the views grants them"


def there(conn: Connection) -> bool:
    return bool(conn.execute(text("select exists (select from pg_roles where rolname = :r)"), {"r": READER}).scalar())
