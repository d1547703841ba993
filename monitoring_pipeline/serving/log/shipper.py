"""The shipper: the thread that takes sealed segments to the sink, a dead worker's too, and never in a request's way."""

from __future__ import annotations

import contextlib
import logging
import os
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from monitoring_pipeline.serving.log.segment import SegmentContent
from monitoring_pipeline.serving.log.sinks import Sink
from monitoring_pipeline.serving.log.spool import Spool, adopt, bury, set_aside
from monitoring_pipeline.serving.rows import RowBatch, RowSchema

logger = logging.getLogger(__name__)
LONGEST_PAUSE = 30.0
POLITE = 0.0005  # seconds of rest between slices of work that hold the interpreter lock


@dataclass
class ShipperReport:
    """What happened so far, for metrics and tests."""

    shipped: int = 0
    damaged: int = 0
    sink_up: bool = True
    adopted: list[str] = field(default_factory=list)


class Shipper:
    """Runs until ``stop``. ``count(what, n)`` is told of shipped rows and of dropped or damaged ones."""

    def __init__(
        self, directory: Path, spool: Spool, sink: Sink, max_age: float, count: Callable[[str, int], None]
    ) -> None:
        self._directory, self._spool, self._sink, self._max_age, self._count = directory, spool, sink, max_age, count
        self.report = ShipperReport()
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._failures = 0
        self._not_before = 0.0
        self._quiet_until: dict[str, float] = {}
        self._thread = threading.Thread(target=self._run, name="prediction-log-shipper", daemon=True)
        self._thread.start()

    def stop(self, timeout: float) -> None:
        self._stop.set()
        self._wake.set()
        self._thread.join(timeout)

    def _run(self) -> None:
        tick = min(0.25, self._max_age / 4)
        next_adoption = 0.0
        self._guard("prepare", self._sink.prepare)
        while not self._stop.is_set():
            self._guard("spool", self._keep_house)
            if time.monotonic() >= self._not_before:
                self.ship_own()
                if time.monotonic() >= next_adoption:
                    next_adoption = time.monotonic() + 5.0
                    self._guard("adopt", self.ship_orphans)
            self._wake.wait(tick)

    def _keep_house(self) -> None:
        self._spool.rotate_by_age(self._max_age)
        self._spool.prepare_spare()
        self._spool.seal_retired()

    def ship_own(self, deadline: float = float("inf")) -> bool:
        """Ships what is sealed, oldest first; stops at the first failure or at ``deadline`` (monotonic)."""
        while time.monotonic() < deadline:
            path = self._spool.next_sealed()
            if path is None:
                return True
            if not self._ship(path):
                self._spool.not_shipped()
                return False
            self._spool.shipped(path)
        return False

    def ship_orphans(self) -> None:
        """Adopts and ships the files of dead workers. Raises OSError."""
        for worker, fd, paths in adopt(self._directory, self._spool.worker):
            if paths:
                self.report.adopted.append(worker)
                logger.warning(
                    "%s: shipping what worker %s left behind (%d files)", self._directory, worker, len(paths)
                )
            try:
                for path in paths:
                    if not self._ship(path):
                        break
                    path.unlink(missing_ok=True)
            finally:
                bury(self._directory, worker, fd)

    def _ship(self, path: Path) -> bool:
        """True when the file may be deleted: its good rows are in the sink, its damaged stretches set aside."""
        try:
            content = SegmentContent(path, POLITE)
            batch = self._decode(path, content)
            if batch is not None and len(batch.ids):
                self._sink.write(path.stem, batch)
        except Exception as error:  # noqa: BLE001 — a sink may raise anything; it is counted, logged and tried again
            self._failed(path, error)
            return False
        self._failures, self._not_before, self.report.sink_up = 0, 0.0, True
        n = 0 if batch is None else len(batch.ids)
        self.report.shipped += n
        self._count("shipped", n)
        return True

    def _decode(self, path: Path, content: SegmentContent) -> RowBatch | None:
        """Rows of the intact frames; a file without a readable schema is set aside whole. Raises OSError."""
        if content.damaged:
            self.report.damaged += len(content.damaged)
            self._count("corrupt", len(content.damaged))
            aside = set_aside(path, content)
            size = sum(len(data) for _, data in content.damaged)
            logger.error("%s: %d damaged stretches (%d bytes) are kept in %s; the good rows are shipped",
                         path, len(content.damaged), size, aside)  # fmt: skip
        if not content.bodies:
            return None
        try:
            return RowBatch.from_bodies(RowSchema.from_bytes(content.schema or b""), content.bodies, POLITE)
        except (ValueError, KeyError, TypeError) as error:
            self._keep_whole(path, error)
            return None

    def _keep_whole(self, path: Path, error: Exception) -> None:
        aside = path.with_suffix(".whole.corrupt")
        with contextlib.suppress(FileExistsError):
            os.link(path, aside)
        self._count("corrupt", 1)
        logger.error("%s: its rows cannot be read (%s); the whole file is kept as %s", path, error, aside)

    def _failed(self, path: Path, error: Exception) -> None:
        self._failures += 1
        pause = min(LONGEST_PAUSE, 0.25 * 2**self._failures) * random.uniform(0.5, 1.0)
        self._not_before = time.monotonic() + pause
        self.report.sink_up = False
        self._count("sink_failures", 1)
        self._log("sink", "%s: shipping failed (%s: %s); the rows stay in the spool, next try in %.1f s",
                  path.name, type(error).__name__, str(error)[:500], pause)  # fmt: skip

    def _guard(self, what: str, work: Callable[[], None]) -> None:
        """The thread outlives any failure, and says so."""
        try:
            work()
        except Exception as error:  # noqa: BLE001 — reported; the thread is the only one that ships
            self._log(what, "prediction log: %s failed: %s: %s", what, type(error).__name__, error)

    def _log(self, kind: str, message: str, *arguments: object) -> None:
        """At most once in ten seconds a kind."""
        now = time.monotonic()
        if now >= self._quiet_until.get(kind, 0.0):
            self._quiet_until[kind] = now + 10.0
            logger.error(message, *arguments)
