"""What takes too long for a scrape: read by a thread of its own, now and then."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from monitoring_pipeline.warehouse.exposition import Group

log = logging.getLogger(__name__)


class SlowReading:
    """``groups()`` never waits: it gives the last result and starts the next reading once ``every`` seconds are over.

    A result older than three times that is no longer given: absent, rather than frozen.
    """

    def __init__(
        self, engine: Engine, read: Callable[[Connection], Sequence[Group]], every: float, time_limit: int = 60
    ) -> None:
        self._engine, self._read, self._every, self._time_limit = engine, read, every, time_limit
        self._groups: Sequence[Group] = ()
        self._read_at = self._begun_at = float("-inf")
        self._busy = threading.Lock()

    def groups(self) -> Sequence[Group]:
        """The newest reading."""
        now = time.monotonic()
        if now - self._begun_at >= self._every and not self._busy.locked():
            self._begun_at = now
            threading.Thread(target=self.refresh, name="exporter-slow", daemon=True).start()
        return self._groups if now - self._read_at < 3 * self._every else ()

    def refresh(self) -> None:
        """Read now, and wait for it. A failure is logged and leaves the last result to age."""
        with self._busy:
            self._begun_at = time.monotonic()
            try:
                with self._engine.connect() as connection:
                    connection.exec_driver_sql(f"set local statement_timeout = '{self._time_limit}s'")
                    self._groups = self._read(connection)
            except SQLAlchemyError as failure:
                log.warning("stale windows could not be counted: %s", " ".join(str(failure).split())[:300])
            else:
                self._read_at = time.monotonic()
