"""Dagster's storage in Postgres over connections that are kept, named in ``dagster.yaml``.

Dagster's own opens a connection for each statement, three statements more for each connection, everywhere but in its
web server. An idle daemon spent more on that than on its work. It also writes each event that says what a run plans to
materialize on its own, five statements each: for a range run that was more than all events of its work together.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy
from dagster import DagsterEventType, EventLogEntry
from dagster._core.storage.event_log import SqlEventLogStorageTable
from dagster._serdes import ConfigurableClassData
from dagster_postgres import DagsterPostgresStorage, PostgresEventLogStorage
from dagster_postgres.utils import pg_url_from_config

STATEMENT_TIMEOUT_MS = 120_000
RECYCLE_SECONDS = 1_800
MOST_CONNECTIONS = 10
_prepared: set[str] = set()
_columns: dict[str, set[str]] = {}  # of the table of assets, by address of the database


PLANNED = DagsterEventType.ASSET_MATERIALIZATION_PLANNED


class BatchingEventLog(PostgresEventLogStorage):
    """Dagster's event log; what a run plans to materialize is written in one statement instead of event by event."""

    def _has_asset_key_col_on_connection(self, conn: sqlalchemy.Connection, column_name: str) -> bool:
        """Whether the table of assets has this column. Dagster asks the catalogue for it three times with each asset
        that it looks up; here a column that is there is asked for once a process."""
        known = _columns.setdefault(self.postgres_url, set())
        if column_name not in known and super()._has_asset_key_col_on_connection(conn, column_name):
            known.add(column_name)
        return column_name in known

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Stores events of the kinds that Dagster writes in batches, with what its own storage derives from them."""
        planned = [event for event in events if event.dagster_event_type == PLANNED]
        others = [event for event in events if event.dagster_event_type != PLANNED]
        if planned:
            self._store_planned(planned)
        if others:
            super().store_event_batch(others)

    def _store_planned(self, events: Sequence[EventLogEntry]) -> None:
        """As Dagster does for one, but that an asset's own row is written for its last event only."""
        with self._connect() as conn:
            rows = conn.execute(self.prepare_insert_event_batch(events).returning(SqlEventLogStorageTable.c.id))
            ids = [int(row[0]) for row in rows]
        last = {event.get_dagster_event().asset_key: (event, i) for event, i in zip(events, ids, strict=True)}
        with self.index_transaction() as conn:
            for event, event_id in last.values():
                self._store_asset_event(conn, event, event_id)


class PooledStorage(DagsterPostgresStorage):
    """Runs, events and schedules over one pool: one connection is held, ``MOST_CONNECTIONS`` at most are open.

    The web server replaces it by pools of its own.
    """

    def __init__(
        self,
        postgres_url: str,
        should_autocreate_tables: bool = True,
        inst_data: ConfigurableClassData | None = None,
    ) -> None:
        # The code server makes an instance for each tick; that the tables exist is looked at once a process.
        super().__init__(postgres_url, should_autocreate_tables and postgres_url not in _prepared, inst_data)
        _prepared.add(postgres_url)
        self._event_log_storage = BatchingEventLog(postgres_url, should_autocreate_tables=False)
        engine = pooled_engine(postgres_url)
        for storage in (self._run_storage, self._event_log_storage, self._schedule_storage):
            storage._engine = engine

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> PooledStorage:
        """From the configuration that Dagster's own Postgres storage takes."""
        creates = config_value.get("should_autocreate_tables", True)
        return cls(pg_url_from_config(config_value), creates, inst_data=inst_data)


@functools.cache
def pooled_engine(postgres_url: str) -> sqlalchemy.Engine:
    """The process's one pool. Every statement is its own transaction, as Dagster's storages expect.

    After a lost connection the statement that met it fails, and the next one connects anew.
    """
    return sqlalchemy.create_engine(
        postgres_url,
        isolation_level="AUTOCOMMIT",
        pool_size=1,
        max_overflow=MOST_CONNECTIONS - 1,
        pool_recycle=RECYCLE_SECONDS,
        connect_args={"options": f"-c statement_timeout={STATEMENT_TIMEOUT_MS}", "application_name": "dagster"},
    )
