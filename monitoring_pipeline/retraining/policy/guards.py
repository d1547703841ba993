"""Guards: what holds a retraining back although a trigger fired, and when each lets go."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta

from monitoring_pipeline.monitors.durations import as_text
from monitoring_pipeline.monitors.retraining import RetrainPolicy
from monitoring_pipeline.retraining.policy.decision import Held
from monitoring_pipeline.retraining.policy.facts import Facts, PastRetraining
from monitoring_pipeline.retraining.policy.rows import rows_to_fit


def holding(
    policy: RetrainPolicy, facts: Facts, now: datetime, trigger: str, since: datetime | None = None
) -> tuple[Held, ...]:
    """The guards that hold. ``since``: when the change that ``trigger`` saw began."""
    found = (
        open_attempt(facts),
        freeze(policy, now),
        too_many(policy, facts, now),
        too_long(policy, facts, now),
        clock(facts, now),
        cooldown(policy, facts, now),
        change(policy, trigger, since),
        labels(policy, facts, trigger, since),
    )
    return tuple(one for one in found if one is not None)


def open_attempt(facts: Facts) -> Held | None:
    """One retraining at a time."""
    if facts.attempt is None:
        return None
    state, since = facts.attempt.state, f"{facts.attempt.since:%Y-%m-%d %H:%M}"
    said = {"decided": "is decided and not begun", "failed": "failed and is tried again"}.get(
        state, f"is in state {state}"
    )
    return Held("open attempt", f"the retraining of {since} UTC {said}")


def freeze(policy: RetrainPolicy, now: datetime) -> Held | None:
    """Days on which nothing is retrained."""
    for one in policy.guards.freeze:
        if one.from_ <= now.astimezone(UTC).date() < one.to:
            ends = datetime.combine(one.to, time(), UTC)
            return Held("freeze", f"nothing is retrained from {one.from_} to {one.to}", ends, forbids=True)
    return None


def too_many(policy: RetrainPolicy, facts: Facts, now: datetime) -> Held | None:
    """Retrainings of the calendar month (UTC)."""
    most, done = policy.guards.max_per_month, _this_month(facts, now)
    if most is None or len(done) < most:
        return None
    said = f"{len(done)} of {most} retrainings of the month are used up"
    return Held("max_per_month", said, _next_month(now), forbids=True)


def too_long(policy: RetrainPolicy, facts: Facts, now: datetime) -> Held | None:
    """Minutes of training in the calendar month (UTC)."""
    most, spent = policy.guards.max_minutes_per_month, sum(one.minutes for one in _this_month(facts, now))
    if most is None or spent < most:
        return None
    said = f"{spent:.1f} of {most:g} minutes of training of the month are used up"
    return Held("max_minutes_per_month", said, _next_month(now), forbids=True)


def clock(facts: Facts, now: datetime) -> Held | None:
    """A clock that went back must not fire again for what lies behind it."""
    last = facts.last_retraining
    if last is None or last.as_of <= now:
        return None
    said = f"the last retraining speaks of {last.as_of:%Y-%m-%d %H:%M} UTC, later than now"
    return Held("clock", said, last.as_of)


def cooldown(policy: RetrainPolicy, facts: Facts, now: datetime) -> Held | None:
    """Least time between two trainings."""
    last = facts.last_retraining
    if last is None or now >= (free := last.as_of + policy.cooldown):
        return None
    said = f"the last retraining was on {last.as_of:%Y-%m-%d} and the cooldown is {as_text(policy.cooldown)}"
    return Held("cooldown", f"{said}: free on {free:%Y-%m-%d %H:%M} UTC", free)


def labels(policy: RetrainPolicy, facts: Facts, trigger: str, since: datetime | None) -> Held | None:
    """Mature labelled rows to fit on: of the training window, without those of held-out days and of the comparison."""
    n, needed = rows_to_fit(policy, facts, trigger, since), policy.guards.min_labels
    if n >= needed:
        return None
    lacking = f"{needed:,} are needed: {needed - n:,} are lacking"
    return Held("min_labels", f"{n:,} mature labelled rows to train on, {lacking}")


def change(policy: RetrainPolicy, trigger: str, since: datetime | None) -> Held | None:
    """Rows since a change can be taken only where the trigger has seen one."""
    if policy.training.window != "since_change" or since is not None:
        return None
    said = f"{trigger} says of no change when it began, and `training.window` is since_change"
    return Held("since_change", said, forbids=True)


def _this_month(facts: Facts, now: datetime) -> Sequence[PastRetraining]:
    month = now.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return [one for one in facts.retrainings if month <= one.as_of < _next_month(now)]


def _next_month(now: datetime) -> datetime:
    day = now.astimezone(UTC).replace(day=28, hour=0, minute=0, second=0, microsecond=0) + timedelta(days=4)
    return day.replace(day=1)
