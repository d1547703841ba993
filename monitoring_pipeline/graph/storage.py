"""Dagster's storage in Postgres over connections that are kept, named in ``dagster.yaml``.

Dagster's own opens a connection for each statement, three statements more for each connection, everywhere but in its
web server. An idle daemon spent more on that than on its work.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import sqlalchemy
from dagster._serdes import ConfigurableClassData
from dagster_postgres import DagsterPostgresStorage
from dagster_postgres.utils import pg_url_from_config

STATEMENT_TIMEOUT_MS = 120_000
RECYCLE_SECONDS = 1_800
MOST_CONNECTIONS = 10
_prepared: set[str] = set()


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
