"""The decision: triggers first, then what holds it back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from monitoring_pipeline.monitors.retraining import RetrainPolicy
from monitoring_pipeline.retraining.policy.decision import NOTHING, PERSON, Answer, Decision, Held, Signal
from monitoring_pipeline.retraining.policy.facts import Facts
from monitoring_pipeline.retraining.policy.guards import holding, open_attempt
from monitoring_pipeline.retraining.policy.triggers.combining import signals
from monitoring_pipeline.retraining.policy.triggers.incidents import newest_change


def decide(policy: RetrainPolicy, facts: Facts, now: datetime) -> Decision:
    """Whether to retrain at ``now`` (aware, UTC). Equal facts give an equal decision; nothing is read or written."""
    fired, found = signals(policy.when, policy.guards, facts, now)
    if not fired:
        return Decision("wait", NOTHING, f"Nothing asks for it: {_sentences(found)}.", found)
    asking = [one for one in found if one.fired]
    trigger = "+".join(dict.fromkeys(one.trigger for one in asking))
    since = min((one.since for one in asking if one.since), default=None)
    held = holding(policy, facts, now, trigger, since)
    why = _sentences(asking)
    if held:
        answer: Answer = "skip" if any(one.forbids for one in held) else "wait"
        return Decision(answer, trigger, f"Asked for by {why}; not now: {_sentences(held)}.", found, held)
    return Decision("retrain", trigger, f"Retrain: {why}.", found)


def asked_by_person(
    policy: RetrainPolicy, facts: Facts, now: datetime, who: str, reason: str | None = None
) -> Decision:  # fmt: skip
    """A person's request: guards do not hold it back, and are named; only an attempt that is open does.

    ``who`` tells this request from others: it is the evidence. Where the training wants the rows since a change, that
    is the newest one of which an incident is open.
    """
    why = reason or "a person asked for it"
    if (busy := open_attempt(facts)) is not None:
        return Decision("wait", PERSON, f"Asked for: {why}; not now: {busy.sentence}.", (), (busy,), (who,))
    seen = newest_change(facts) if policy.training.window == "since_change" else None
    ignored = holding(policy, facts, now, PERSON, seen.since if seen else None)
    besides = f" Without a request it would have waited: {_sentences(ignored)}." if ignored else ""
    return Decision("retrain", PERSON, f"Retrain: {why}.{besides}", (seen,) if seen else (), (), (who,))


def _sentences(said: Sequence[Signal] | Sequence[Held]) -> str:
    return "; ".join(one.sentence for one in said)
