"""Reads the newest values, at most once in so many seconds, and says so when it cannot."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector as RegistryCollector
from sqlalchemy import create_engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from monitoring_pipeline.exporter import exposition
from monitoring_pipeline.exporter.slow import SlowReading
from monitoring_pipeline.warehouse import sessions
from monitoring_pipeline.warehouse.database import Warehouse, normalized
from monitoring_pipeline.warehouse.exposition import Group, Selection, StaleWindows, newest_figures

log = logging.getLogger(__name__)

# PSI decides whether a column drifted; all methods would be 10⁵ series at 100 monitors × 50 columns × 2 baselines.
DEFAULT_METHODS = ("psi", "drifted_columns_share")
TTL = 15.0  # seconds; several Prometheus servers do not multiply the load
STALE_AFTER = 3.0  # windows
COUNT_STALE_EVERY = 300.0  # seconds; it reads the whole ledger
STATEMENT_TIMEOUT = 8  # seconds; below Prometheus' own scrape timeout of 10
# A host that vanished sends no refusal; without these a reading, and all scrapes behind it, wait a quarter of an hour.
GIVE_UP = {"tcp_user_timeout": 8000, "keepalives_idle": 4, "keepalives_interval": 2, "keepalives_count": 2}


@dataclass(frozen=True)
class Snapshot:
    """What one reading found: ``groups``, or ``error`` and no groups. It took ``seconds``; ``read_at`` is monotonic."""

    groups: Sequence[Group]
    seconds: float
    read_at: float
    error: str | None = None

    def render(self) -> bytes:
        """Exposition text, made once."""
        return self._text

    @cached_property
    def _text(self) -> bytes:
        return (_own_text(self) + (exposition.render(self.groups) if self.groups else "")).encode()


class Collector(RegistryCollector):
    """Newest values of every monitor: for a registry of prometheus_client, or faster by ``snapshot().render()``.

    The last known values are never given in place of new ones: while the database is away there are none, and
    ``monitoring_exporter_up`` is 0.
    """

    def __init__(
        self,
        source: Warehouse | str,
        *,
        ttl: float = TTL,
        methods: Sequence[str] = DEFAULT_METHODS,
        stale_after: float = STALE_AFTER,
        replay: bool = False,
    ) -> None:
        """``source``: a warehouse, or the URL of one. ``ttl`` in seconds. The rest: ``warehouse.exposition.Selection``.

        Reads by a connection of its own, read-only and with time limits: a scrape fails rather than waits.
        """
        url = normalized(source.url if isinstance(source, Warehouse) else source)
        options = sessions.options(
            default_transaction_read_only="on", statement_timeout=f"{STATEMENT_TIMEOUT}s", jit="off"
        )
        name = "monitoring-pipeline exporter"
        arguments = {"connect_timeout": 3, "application_name": name, "options": options, **GIVE_UP}
        self._engine = create_engine(url, pool_size=2, max_overflow=0, pool_pre_ping=True, connect_args=arguments)
        self.stale_windows = SlowReading(self._engine, StaleWindows(), every=COUNT_STALE_EVERY)
        self._selection = Selection(tuple(methods), stale_after, replay)
        self._ttl = ttl
        self._lock = threading.Lock()  # scrapes at the same moment share one reading
        self._last: Snapshot | None = None

    def snapshot(self) -> Snapshot:
        """The values as of at most ``ttl`` seconds ago."""
        with self._lock:
            if self._last is None or time.monotonic() - self._last.read_at >= self._ttl:
                before, self._last = self._last, self._read()
                _report_change(before, self._last)
            return self._last

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Families for a registry of prometheus_client."""
        snapshot = self.snapshot()
        for name, help_, value in _own(snapshot):
            yield GaugeMetricFamily(name, help_, value=value)
        yield from exposition.families(snapshot.groups)

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Nothing, so that registering does not wait for a database."""
        return iter(())

    def close(self) -> None:
        """Closes the connection to the database."""
        self._engine.dispose()

    def _read(self) -> Snapshot:
        begun = time.monotonic()
        groups: Sequence[Group]
        error: str | None
        try:
            with self._engine.connect() as connection:
                groups = [*newest_figures(connection, self._selection), *self.stale_windows.groups()]
                error = None
        except SQLAlchemyError as failure:
            groups, error = [], _reason(failure)
        now = time.monotonic()
        return Snapshot(groups, now - begun, now, error)


def _reason(failure: SQLAlchemyError) -> str:
    """One line without the statement; the driver never names the password."""
    said = failure.orig if isinstance(failure, DBAPIError) else failure
    return " ".join(str(said).split())[:500]


def _report_change(before: Snapshot | None, now: Snapshot) -> None:
    if now.error and (before is None or before.error is None):
        log.warning("the exporter cannot read its database: %s", now.error)
    elif before and before.error and not now.error:
        log.warning("the exporter reads its database again")


def _own(snapshot: Snapshot) -> tuple[tuple[str, str, float], ...]:
    up = 0.0 if snapshot.error else 1.0
    return (
        (
            "monitoring_exporter_up",
            "1 when the database was read, 0 when it could not be read; no other metrics are served then.",
            up,
        ),
        ("monitoring_exporter_query_seconds", "Duration of reading the database.", snapshot.seconds),
    )


def _own_text(snapshot: Snapshot) -> str:
    return "".join(
        f"# HELP {name} {help_}\n# TYPE {name} gauge\n{name} {value!r}\n" for name, help_, value in _own(snapshot)
    )
