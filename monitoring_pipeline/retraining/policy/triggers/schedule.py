"""Retraining by the calendar."""

from __future__ import annotations

from datetime import datetime, timedelta

from croniter import CroniterBadDateError, croniter

from monitoring_pipeline.retraining.policy.decision import Signal
from monitoring_pipeline.retraining.policy.facts import Facts

NAME = "schedule"


def last_due(cron: str, now: datetime) -> datetime | None:
    """The latest moment at or before ``now`` (UTC) that a cron schedule names; None for one that never comes."""
    try:
        return croniter(cron, now + timedelta(seconds=1)).get_prev(datetime)
    except CroniterBadDateError:
        return None


def schedule(cron: str, facts: Facts, now: datetime) -> Signal:
    """Fires once for the latest due moment that no retraining has followed yet."""
    due = last_due(cron, now)
    since = _counted_from(facts)
    if due is None or (since is not None and due <= since) or _key(due) in facts.used:
        return Signal(NAME, False, f"schedule `{cron}` is not due{_next(cron, now)}")
    return Signal(NAME, True, f"schedule `{cron}` was due at {due:%Y-%m-%d %H:%M} UTC", (_key(due),))


def _counted_from(facts: Facts) -> datetime | None:
    """A due moment before the champion's cut, the last retraining or the first window asks for nothing."""
    moments = [facts.first_window] if facts.first_window else []
    if facts.champion and facts.champion.cut:
        moments.append(facts.champion.cut)
    if facts.last_retraining:
        moments.append(facts.last_retraining.as_of)
    return max(moments, default=None)


def _next(cron: str, now: datetime) -> str:
    try:
        return f"; next at {croniter(cron, now).get_next(datetime):%Y-%m-%d %H:%M} UTC"
    except CroniterBadDateError:
        return " and never will be"


def _key(due: datetime) -> str:
    return f"schedule:{due.isoformat()}"
