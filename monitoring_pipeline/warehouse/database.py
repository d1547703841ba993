"""Connections to the warehouse: which server, is it there, is its schema up to date."""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any, TypeVar

import psycopg2
import tenacity
from psycopg2.extensions import QuotedString, make_dsn, register_adapter
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, InvalidatePoolError, OperationalError
from sqlalchemy.pool import ConnectionPoolEntry

from monitoring_pipeline.errors import WarehouseError, storable, storable_value
from monitoring_pipeline.settings import Settings
from monitoring_pipeline.warehouse import sessions
from monitoring_pipeline.warehouse.embedded import DAGSTER_DATABASE, DATABASE, EmbeddedPostgres
from monitoring_pipeline.warehouse.migrations import migrate
from monitoring_pipeline.warehouse.partitions import forget_months

APPLICATION = "monitoring-pipeline"
OLDEST_SERVER = 14
IDLE_SECONDS = 2.0
NO_PARTITION = "23514"
"""The code of a violated check; that of a partition, unlike a column's or a table's, has no name. The words depend on
the server's language.
"""
CONTENDED = ("40P01", "42P07")
"""Deadlock, and table exists: two processes make months of the same table. Repeated, the work finds them there."""
# What libpq says when waiting will not help. It gives no code for a refused login, only the server's words.
HOPELESS = (
    "password authentication failed", "does not exist", "no pg_hba.conf entry", "could not translate host name",
    "invalid port number", "invalid integer value", "invalid sslmode", "is not permitted to log in",
    "no password supplied",
    "permission denied for database", "certificate verify failed", "does not support SSL",
)  # fmt: skip
DO_NOT_WAIT_FOR_DISK = text("set local synchronous_commit to off")
# JSON escapes that Postgres refuses; ``json.dumps`` writes them for NUL and for halves of surrogate pairs.
_ESCAPED = re.compile(r"\\u(?:0000|d[89a-f])", re.IGNORECASE)
_ask_always: ContextVar[bool] = ContextVar("ask_always", default=False)
T = TypeVar("T")


class _DoneOverError(Exception):
    """Postgres undid the transaction and asks for it again: a deadlock, or a month dropped since it was looked up."""


class Warehouse:
    """An open warehouse. A context manager; ``close`` stops the embedded server if this was its last user."""

    def __init__(self, engine: Engine, dagster_url: str, server: EmbeddedPostgres | None, patience: float) -> None:
        self.engine = engine
        self.dagster_url = dagster_url
        self.server = server
        self._patience = patience

    @classmethod
    def open(cls, settings: Settings, patience: float | None = None) -> Warehouse:
        """The database of ``settings``: DATABASE_URL, or the embedded server of the home; its schema made current.

        Waits up to ``patience`` seconds (those of ``settings`` when None) for a database that is away, then raises
        WarehouseError, which never shows a password.
        """
        server = None if settings.database_url else EmbeddedPostgres(settings.home).start()
        try:
            if server:
                url, dagster = make_url(server.url(DATABASE)), make_url(server.url(DAGSTER_DATABASE))
            else:
                url = normalized(settings.database_url or "")
                dagster = url.set(database=f"{url.database}_dagster")
            waits = settings.database_patience if patience is None else patience
            warehouse = cls(_engine(url), dagster.render_as_string(hide_password=False), server, waits)
            warehouse._prepare(url, dagster)
        except BaseException:
            if server:
                server.release()
            raise
        return warehouse

    @property
    def url(self) -> str:
        """SQLAlchemy URL with its password: for programs, not for messages."""
        return self.engine.url.render_as_string(hide_password=False)

    @property
    def safe_url(self) -> str:
        """The same for messages: the password is hidden."""
        return self.engine.url.render_as_string(hide_password=True)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Connection]:
        """One transaction: committed at the end, rolled back on an error. Waits at first for a database that is away.

        Raises WarehouseError when the connection is lost in the middle: nothing of it was written.
        """
        with self._within(self._patiently(self._living_connection)) as connection:
            yield connection

    def session(self) -> Connection:
        """A connection that the caller closes, with a session of its own. Waits for a database that is away."""
        return self._patiently(self._living_connection)

    def run(self, work: Callable[[Connection], T], can_be_recomputed: bool = False) -> T:
        """``work`` in one transaction, done over when the connection is lost on the way, or when
        Postgres ended the transaction to break a deadlock; it must be safe to repeat.

        ``can_be_recomputed``: do not wait for the disk. A crash of the server within the next half second undoes the
        whole transaction, its note in ``window_stage`` included: the window is stale again, and computed again.
        """
        for attempt in self._attempts(WarehouseError, _DoneOverError):
            with attempt, self._within(self._connect()) as connection:
                if can_be_recomputed:
                    connection.execute(DO_NOT_WAIT_FOR_DISK)
                return self._done(work, connection)
        raise AssertionError("tenacity re-raises the last failure")

    def _done(self, work: Callable[[Connection], T], connection: Connection) -> T:
        """``work``; the months are looked up again when one was dropped, or made by another process."""
        try:
            return work(connection)
        except DBAPIError as error:
            if _lacks_partition(error.orig):
                forget_months(self.engine)
            elif getattr(error.orig, "pgcode", None) not in CONTENDED:
                raise
            raise _DoneOverError(str(error.orig)) from error

    @contextlib.contextmanager
    def _within(self, connection: Connection) -> Iterator[Connection]:
        try:
            with connection, connection.begin():
                yield connection
        except (OperationalError, InterfaceError) as error:
            if not error.connection_invalidated:
                raise
            raise WarehouseError(
                f"the database connection was lost; nothing of this step was written. {self._remedy(error)}"
            ) from error

    def close(self) -> None:
        """Closes the connections and lets go of the server, which stops with its last user unless it is kept."""
        self.engine.dispose()
        if self.server:
            self.server.release()

    def __enter__(self) -> Warehouse:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- getting there ---------------------------------------------------------------------------------------------

    def _prepare(self, url: URL, dagster: URL) -> None:
        """Begun anew as a whole when the server goes away on the way: each part is done wholly or not at all."""
        self._patiently(lambda: self._make_current(url, dagster))

    def _make_current(self, url: URL, dagster: URL) -> None:
        with self.engine.connect() as connection:
            version = connection.exec_driver_sql("show server_version_num").scalar_one()
        if int(version) // 10_000 < OLDEST_SERVER:
            raise WarehouseError(
                f"Postgres {int(version) // 10_000} at {self.safe_url} is too old; use {OLDEST_SERVER} or newer"
            )
        if self.server is None:
            with self.engine.connect() as connection:
                sessions.check_encoding(connection, url.database, dagster.database)
            _create_if_missing(self.engine, url, dagster)
        migrate(self.engine)

    def _attempts(self, *errors: type[BaseException]) -> tenacity.Retrying:
        return tenacity.Retrying(
            retry=tenacity.retry_if_exception(lambda e: isinstance(e, errors) and not _is_hopeless(e)),
            stop=tenacity.stop_after_delay(self._patience),
            wait=tenacity.wait_exponential(multiplier=0.1, max=2),
            reraise=True,
        )

    def _connect(self) -> Connection:
        return self._patiently(self.engine.connect)

    def _living_connection(self) -> Connection:
        """One that answers: work that is not done over must not begin on one that died in the pool."""
        token = _ask_always.set(True)
        try:
            return self.engine.connect()
        finally:
            _ask_always.reset(token)

    def _patiently(self, work: Callable[[], T]) -> T:
        """``work``, begun anew while the server is away, shuts down or starts up. Raises WarehouseError in the end."""
        try:
            for attempt in self._attempts(OperationalError, InterfaceError):
                with attempt:
                    if self.server and attempt.retry_state.attempt_number > 1:
                        self.server.start()  # a killed server is brought back; on the same port
                    return work()
        except (OperationalError, InterfaceError) as error:
            waited = "" if _is_hopeless(error) else f" for {self._patience:.0f} s"
            raise WarehouseError(f"cannot reach the database{waited}. {self._remedy(error)}") from error
        raise AssertionError("tenacity re-raises the last failure")

    def _remedy(self, error: DBAPIError) -> str:
        said = " ".join(str(error.orig).split())
        if password := self.engine.url.password:
            said = said.replace(str(password), "***")
        if self.server:
            return f"It is the embedded server; its log is {self.server.status.place / 'server.log'}. Error: {said}"
        return (
            f"Check that {self.safe_url} is up, and that DATABASE_URL names the right host, port, user and database."
            f" Error: {said}"
        )


def normalized(url: str) -> URL:
    """``postgres://`` and ``postgresql://`` as psycopg2 URLs. Raises WarehouseError for anything but Postgres."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # a port that is no number
        raise WarehouseError("DATABASE_URL is not a URL; write postgresql://user:password@host:port/database") from None
    if parsed.get_backend_name() not in ("postgres", "postgresql"):
        raise WarehouseError(
            f"DATABASE_URL names {parsed.get_backend_name()!r}; only Postgres is supported: postgresql://…"
        )
    if not parsed.database:
        raise WarehouseError("DATABASE_URL names no database; write postgresql://user:password@host:port/database")
    if parsed.port is not None and not 0 < parsed.port < 65_536:
        raise WarehouseError(f"DATABASE_URL names port {parsed.port}; a port is a number from 1 to 65535")
    try:
        make_dsn(dbname="x", **dict(parsed.query))
    except (psycopg2.ProgrammingError, TypeError) as error:  # an option that libpq does not know, or one twice
        raise WarehouseError(f"DATABASE_URL holds an option that is none: {str(error).strip()}") from error
    return parsed.set(drivername="postgresql+psycopg2")


def _quoted(text: str) -> QuotedString:
    """Text as a SQL literal: names, values and errors from outside hold anything, and must not fail a whole step."""
    text = storable(text)
    if _ESCAPED.search(text) and text[:1] in '{["':
        text = _storable_json(text)
    return QuotedString(text)


def _storable_json(text: str) -> str:
    """JSON whose texts Postgres takes; what only looks like JSON is left as it is."""
    try:
        return json.dumps(storable_value(json.loads(text)))
    except (ValueError, RecursionError):
        return text


# The one border: whatever psycopg2 sends as text passes here (COPY has its own escapes, see copying.py).
register_adapter(str, _quoted)


def _engine(url: URL) -> Engine:
    engine = create_engine(
        url,
        pool_size=4,
        max_overflow=4,
        connect_args={"connect_timeout": 5, "application_name": APPLICATION, "options": sessions.options()},
    )
    event.listen(engine, "checkin", _note_use)
    event.listen(engine, "checkout", _ping)
    return engine


def _note_use(_: Any, record: ConnectionPoolEntry) -> None:
    record.info["used"] = time.monotonic()


def _ping(connection: Any, record: ConnectionPoolEntry, _: Any) -> None:
    """A connection that lay idle may be dead; asking each time (``pool_pre_ping``) is a round trip for every window."""
    if not _ask_always.get() and time.monotonic() - record.info.get("used", 0.0) < IDLE_SECONDS:
        return
    try:
        with connection.cursor() as cursor:
            cursor.execute("select 1")
        connection.rollback()
    except psycopg2.Error as error:
        raise InvalidatePoolError from error  # the others of that age died with it; a new one is made


def _lacks_partition(error: Any) -> bool:
    return getattr(error, "pgcode", None) == NO_PARTITION and error.diag.constraint_name is None


def _create_if_missing(engine: Engine, url: URL, dagster: URL) -> None:
    """Dagster's database beside ours. Raises WarehouseError when we may not create it."""
    exists = text("select 1 from pg_database where datname = :name")
    name = str(dagster.database)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        try:
            if not connection.execute(exists, {"name": name}).scalar():
                connection.exec_driver_sql(sessions.created(engine, name))
        except DBAPIError as error:
            if not isinstance(error.orig, psycopg2.errors.DuplicateDatabase | psycopg2.errors.UniqueViolation):
                if error.connection_invalidated:
                    raise
                raise WarehouseError(
                    f"Dagster's runs need a database {name!r} beside {url.database!r}, and this user may not create"
                    f" it; let an administrator run: {sessions.created(engine, name, owner=url.username)}"
                ) from error  # else another process was quicker
    sessions.pin_role(engine, name)


def _is_hopeless(error: BaseException) -> bool:
    return any(phrase in str(error) for phrase in HOPELESS)
