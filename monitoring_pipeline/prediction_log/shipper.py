"""The shipper: the thread that takes sealed segments to the sink, a dead worker's too, and never in a request's way."""

from __future__ import annotations

import concurrent.futures.thread  # noqa: F401 — see below
import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, Literal

from monitoring_pipeline.prediction_log.attempts import Attempts
from monitoring_pipeline.prediction_log.decoding import POLITE, Decode, Decoded, R, owner_of
from monitoring_pipeline.prediction_log.segment import SegmentContent, schema_of
from monitoring_pipeline.prediction_log.sinks import Sink
from monitoring_pipeline.prediction_log.spool import Spool, adopt, as_refused, bury, living, set_aside

# ``concurrent.futures.thread`` asks to be called at the end of the interpreter, and cannot once the end has begun. What
# a sink imports (pandas, by way of pyarrow) imports it: of a short script as late as that.

logger = logging.getLogger(__name__)
ADOPTION_SECONDS = 5.0
HANGS_SECONDS = 60.0  # a sink that takes longer for one segment is taken to be away
LONGEST_IMPORT = 30.0  # seconds
Outcome = Literal["shipped", "waits", "refused", "gone"]


class _Forks:
    """A process that forks waits for imports that a shipper has begun: the child could never finish them, nor begin
    them anew, and would ship nothing. A server that loads its application and then forks its workers does just that.
    """

    def __init__(self) -> None:
        self.excluded = threading.Lock()
        self._waited = False
        os.register_at_fork(before=self._before, after_in_parent=self._in_parent, after_in_child=self._in_child)

    def _before(self) -> None:
        self._waited = self.excluded.acquire(timeout=LONGEST_IMPORT)

    def _in_parent(self) -> None:
        if self._waited:
            self.excluded.release()

    def _in_child(self) -> None:
        self.excluded = threading.Lock()


_forks = _Forks()


@dataclass
class ShipperReport:
    """What happened so far, for metrics and tests."""

    shipped: int = 0
    damaged: int = 0
    adopted: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)


class Shipper(Generic[R]):
    """Runs until ``stop``. ``decode`` makes of a segment's bodies what ``sink`` takes; ``mark`` is the spool's.

    ``count(what, n)`` is told of rows that were ``shipped`` and ``refused``, of ``corrupt`` stretches of files, of
    ``sink_failures``, of rows in files that somebody deleted (``dropped:deleted``).
    """

    def __init__(
        self,
        directory: Path,
        spool: Spool,
        sink: Sink[R],
        decode: Decode[R],
        max_age: float,
        count: Callable[[str, int], None],
        mark: bytes = b"",
    ) -> None:
        self._directory, self._spool, self._sink, self._decode = directory, spool, sink, decode
        self._max_age, self._count = max_age, count
        self._attempts = Attempts()
        self._asked_at: float | None = None
        self._mark, self._seen = mark, set[str]()
        self.neighbours = 0
        """Other living workers of the same mark, which had been there some seconds before as well."""
        self.report = ShipperReport()
        self._stop = threading.Event()
        self._quiet_until: dict[str, float] = {}
        self._thread = threading.Thread(target=self._run, name="prediction-log-shipper", daemon=True)
        self._thread.start()

    @property
    def sink_up(self) -> bool:
        """False after a failure that is not known to be the segment's own, and while one segment takes a minute."""
        asked = self._asked_at
        return self._attempts.sink_up and (asked is None or time.monotonic() - asked < HANGS_SECONDS)

    def stop(self, timeout: float) -> None:
        """Ends the thread."""
        self._stop.set()
        self._thread.join(timeout)

    def _run(self) -> None:
        tick = min(0.25, self._max_age / 4)
        next_adoption = 0.0
        self._guard("prepare", self._prepare)
        while not self._stop.is_set():
            self._guard("spool", self._keep_house)
            busy = self._guard("ship", self._ship_next)
            if time.monotonic() >= next_adoption:
                next_adoption = time.monotonic() + ADOPTION_SECONDS
                self._guard("adopt", self.ship_orphans)
                self._guard("neighbours", self._look_around)
            if not busy:
                self._stop.wait(tick)

    def _prepare(self) -> None:
        with _forks.excluded:
            self._sink.prepare()

    def _look_around(self) -> None:
        """Twice the same, since a worker that is being replaced lives on for a moment."""
        now = living(self._directory, self._spool.worker, self._mark)
        self.neighbours, self._seen = len(now & self._seen), now

    def _keep_house(self) -> None:
        self._spool.notice_deletion()
        self._spool.rotate_by_age(self._max_age)
        self._spool.prepare_spare()
        self._spool.seal_retired()
        self._spool.delete_shipped()

    def _ship_next(self) -> bool:
        """One sealed segment of this worker's; False when it is no one's turn, or to no avail. Raises OSError."""
        path = self._spool.next_sealed(self._attempts.next)
        return path is not None and self._ship_own(path) == "shipped"

    def ship_own(self, deadline: float) -> None:
        """Everything sealed, once more, without regard to pauses; until ``deadline`` (monotonic) or the sink is away.

        For the end, when the thread has stopped.
        """
        tried: set[Path] = set()

        def untried(paths: Iterable[Path]) -> Path | None:
            return min((p for p in paths if p not in tried), key=self._attempts.turn, default=None)

        while time.monotonic() < deadline and (path := self._spool.next_sealed(untried)) is not None:
            tried.add(path)
            if self._ship_own(path) == "waits" and self._attempts.resting:
                return

    def _ship_own(self, path: Path) -> Outcome:
        outcome = self._ship(path)
        if outcome == "shipped":
            self._spool.shipped(path)
        elif outcome == "refused":
            self._spool.refused(path)
        elif outcome == "gone":
            self._count("dropped:deleted", self._spool.shipped(path))
        else:
            self._spool.not_shipped()
        return outcome

    def ship_orphans(self) -> None:
        """Takes back files that were set aside and renamed; adopts and ships those of dead workers. Raises OSError.

        Not those of another monitor, which may share the spool: their rows belong into another sink.
        """
        self._attempts.keep_only_existing()
        self._spool.take_back()
        for worker, fd, found in adopt(self._directory, self._spool.worker):
            paths = [p for p in found if self._is_ours(p)]
            if len(paths) < len(found) and worker not in self.report.foreign:
                self.report.foreign.append(worker)
                logger.warning("%s: what worker %s left behind is of another monitor; a worker of that one ships it",
                               self._directory, worker)  # fmt: skip
            if paths and worker not in self.report.adopted:
                self.report.adopted.append(worker)
                logger.warning(
                    "%s: shipping what worker %s left behind (%d files)", self._directory, worker, len(paths)
                )
            try:
                self._ship_all(paths)
            finally:
                bury(self._directory, worker, fd)

    def _is_ours(self, orphan: Path) -> bool:
        """What cannot be read is: to be set aside, and said."""
        return owner_of(schema_of(orphan)) in (None, owner_of(self._spool.schema))

    def _ship_all(self, orphans: list[Path]) -> None:
        waiting = set(orphans)
        while not self._stop.is_set() and (path := self._attempts.next(waiting)) is not None:
            outcome = self._ship(path)
            if outcome == "shipped":
                path.unlink(missing_ok=True)
            elif outcome == "refused":
                path.rename(as_refused(path))
            waiting.discard(path)
            self._guard("spool", self._keep_house)

    def _ship(self, path: Path) -> Outcome:
        """``shipped``: the file may be deleted, its good rows are in the sink, what is unreadable is set aside."""
        try:
            content = SegmentContent(path, POLITE)
        except FileNotFoundError:
            logger.error("%s was deleted before it was shipped: its rows are lost", path)
            self._attempts.forget(path)
            return "gone"
        except OSError as error:
            return self._failed(path, 0, error)
        n = 0
        try:
            found = self._decode(content.schema or b"", content.bodies) if content.bodies else Decoded[R](None)
            if found.rows is not None and (n := len(found.rows.ids)):
                self._write(path.stem, found.rows)
            self._keep_unreadable(path, content, found)
        except Exception as error:  # noqa: BLE001 — a sink may raise anything; it is counted, logged and tried again
            return self._failed(path, n, error)
        if n:
            self._attempts.shipped(path)
        else:
            self._attempts.forget(path)  # nothing was asked of the sink
        self.report.shipped += n
        self._count("shipped", n)
        return "shipped"

    def _write(self, name: str, rows: R) -> None:
        self._asked_at = time.monotonic()
        try:
            self._sink.write(name, rows)
        finally:
            self._asked_at = None

    def _keep_unreadable(self, path: Path, content: SegmentContent, found: Decoded[R]) -> None:
        """After the good rows are in the sink, so that one that is away does not make it tell the same again."""
        if content.damaged:
            aside = set_aside(path, content)
            self.report.damaged += len(content.damaged)
            self._count("corrupt", len(content.damaged))
            size = sum(len(data) for _, data in content.damaged)
            logger.error("%s: %d damaged stretches (%d bytes) are kept in %s; the good rows are shipped",
                         path, len(content.damaged), size, aside)  # fmt: skip
        if found.unreadable:
            aside = path.with_suffix(".whole.corrupt")
            with contextlib.suppress(FileExistsError):
                os.link(path, aside)
            self._count("corrupt", 1)
            logger.error("%s: rows cannot be read (%s); the whole file is kept as %s", path, found.unreadable, aside)

    def _failed(self, path: Path, n: int, error: Exception) -> Outcome:
        pause = self._attempts.failed(path)
        self._count("sink_failures", 1)
        why = f"{type(error).__name__}: {str(error)[:500]}"
        if self._attempts.refused(path):
            self._attempts.forget(path)
            self._count("refused", max(1, n))
            logger.error("%s: the sink keeps rejecting it and accepts others (%s); its %d rows are kept in %s. "
                         "Fix the cause, then rename the file to %s",
                         path, why, n, as_refused(path).name, path.with_suffix(".sealed").name)  # fmt: skip
            return "refused"
        self._log("sink", "%s: shipping failed (%s); the rows stay in the spool, next try in %.1f s",
                  path.name, why, pause)  # fmt: skip
        return "waits"

    def _guard(self, what: str, work: Callable[[], bool | None]) -> bool:
        """The thread outlives any failure, and says so. What ``work`` returned; False when it failed."""
        try:
            return bool(work())
        except Exception as error:  # noqa: BLE001 — reported; the thread is the only one that ships
            self._log(what, "prediction log: %s failed: %s: %s", what, type(error).__name__, error)
            return False

    def _log(self, kind: str, message: str, *arguments: object) -> None:
        """At most once in ten seconds a kind."""
        now = time.monotonic()
        if now >= self._quiet_until.get(kind, 0.0):
            self._quiet_until[kind] = now + 10.0
            logger.error(message, *arguments)
