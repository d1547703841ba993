"""The skeleton of every stage: compute window by window, write some windows together, note what each was made from."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Generic, TypeVar

from sqlalchemy import Connection

from monitoring_pipeline.errors import UserError, WarehouseError
from monitoring_pipeline.monitors import Window
from monitoring_pipeline.records import Stage
from monitoring_pipeline.stages.catalogue import BY_NAME
from monitoring_pipeline.stages.context import Facts, StageContext, WindowOutcome, failed
from monitoring_pipeline.stages.inputs import Inputs
from monitoring_pipeline.warehouse import ledger
from monitoring_pipeline.warehouse.ledger import Completed
from monitoring_pipeline.warehouse.measurement_store import Provenance

log = logging.getLogger(__name__)

WINDOWS_AT_ONCE = 32
SECONDS_AT_ONCE = 1.0
"""Windows are written together: a transaction costs as much as a small window. What waits longer than this is written
before anything else is computed, so that a kill costs no more than that."""

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Computed(Generic[T]):
    """What a stage made of one window, and from what; it is not written yet."""

    value: T
    made: Provenance
    inputs: Inputs


@dataclass(frozen=True)
class Wrote:
    """What was written of one window. ``output_version`` None: the same as stood before."""

    output_version: str | None
    facts: Facts


Compute = Callable[[Window], Computed[T] | Facts]
Write = Callable[[Connection, Sequence[tuple[Window, Computed[T]]]], Sequence[Wrote]]


def each_window(
    stages: StageContext,
    stage: Stage,
    windows: Sequence[Window],
    compute: Compute[T],
    write: Write[T],
    label_batches: Mapping[datetime, int] | None = None,
    can_be_recomputed: bool = True,
) -> list[WindowOutcome]:
    """``compute`` on each window in turn and ``write`` on what some of them gave; one that fails is recorded with its
    reason and the others go on.

    ``compute`` may return bare facts: there is nothing to write. ``write`` runs in a transaction that holds the locks
    of its windows; when it fails, each of them is written in a transaction of its own, to find the bad one. Only a lost
    database ends the whole: what comes next would fail alike. ``can_be_recomputed``: see ``Warehouse.run``.
    """
    run = _Run(stages, stage, write, label_batches or {}, can_be_recomputed)
    for window in windows:
        run.compute(window, compute)
        if run.is_due():
            run.flush()
        stages.advance(stage, len(run.outcomes), len(windows))
    run.flush()
    stages.advance(stage, len(windows), len(windows))
    return [run.outcomes[window] for window in windows]


def read_ahead(
    windows: Sequence[Window], prepare: Callable[[Sequence[Window]], R], at_once: int = WINDOWS_AT_ONCE
) -> Callable[[Window], R]:
    """What ``prepare`` reads for a window and those that follow, kept until one is asked for that it did not read."""
    ahead: dict[Window, R] = {}

    def of(window: Window) -> R:
        if window not in ahead:
            at = windows.index(window)
            some = windows[at : at + at_once]
            ahead.clear()
            ahead.update(dict.fromkeys(some, prepare(some)))
        return ahead[window]

    return of


class _Run(Generic[T]):
    """One stage over some windows: how each went, and which are computed and not yet written."""

    def __init__(
        self,
        stages: StageContext,
        stage: Stage,
        write: Write[T],
        label_batches: Mapping[datetime, int],
        can_be_recomputed: bool,
    ) -> None:
        self.outcomes: dict[Window, WindowOutcome] = {}
        self._stages, self._stage, self._write = stages, stage, write
        self._label_batches, self._can_be_recomputed = label_batches, can_be_recomputed
        self._waiting: list[tuple[Window, Computed[T]]] = []
        self._since = 0.0

    def compute(self, window: Window, compute: Compute[T]) -> None:
        self._attempt(window, lambda: self._take(window, compute(window)))

    def _take(self, window: Window, result: Computed[T] | Facts) -> None:
        if not isinstance(result, Computed):
            self._done(window, result)
            return
        if not self._waiting:
            self._since = time.monotonic()
        self._waiting.append((window, result))

    def is_due(self) -> bool:
        waited = time.monotonic() - self._since
        return bool(self._waiting) and (len(self._waiting) >= WINDOWS_AT_ONCE or waited > SECONDS_AT_ONCE)

    def flush(self) -> None:
        """Writes what waits, together or, when that fails, one by one."""
        some, self._waiting = self._waiting, []
        try:
            if len(some) > 1:
                self._write_together(some)
        except WarehouseError:
            raise
        except Exception:  # whatever it is, the windows that are not to blame must not suffer from it
            log.warning("%d windows could not be written together; one by one", len(some), exc_info=True)
        for one in some:
            if one[0] not in self.outcomes:
                self._attempt(one[0], partial(self._write_together, [one]))

    def _write_together(self, some: Sequence[tuple[Window, Computed[T]]]) -> None:
        wrote = self._stages.warehouse.run(lambda conn: self._transaction(conn, some), self._can_be_recomputed)
        for (window, _), one in zip(some, wrote, strict=True):
            self._done(window, one.facts)

    def _transaction(self, conn: Connection, some: Sequence[tuple[Window, Computed[T]]]) -> Sequence[Wrote]:
        """Notes in the same transaction what the stage read."""
        name, config = self._stages.monitor.name, BY_NAME[self._stage].config(self._stages.monitor)
        ledger.lock_windows(conn, name, [window for window, _ in some])
        wrote = self._write(conn, some)
        completed = [
            Completed(
                window, **vars(one.made), inputs={**one.inputs, "config": config}, output_version=w.output_version
            )
            for (window, one), w in zip(some, wrote, strict=True)
        ]
        ledger.complete_stages(conn, name, self._stage, completed)
        return wrote

    def _done(self, window: Window, facts: Facts) -> None:
        self.outcomes[window] = WindowOutcome(window, self._stage, facts=facts)

    def _attempt(self, window: Window, work: Callable[[], None]) -> None:
        """``work``; why it failed is recorded as the window's outcome."""
        try:
            work()
        except WarehouseError:
            raise
        except UserError as error:
            self._fail(window, str(error))
        except Exception as error:  # a defect met by one window must not take the others with it; it is reported
            log.exception("%s of %s, window %s", self._stage, self._stages.monitor.name, window)
            self._fail(window, f"unexpected {type(error).__name__}: {error} (the traceback is in the run's log)")

    def _fail(self, window: Window, reason: str) -> None:
        self.outcomes[window] = failed(self._stages, self._stage, window, reason, self._label_batches)
