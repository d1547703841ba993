"""Bring a database to the schema that ``sql/`` describes: numbered migrations once, views whenever their text changed.

Safe when several processes start at once: one migrates under an advisory lock of Postgres, the others wait and then
find nothing to do. The lock is the connection's, so a killed process leaves none behind (yoyo's own lock is a row that
would stay; it is not used).
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from monitoring_pipeline.errors import WarehouseError
from monitoring_pipeline.resources import data_dir

LOCK = 7_215_411_993_061_001  # any number that no other program on this database uses
BOOKKEEPING_SCHEMA = "monitoring_migrations"

IS_BOOKKEEPING_THERE = text(
    "select to_regclass('monitoring_migrations._yoyo_migration') is not null"
    " and to_regclass('monitoring.applied_views') is not null"
)
APPLIED_MIGRATIONS = text("select migration_id from monitoring_migrations._yoyo_migration")
APPLIED_VIEWS = text("select sha256 from monitoring.applied_views")
RECORD_VIEWS = text(
    "insert into monitoring.applied_views (sha256) values (:sha256)"
    " on conflict (one) do update set sha256 = excluded.sha256, applied_at = now()"
)
OUR_VIEWS = text("select viewname from pg_views where schemaname = 'monitoring'")


def migrate(engine: Engine) -> bool:
    """Bring the database up to date. True if anything was changed. Raises WarehouseError when it cannot be."""
    sql = data_dir("sql")
    with engine.connect() as connection:
        if _is_current(connection, sql):
            return False
    # The lock has a connection of its own: it must outlive the transactions of the migrations.
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as guard:
        guard.execute(text("select pg_advisory_lock(:lock)"), {"lock": LOCK})
        try:
            if _is_current(guard, sql):
                return False
            _apply_migrations(engine, guard, sql / "migrations")
            _apply_views(engine, sql / "views")
        except DBAPIError as error:
            raise WarehouseError(_explain(error)) from error
        finally:
            guard.execute(text("select pg_advisory_unlock(:lock)"), {"lock": LOCK})
    return True


def _is_current(connection: Connection, sql: Path) -> bool:
    if not connection.execute(IS_BOOKKEEPING_THERE).scalar():
        return False
    applied = set(connection.execute(APPLIED_MIGRATIONS).scalars())
    shipped = {path.stem for path in (sql / "migrations").glob("*.sql")}
    if applied - shipped:
        raise WarehouseError(
            f"the database was made by a newer version (migration {max(applied - shipped)});"
            " upgrade monitoring-pipeline"
        )
    return applied == shipped and connection.execute(APPLIED_VIEWS).scalar() == _fingerprint(sql / "views")


def _fingerprint(directory: Path) -> str:
    content = hashlib.sha256()
    for path in sorted(directory.glob("*.sql")):
        content.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return content.hexdigest()


def _apply_migrations(engine: Engine, guard: Connection, directory: Path) -> None:
    from yoyo import get_backend, read_migrations  # here: not needed when there is nothing to do

    guard.exec_driver_sql(f"create schema if not exists {BOOKKEEPING_SCHEMA}")
    url = engine.url.set(drivername="postgresql").update_query_dict({"schema": BOOKKEEPING_SCHEMA})
    try:
        with get_backend(url.render_as_string(hide_password=False)) as backend:
            backend.apply_migrations(backend.to_apply(read_migrations(str(directory))))
    except engine.dialect.loaded_dbapi.Error as error:
        raise WarehouseError(f"a migration of the database failed: {str(error).strip()}") from error


def _apply_views(engine: Engine, directory: Path) -> None:
    """All views in one transaction. A view that lost or renamed a column cannot be replaced: then all are made anew."""
    with engine.begin() as connection:
        try:
            with connection.begin_nested():
                _run_files(connection, directory)
        except DBAPIError as error:
            if (
                getattr(error.orig, "pgcode", None) != "42P16"
            ):  # invalid_table_definition: "cannot drop columns from view"
                raise
            names = ", ".join(f'monitoring."{name}"' for name in connection.execute(OUR_VIEWS).scalars())
            connection.exec_driver_sql(f"drop view {names}")  # no cascade: a user's own view must not vanish
            _run_files(connection, directory)
        connection.execute(RECORD_VIEWS, {"sha256": _fingerprint(directory)})


def _run_files(connection: Connection, directory: Path) -> None:
    for path in sorted(directory.glob("*.sql")):
        connection.exec_driver_sql(path.read_text().replace("%", "%%"))  # the driver reads % as a parameter


def _explain(error: DBAPIError) -> str:
    code, message = getattr(error.orig, "pgcode", None), str(error.orig).strip()
    if code == "2BP01":  # dependent_objects_still_exist
        return (
            "a view of yours stands on one that changed; drop it, run `monitoring-pipeline db migrate`, make it again:"
            f" {message}"
        )
    if code == "42501":  # insufficient_privilege
        return f"the database user may not create schemas here; grant it CREATE on the database: {message}"
    return f"the schema could not be brought up to date: {message}"
