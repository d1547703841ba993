"""Dagster's instance: how its storage is reached."""

from __future__ import annotations

import weakref

import dagster as dg

STATEMENT_TIMEOUT_MS = 120_000
RECYCLE_SECONDS = 1_800
_kept: weakref.WeakSet[dg.DagsterInstance] = weakref.WeakSet()


def keep_connections(instance: dg.DagsterInstance) -> None:
    """Let the instance hold a connection, as Dagster's own web server does, instead of opening one for each statement.

    A range run writes thousands of events; opening connections was half of what Dagster cost per window. Storages
    other than Postgres take no notice.
    """
    if instance not in _kept:
        instance.optimize_for_webserver(
            statement_timeout=STATEMENT_TIMEOUT_MS, pool_recycle=RECYCLE_SECONDS, max_overflow=8
        )
        _kept.add(instance)
