"""``any`` and ``all`` of triggers."""

from __future__ import annotations

from datetime import datetime

from monitoring_pipeline.monitors.retraining import Guards, Trigger
from monitoring_pipeline.retraining.policy.decision import Signal
from monitoring_pipeline.retraining.policy.facts import Facts
from monitoring_pipeline.retraining.policy.triggers.incidents import concept, drift
from monitoring_pipeline.retraining.policy.triggers.new_labels import new_labels
from monitoring_pipeline.retraining.policy.triggers.performance import performance
from monitoring_pipeline.retraining.policy.triggers.schedule import schedule


def signals(trigger: Trigger, guards: Guards, facts: Facts, now: datetime) -> tuple[bool, tuple[Signal, ...]]:
    """Whether the whole fires, and what each simple trigger in it says.

    Of an ``all`` that does not fire as a whole no part counts as fired: its rows are not evidence.
    """
    if trigger.any:
        parts = [signals(one, guards, facts, now) for one in trigger.any]
        return any(fired for fired, _ in parts), tuple(one for _, found in parts for one in found)
    if trigger.all:
        parts = [signals(one, guards, facts, now) for one in trigger.all]
        fired = all(one for one, _ in parts)
        found = tuple(one for _, some in parts for one in some)
        return fired, found if fired else tuple(map(_not_alone, found))
    one = _simple(trigger, guards, facts, now)
    return one.fired, (one,)


def _simple(trigger: Trigger, guards: Guards, facts: Facts, now: datetime) -> Signal:
    if trigger.schedule:
        return schedule(trigger.schedule, facts, now)
    if trigger.drift:
        return drift(trigger.drift, facts, guards.persistence, guards.seasonal)
    if trigger.performance:
        return performance(trigger.performance, facts, guards.persistence)
    if trigger.new_labels:
        return new_labels(trigger.new_labels, facts)
    assert trigger.concept is not None  # a trigger has exactly one key
    return concept(trigger.concept, facts, guards.persistence)


def _not_alone(one: Signal) -> Signal:
    said = f"{one.sentence} (alone, that is not enough)" if one.fired else one.sentence
    return Signal(one.trigger, False, said)
