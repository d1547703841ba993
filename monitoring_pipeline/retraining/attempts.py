"""The course of an attempt: begun, moved on by its owner alone, taken over from a process that died, failed.

``training`` → ``trained`` → (``shadowing`` →) ``compared`` → ``promoted``, ``kept`` or ``inconclusive``; ``failed``
from any of them. Each move is one transaction that names the state it leaves and the owner's epoch.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from datetime import datetime

from sqlalchemy import Connection

from monitoring_pipeline.errors import UserError
from monitoring_pipeline.retraining.context import Attempt, AttemptState, RetrainContext
from monitoring_pipeline.warehouse import attempt_store, model_versions
from monitoring_pipeline.warehouse.ledger import lock_monitor

DIED = "the process that trained it ended before it was done; the decision is tried again"
_FIELDS = [one.name for one in fields(Attempt)]


class AttemptLostError(UserError):
    """Another process carries this attempt on; nothing of this step was written."""


@contextmanager
def ownership(ctx: RetrainContext) -> Iterator[bool]:
    """Whether this process, and no other, retrains the monitor until the end of the block."""
    with ctx.warehouse.session() as session, attempt_store.owned(session, ctx.monitor.name) as mine:
        yield mine


def open_or_waiting(ctx: RetrainContext) -> bool:
    """Whether an attempt is open or a decision waits for one."""
    name = ctx.monitor.name

    def found(conn: Connection) -> bool:
        return bool(attempt_store.open_attempt(conn, name) or attempt_store.waiting_decision(conn, name))

    return ctx.warehouse.run(found)


def resume_or_begin(ctx: RetrainContext) -> Attempt | None:
    """The open attempt, taken over; else a new one for the oldest decision without; None when there is nothing to do.

    Only for the owner: who finds an attempt in training knows that its trainer died, and begins another.
    """
    return ctx.warehouse.run(lambda conn: _resume(ctx, conn) or _begin(ctx, conn))


def _resume(ctx: RetrainContext, conn: Connection) -> Attempt | None:
    found = attempt_store.open_attempt(conn, ctx.monitor.name)
    if found is None:
        return None
    mine = attempt_store.take_over(conn, found.attempt_id, ctx.run_id)
    if mine.state == "training":
        _fail(ctx, conn, _attempt(mine), DIED)
        return None
    return _attempt(mine)


def _begin(ctx: RetrainContext, conn: Connection) -> Attempt | None:
    name = ctx.monitor.name
    lock_monitor(conn, name)
    decision = attempt_store.waiting_decision(conn, name)
    if decision is None:
        return None
    champion = model_versions.champion(conn, name)
    challenger = _name(conn, name, decision.as_of)
    begun = attempt_store.begin(conn, name, decision, challenger, champion, ctx.run_id)
    attempt_store.set_outcome(conn, decision.decision_id, "training", challenger)
    return _attempt(begun)


def _name(conn: Connection, monitor: str, as_of: datetime) -> str:
    """The day of the cut and a number: ``2013-06-01-1``."""
    prefix = f"{as_of:%Y-%m-%d}-"
    taken = attempt_store.names_taken(conn, monitor, prefix)
    return next(name for n in range(1, len(taken) + 2) if (name := f"{prefix}{n}") not in taken)


def moved(
    conn: Connection, attempt: Attempt, to: AttemptState, reason: str | None = None, until: datetime | None = None
) -> Attempt:
    """The attempt in its next state, within the caller's transaction; ``until``: end of its shadow.

    Raises AttemptLostError when another process has taken it over.
    """
    row = attempt_store.attempt(conn, attempt.attempt_id)
    owner = attempt_store.AttemptRow(**{**vars(row), "epoch": attempt.epoch, "state": attempt.state})
    if not attempt_store.advance(conn, owner, to, reason=reason, shadow_until=until):
        raise AttemptLostError(
            f"attempt {attempt.attempt_id} of {attempt.monitor} is carried on by another process (state {row.state})"
        )
    return _attempt(attempt_store.attempt(conn, attempt.attempt_id))


def fail(ctx: RetrainContext, attempt: Attempt, error: str) -> Attempt:
    """The attempt has failed, for this reason; its challenger is rejected. A decision tried often enough fails too."""
    return ctx.warehouse.run(lambda conn: _fail(ctx, conn, attempt, error))


def _fail(ctx: RetrainContext, conn: Connection, attempt: Attempt, error: str) -> Attempt:
    row = attempt_store.attempt(conn, attempt.attempt_id)
    owner = attempt_store.AttemptRow(**{**vars(row), "epoch": attempt.epoch, "state": attempt.state})
    if not attempt_store.advance(conn, owner, "failed", error=error or "no message"):
        return _attempt(row)  # another process carries it on, or it is repeated after a lost connection
    attempt_store.reject(conn, ctx.monitor.name, attempt.challenger_version)
    again = attempt_store.waiting_decision(conn, ctx.monitor.name)
    if again is None or again.decision_id != attempt.decision_id:
        attempt_store.set_outcome(conn, attempt.decision_id, "failed", attempt.challenger_version)
    return _attempt(attempt_store.attempt(conn, attempt.attempt_id))


def _attempt(row: attempt_store.AttemptRow) -> Attempt:
    return Attempt(**{name: getattr(row, name) for name in _FIELDS})
