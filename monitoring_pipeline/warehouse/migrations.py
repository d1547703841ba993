"""Bring a database to the schema that ``sql/`` describes: numbered migrations once, views whenever their text changed.

Everything a start finds missing, the marks of the migrations and the views are one transaction: a process that is
killed, or a migration that fails, leaves the database as it was. Readers see the old schema or the new one. Several
processes may start at once: one migrates under an advisory lock, the others wait and then find nothing to do.

Alembic keeps the marks and the order. Its revisions are the files of ``sql/migrations``: plain SQL, run as they stand,
named after the file, in the order of their numbers. A file must not commit.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from monitoring_pipeline.errors import WarehouseError
from monitoring_pipeline.resources import data_dir
from monitoring_pipeline.warehouse.reader_role import grant_views

if TYPE_CHECKING:
    from alembic.runtime.migration import MigrationStep
    from alembic.script import Script

LOCK = 7_215_411_993_061_001  # any number that no other program on this database uses
BOOKKEEPING = {"version_table": "alembic_version", "version_table_schema": "monitoring_migrations"}

TAKE_LOCK = text("select pg_advisory_xact_lock(:lock)")
ARE_MARKS_THERE = text("select to_regclass('monitoring_migrations.alembic_version') is not null")
ARE_VIEWS_RECORDED = text("select to_regclass('monitoring.applied_views') is not null")
NEWEST_APPLIED = text("select version_num from monitoring_migrations.alembic_version")
APPLIED_VIEWS = text("select sha256 from monitoring.applied_views")
RECORD_VIEWS = text(
    "insert into monitoring.applied_views (sha256) values (:sha256)"
    " on conflict (one) do update set sha256 = excluded.sha256, applied_at = now()"
)
OUR_VIEWS = text("select viewname from pg_views where schemaname = 'monitoring'")

# Up to 0008 yoyo applied the migrations. It committed a migration and its mark apart, so a killed process could leave
# tables without a mark; but each migration was one transaction. Hence one object of each tells what was applied.
NEWEST_OF_YOYO = text("""
select case
  when exists (select from pg_attribute where attrelid = to_regclass('monitoring.source_file')
                 and attname = 'read_as' and not attisdropped) then '0008_read_as'
  when pg_get_indexdef(to_regclass('monitoring.drift_metric_one_current')) like '%method, column_name%'
    then '0007_drift_by_method'
  when to_regclass('monitoring.window_stage_success') is not null then '0006_exposition'
  when to_regclass('monitoring.reference_segment') is not null then '0005_reference_segments'
  when to_regclass('monitoring.incident') is not null then '0004_decisions'
  when to_regclass('monitoring.drift_metric') is not null then '0003_metrics'
  when to_regclass('monitoring.known_version') is not null then '0002_profiles'
  when to_regclass('monitoring.monitor') is not null then '0001_ledger'
  else '' end""")
DROP_MARKS_OF_YOYO = text(
    "drop table if exists monitoring_migrations._yoyo_migration, monitoring_migrations._yoyo_log,"
    " monitoring_migrations._yoyo_version, monitoring_migrations.yoyo_lock"
)


def migrate(engine: Engine) -> bool:
    """Bring the database up to date. True if anything was changed.

    Raises WarehouseError when it cannot be, and SQLAlchemy's error when the connection is lost on the way: nothing was
    changed then either, so the caller may wait and call again.
    """
    sql = data_dir("sql")
    with engine.connect() as connection:
        if _is_current(connection, sql):
            return False
    try:
        with engine.begin() as connection:
            connection.execute(TAKE_LOCK, {"lock": LOCK})
            if _is_current(connection, sql):
                return False
            _apply_migrations(connection, sql / "migrations")
            _apply_views(connection, sql / "views")
            grant_views(connection)  # a view that was made anew has lost its grants
    except DBAPIError as error:
        if error.connection_invalidated:
            raise
        raise WarehouseError(_explain(error)) from error
    return True


def _is_current(connection: Connection, sql: Path) -> bool:
    if not connection.execute(ARE_MARKS_THERE).scalar():
        return False
    newest = str(connection.execute(NEWEST_APPLIED).scalar())
    shipped = sorted(path.stem for path in (sql / "migrations").glob("*.sql"))
    if newest not in shipped:
        raise WarehouseError(
            f"the database was made by a newer version (migration {newest}); upgrade monitoring-pipeline"
        )
    return (
        newest == shipped[-1]
        and bool(connection.execute(ARE_VIEWS_RECORDED).scalar())
        and connection.execute(APPLIED_VIEWS).scalar() == _fingerprint(sql / "views")
    )


def _fingerprint(directory: Path) -> str:
    content = hashlib.sha256()
    for path in sorted(directory.glob("*.sql")):
        content.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return content.hexdigest()


def _apply_migrations(connection: Connection, directory: Path) -> None:
    from alembic.runtime.migration import MigrationContext, MigrationStep  # here: not needed when all is current
    from alembic.script.revision import RevisionMap

    there = _take_over(connection)
    revisions = RevisionMap(lambda: _revisions(connection, directory, there))

    def missing(applied: tuple[str, ...], _: object) -> Iterable[MigrationStep]:
        newest_first: Iterable[Any] = revisions.iterate_revisions("heads", applied, implicit_base=True)
        return [MigrationStep.upgrade_from_script(revisions, script) for script in reversed(list(newest_first))]

    MigrationContext.configure(connection, opts={"fn": missing, **BOOKKEEPING}).run_migrations()


def _take_over(connection: Connection) -> str:
    """The newest migration that yoyo applied, '' if none; its own tables, locks included, are dropped."""
    if connection.execute(ARE_MARKS_THERE).scalar():
        return ""
    connection.exec_driver_sql("create schema if not exists monitoring_migrations")
    connection.execute(DROP_MARKS_OF_YOYO)
    return str(connection.execute(NEWEST_OF_YOYO).scalar_one())


def _revisions(connection: Connection, directory: Path, there: str) -> Iterable[Script]:
    """Each file as a revision that follows the one before. Up to ``there`` they are marked, not run."""
    from alembic.script import Script

    previous = None
    for path in sorted(directory.glob("*.sql")):
        revision: Any = ModuleType(path.stem)
        revision.down_revision = previous
        revision.upgrade = _nothing if path.stem <= there else _running(connection, path)
        yield Script(revision, path.stem, str(path))
        previous = path.stem


def _running(connection: Connection, path: Path) -> Callable[[], None]:
    return lambda: _run_file(connection, path)


def _nothing() -> None:
    """The upgrade of a migration that was applied before."""


def _apply_views(connection: Connection, directory: Path) -> None:
    """All views. One that lost or renamed a column cannot be replaced: then all are made anew."""
    paths = sorted(directory.glob("*.sql"))
    try:
        with connection.begin_nested():
            for path in paths:
                _run_file(connection, path)
    except DBAPIError as error:
        if getattr(error.orig, "pgcode", None) != "42P16":  # invalid_table_definition: "cannot drop columns from view"
            raise
        names = ", ".join(f'monitoring."{name}"' for name in connection.execute(OUR_VIEWS).scalars())
        connection.exec_driver_sql(f"drop view {names}")  # no cascade: a user's own view must not vanish
        for path in paths:
            _run_file(connection, path)
    connection.execute(RECORD_VIEWS, {"sha256": _fingerprint(directory)})


def _run_file(connection: Connection, path: Path) -> None:
    """The whole file as one command, as it stands: ``%`` and ``:name`` are no parameters."""
    try:
        connection.exec_driver_sql(path.read_text(encoding="utf-8"), execution_options={"no_parameters": True})
    except DBAPIError as error:
        error.add_note(path.name)
        raise


def _explain(error: DBAPIError) -> str:
    code, message = getattr(error.orig, "pgcode", None), str(error.orig).strip()
    if code == "2BP01":  # dependent_objects_still_exist
        return (
            "one of your views uses a changed view: drop it, run `monitoring-pipeline db migrate`, create it again."
            f" {message}"
        )
    if code == "42501":  # insufficient_privilege
        return f"the database user may not create schemas here; grant it CREATE on the database: {message}"
    file = "".join(f" ({note})" for note in getattr(error, "__notes__", ()))
    return f"the schema could not be migrated; nothing was changed{file}: {message}"
