"""Which rows a training sees: what the policy counts, and what the training set then holds."""

from __future__ import annotations

from datetime import UTC, date, datetime, time

from monitoring_pipeline.monitors.retraining import RetrainPolicy
from monitoring_pipeline.retraining.held_out import EVERY, held_out_days
from monitoring_pipeline.retraining.policy.facts import Facts

ON_PERFORMANCE = ("performance", "concept")
"""Triggers after which the newest rows are trained on: what changed is in them, and the rows before say nothing."""


def shadow_first(policy: RetrainPolicy, trigger: str) -> bool:
    """Whether the challenger of such a decision is compared on windows that follow, and may see the newest ones.

    Otherwise the newest ``promote.compare_on`` is kept from it, to compare it on.
    """
    if policy.promote.shadow == "after_performance":
        return any(name in trigger for name in ON_PERFORMANCE) or policy.training.window == "since_change"
    return policy.promote.shadow == "always"


def training_window(
    policy: RetrainPolicy, trigger: str, newest: datetime, since: datetime | None
) -> tuple[datetime | None, datetime]:  # fmt: skip
    """[start, end) of event time of the rows that are trained on; start None: from the first.

    ``newest``: end of the newest mature window. ``since``: when the change that ``trigger`` saw began.
    """
    training = policy.training
    end = newest if shadow_first(policy, trigger) else newest - policy.promote.compare_on
    if training.window == "chosen" and training.from_ and training.to:
        return _midnight(training.from_), min(_midnight(training.to), newest)
    if training.window == "since_change":
        return since, newest
    return (end - policy.train_on if training.window == "sliding" else None), end


def rows_to_fit(policy: RetrainPolicy, facts: Facts, trigger: str, since: datetime | None) -> int:
    """How many labelled rows a training would be fitted on now; of the reference four fifths, its days are not known.

    Mature windows of the training window count, without held-out days; where the champion is continued, those that it
    has not seen.
    """
    mature = [one for one in facts.labels if one.mature]
    if not mature:
        return 0
    start, end = training_window(policy, trigger, mature[-1].window.end, since)
    inside = [one for one in mature if one.window.end <= end and (start is None or one.window.start >= start)]
    out = held_out_days(start or facts.first_window or mature[0].window.start, end) if inside else frozenset()
    seen = facts.champion.continues_at if facts.champion and policy.training.mode == "stateful" else None
    fresh = [one for one in inside if seen is None or one.window.start >= seen]
    n = sum(one.n_labelled for one in fresh if one.window.start.astimezone(UTC).date() not in out)
    before = facts.n_reference if start is None and seen is None else 0
    return n + before - before // EVERY


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
