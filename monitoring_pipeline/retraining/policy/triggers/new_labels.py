"""Retraining because there is more to learn from."""

from __future__ import annotations

from datetime import datetime

from monitoring_pipeline.monitors.retraining import NewLabels
from monitoring_pipeline.retraining.policy.decision import Signal
from monitoring_pipeline.retraining.policy.facts import Facts, LabelledWindow

NAME = "new_labels"
FRUITLESS = frozenset({"kept", "inconclusive"})


def new_labels(declared: NewLabels, facts: Facts) -> Signal:
    """Mature labelled rows that neither the champion nor a challenger that was not promoted has been trained on."""
    rows = facts.champion.n_rows if facts.champion else None
    if declared.rows is None and not rows:
        why = "it is not known how many rows the champion was trained on; declare `new_labels: {rows: N}`"
        return Signal(NAME, False, f"new labels: {why}")
    needed = declared.rows or max(round((declared.share or 0) * (rows or 0)), 1)
    new = new_windows(facts)
    n = sum(one.n_labelled for one in new)
    sentence = f"{n:,} new labelled rows of {needed:,} needed"
    if n < needed:
        return Signal(NAME, False, sentence)
    version = facts.champion.model_version if facts.champion else ""
    key = f"labels:{version}@{new[0].window.start.isoformat()}/{new[-1].window.end.isoformat()}"
    if key in facts.used:
        return Signal(NAME, False, f"{sentence}, of windows that a retraining has already followed")
    return Signal(NAME, True, sentence, (key,))


def new_windows(facts: Facts) -> list[LabelledWindow]:
    """Mature windows whose rows have not been learnt from yet."""
    since = _learnt_until(facts)
    return [one for one in facts.labels if one.mature and one.n_labelled and (not since or one.window.start >= since)]


def _learnt_until(facts: Facts) -> datetime | None:
    """The champion's cut, or that of a later challenger that was trained in vain."""
    cuts = [one.as_of for one in facts.retrainings if one.outcome in FRUITLESS]
    cut = facts.champion and (facts.champion.counts_from or facts.champion.cut)
    return max([*cuts, cut] if cut else cuts, default=None)
