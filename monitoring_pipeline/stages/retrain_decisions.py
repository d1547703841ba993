"""Whether to retrain: reads the facts, asks the policy, keeps the decision. Every evaluation is in a row."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from sqlalchemy import Connection

from monitoring_pipeline.errors import UserError
from monitoring_pipeline.monitors import Monitor
from monitoring_pipeline.monitors.retraining import RetrainPolicy
from monitoring_pipeline.retraining.context import RetrainContext
from monitoring_pipeline.retraining.policy import Decision, Facts, decide
from monitoring_pipeline.retraining.policy.deciding import asked_by_person
from monitoring_pipeline.retraining.policy.decision import Held
from monitoring_pipeline.stages.retrain_facts import Moment, read_facts
from monitoring_pipeline.warehouse import retrain_decisions, retrain_facts
from monitoring_pipeline.warehouse.retrain_decisions import DecisionRow, NewDecision
from monitoring_pipeline.windows import LENGTH

STILL = 3
"""Windows without a new one after which a monitor's clock stands still: a replay lives in its own time."""
Deciding = Callable[[RetrainPolicy, Facts, datetime], Decision]


def evaluate(ctx: RetrainContext, as_of: datetime | None = None) -> DecisionRow:
    """What the declared policy says of the newest judged window, kept as a row.

    ``as_of`` (aware): replays history. Only windows that ended by then count, with the labels that had arrived. An
    equal decision is counted in the row of the last one. Raises UserError when no window is judged yet.
    """
    return ctx.warehouse.run(lambda conn: _decided(conn, ctx, as_of, decide))


def ask(ctx: RetrainContext, reason: str | None = None, as_of: datetime | None = None) -> DecisionRow:
    """A person's request to retrain, kept as a decision: guards do not hold it back, an open attempt does."""
    who = f"person:{datetime.now(UTC).isoformat()}"

    def deciding(policy: RetrainPolicy, facts: Facts, now: datetime) -> Decision:
        return asked_by_person(policy, facts, now, who, reason)

    return ctx.warehouse.run(lambda conn: _decided(conn, ctx, as_of, deciding))


def policy_version(policy: RetrainPolicy) -> str:
    """First 12 hex digits of the SHA-256 of the ``retrain`` section."""
    text = json.dumps(policy.model_dump(mode="json", by_alias=True), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _decided(conn: Connection, ctx: RetrainContext, as_of: datetime | None, deciding: Deciding) -> DecisionRow:
    monitor = ctx.monitor
    retrain_decisions.lock_decisions(conn, monitor.name)
    at = moment_of(conn, monitor, as_of)
    facts = read_facts(conn, monitor, ctx.settings, at)
    decision = deciding(monitor.retrain, facts, at.now)
    made = _new(decision, at, monitor.retrain)
    row = retrain_decisions.write(conn, monitor.name, made, ctx.run_id)
    if row is None:
        row = retrain_decisions.write(conn, monitor.name, _new(_again(decision), at, monitor.retrain), ctx.run_id)
    assert row is not None  # only a retraining can be refused
    return row


def moment_of(conn: Connection, monitor: Monitor, as_of: datetime | None, now: datetime | None = None) -> Moment:
    """What the policy takes for now. Raises UserError when no window had been judged by then."""
    wall = now or datetime.now(UTC)
    newest = retrain_facts.newest_judged(conn, monitor.name, as_of or wall, 1)
    if not newest:
        by_then = f" that ended by {as_of:%Y-%m-%d %H:%M} UTC" if as_of else ""
        raise UserError(
            f"{monitor.name}: no window{by_then} is judged yet; run `monitoring-pipeline run {monitor.name}` first"
        )
    until = newest[0].window_end
    if as_of is not None:
        return Moment(until, as_of, replayed=True)
    lives = wall - until <= STILL * LENGTH[monitor.window]
    return Moment(until, wall if lives else until, replayed=False)


def _new(decision: Decision, at: Moment, policy: RetrainPolicy) -> NewDecision:
    return NewDecision(
        as_of=at.until,
        trigger=decision.trigger,
        decision=decision.answer,
        reason=decision.reason,
        evidence=decision.evidence(),
        evidence_key=decision.evidence_key,
        fold_key=decision.fold_key,
        policy_version=policy_version(policy),
    )


def _again(decision: Decision) -> Decision:
    held = Held("evidence", "the same evidence has already led to a retraining")
    return replace(
        decision, answer="wait", held=(held,), reason=f"{decision.reason.rstrip('.')}; not now: {held.sentence}."
    )
