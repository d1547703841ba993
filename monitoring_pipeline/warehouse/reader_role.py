"""The role ``grafana_reader``: reads the public views and nothing else; logs in once it has a password.

The migration makes the role without a login. Roles belong to the server, grants to each database.
"""

from __future__ import annotations

from typing import Any

import psycopg2
from psycopg2.extensions import encrypt_password
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from monitoring_pipeline.errors import WarehouseError

READER = "grafana_reader"
SHORTEST_PASSWORD = 12

IS_THERE = text("select exists (select from pg_roles where rolname = :role)")
VIEWS = text("select viewname from pg_views where schemaname = 'monitoring' order by viewname")
MAY_CONNECT = text("select has_database_privilege(:role, current_database(), 'CONNECT')")
DATABASE = text("select quote_ident(current_database())")
ENCRYPTION = text("show password_encryption")
# How the role behaves in every session. It may be set aside by a session, what it may read may not.
SETTINGS = (
    f"alter role {READER} set statement_timeout = '30s'",
    f"alter role {READER} set default_transaction_read_only = on",
    f"alter role {READER} set timezone = 'UTC'",
)


def grant_views(connection: Connection) -> bool:
    """Lets the role read every view of the schema. False when the server has no such role."""
    if not connection.execute(IS_THERE, {"role": READER}).scalar():
        return False
    names = ", ".join(f'monitoring."{name}"' for name in connection.execute(VIEWS).scalars())
    connection.exec_driver_sql(f"grant usage on schema monitoring to {READER}")
    if names:
        connection.exec_driver_sql(f"grant select on {names} to {READER}")
    return True


def enable_login(connection: Connection, password: str) -> None:
    """Gives the role this password and lets it log in; makes the role where the migration could not.

    The server receives a SCRAM verifier, so that the password stands in no log of statements.
    Raises WarehouseError when the password is short, or when this user may not change roles.
    """
    if len(password) < SHORTEST_PASSWORD:
        raise WarehouseError(f"the password of {READER} is too short; take {SHORTEST_PASSWORD} characters or more")
    driver: Any = connection.connection.driver_connection
    verifier = encrypt_password(password, READER, driver, str(connection.execute(ENCRYPTION).scalar_one()))
    try:
        if not connection.execute(IS_THERE, {"role": READER}).scalar():
            connection.exec_driver_sql(f"create role {READER} nologin")
        connection.exec_driver_sql(f"alter role {READER} login password '{verifier}'")
        for statement in SETTINGS:
            connection.exec_driver_sql(statement)
    except DBAPIError as error:
        if not isinstance(error.orig, psycopg2.errors.InsufficientPrivilege):
            raise
        raise WarehouseError(_what_an_administrator_runs(str(error.orig).strip())) from error
    grant_views(connection)
    if not connection.execute(MAY_CONNECT, {"role": READER}).scalar():
        name = connection.execute(DATABASE).scalar_one()
        raise WarehouseError(
            f"{READER} may not connect to this database; run: grant connect on database {name} to {READER}"
        )


def _what_an_administrator_runs(said: str) -> str:
    settings = "; ".join(SETTINGS)
    return (
        f"this database user may not change the role {READER} ({said}). Let an administrator run once:"
        f" create role {READER}; alter role {READER} login; \\password {READER}; {settings};"
        " then `monitoring-pipeline db migrate` lets it read the views"
    )
