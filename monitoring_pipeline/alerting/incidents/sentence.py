"""The sentence of an incident: what moved, how much, since when, in how many columns, what it does to the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import exp

from monitoring_pipeline.alerting.incidents.alarm import WHOLE_ROWS, Alarm, Group, Replacement
from monitoring_pipeline.alerting.incidents.kinds import Change

CONTRASTS = {
    "auc": "the AUC changed by {change:+.3f}",
    "macro_auc": "the mean AUC of the classes changed by {change:+.3f}",
    "level": "the odds of the outcome are {change:.2f} times what the scores said in the reference",
    "slope": "the log odds of the outcome change {change:+.2f} more with the score than in the reference",
    "bias": "the mean error moved by {change:+.2f} of the reference's RMSE",
    "scale": "the mean absolute error is {change:.2f} times the reference's",
    "error": "the odds of a wrong prediction are {change:.2f} times the reference's",
}
WHOLE = {
    "rows": "{value:,.0f} rows came where {usual:,.0f} were expected",
    "arrival": "no row had come {value} after the end of the window; usually they come within {usual}",
    "labelled share": "{value:.1%} of the rows have an outcome where {usual:.1%} were expected",
    "quarantined_share": "{value:.2%} of the rows could not be used, at most {usual:.2%} may",
    "duplicate_share": "{value:.2%} of the rows repeat an id, at most {usual:.2%} may",
    "type_violation_share": "{value:.2%} of the values are of another type, at most {usual:.2%} may be",
}
COUNTED = {"column_extra": "columns appeared that are not declared", "column_missing": "the column is missing",
           "retyped": "the column has another type"}  # fmt: skip
RATIOS = ("level", "scale", "error")  # contrasts that are logarithms
NAMED = 3  # columns that are described; the others are counted


@dataclass(frozen=True)
class Described:
    """Numbers behind one alarm: of the window and of the reference. None where there is none.

    ``mean`` and ``sd`` of numerical columns; ``share`` in [0, 1] of what moved (missing, outside, unseen, a category);
    ``unseen``: new categories with counts.
    """

    mean: float | None = None
    mean_before: float | None = None
    sd: float | None = None
    sd_before: float | None = None
    share: float | None = None
    share_before: float | None = None
    unseen: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class Harm:
    """The headline metric in the incident's windows, the mean of these by their rows, and in the reference.

    ``estimated``: expected of the scores, as no outcome is known yet.
    """

    metric: str
    value: float
    reference: float
    estimated: bool = False

    def said(self, windows: int) -> str:
        """A sentence.

        >>> Harm("roc_auc", 0.44, 0.81).said(3)
        'roc_auc averages 0.440 over these windows; in the reference it is 0.810.'
        """
        if windows > 1:
            now = f"is estimated to average {self.value:.3f}" if self.estimated else f"averages {self.value:.3f}"
            where = "over these windows"
        else:
            now = f"is estimated at {self.value:.3f}" if self.estimated else f"is {self.value:.3f}"
            where = "in this window"
        unknown = ", outcomes not known yet" if self.estimated else ""
        return f"{self.metric} {now} {where}{unknown}; in the reference it is {self.reference:.3f}."


def strongest(group: Group) -> list[Alarm]:
    """The largest alarm of each subject, of all rows where these alarm too, else of a segment. The largest first."""
    best: dict[str, Alarm] = {}
    for alarm in group.alarms:
        known = best.get(alarm.subject)
        if known is None or _rank(alarm) > _rank(known):
            best[alarm.subject] = alarm
    return sorted(best.values(), key=lambda alarm: (_KINDS.index(alarm.kind), -abs(alarm.effect), alarm.subject))


_KINDS = ("performance", "fairness", "volume", "freshness", "coverage", "quality", "drift")


def _rank(alarm: Alarm) -> tuple[bool, float, int]:
    return alarm.segment == WHOLE_ROWS, abs(alarm.effect), -alarm.number


def sentence(
    group: Group, change: Change, first: datetime, last: datetime, described: Mapping[Alarm, Described],
    harm: Harm | None, *, is_open: bool, others: Sequence[str] = (), closed: Replacement | None = None,
    lasting: Sequence[str] = (),
) -> str:  # fmt: skip
    """``first`` and ``last``: starts of the first and last window with an alarm. ``others``: columns correlated with
    the first one that did not move. ``closed``: what ended it, where quiet windows did not. ``lasting``: columns that
    have not gone back since.
    """
    largest = strongest(group)
    told = [told_of(alarm, described.get(alarm, Described())) for alarm in largest[:NAMED]]
    more = len(largest) - len(told)
    if more:
        told.append(f"and {more} more")
    when = _when(first, last, group.n_windows, is_open=is_open)
    text = f"{change.name[0].upper()}{change.name[1:]} {when}: {'; '.join(told)}."
    if harm is not None:
        text += f" {harm.said(group.n_windows)}"
    if others:
        text += f" Correlated columns that did not move: {', '.join(others)}."
    if lasting:
        still = "later windows still differ from the reference, as the weeks before do"
        text += f" {_listed(lasting)} did not go back: {still}."
    if closed is not None:
        text += f" {closed.said[0].upper()}{closed.said[1:]} on {closed.at:%Y-%m-%d}."
    return f"{text} To do: {'; '.join(change.actions)}."


def told_of(alarm: Alarm, d: Described) -> str:
    """One clause about one alarm.

    >>> alarm = Alarm(1, "drift", "age", "feature", "*", "1", "location", 0.6)
    >>> told_of(alarm, Described(mean=41.2, mean_before=38.5))
    'the mean of age is 41.2 instead of 38.5 (+0.60 sd)'
    """
    where = "" if alarm.segment == WHOLE_ROWS else f" in {alarm.segment}"
    if alarm.kind != "drift":
        return _told_of_metric(alarm) + where
    clause = _SHARES.get(alarm.moved)
    if alarm.moved == "location" and d.mean is not None and d.mean_before is not None:
        text = f"the mean of {alarm.column} is {d.mean:.4g} instead of {d.mean_before:.4g} ({alarm.effect:+.2f} sd)"
    elif alarm.moved == "spread" and d.sd is not None and d.sd_before is not None:
        text = f"the standard deviation of {alarm.column} is {d.sd:.4g} instead of {d.sd_before:.4g}"
    elif clause is not None and d.share is not None:
        text = clause.format(column=alarm.column, share=d.share, before=d.share_before or 0.0) + _named(d.unseen)
    elif alarm.moved.startswith("category ") and d.share is not None:
        name = alarm.moved.removeprefix("category ")
        text = f"{name} is {d.share:.1%} of {alarm.column} instead of {d.share_before or 0.0:.1%}"
    else:
        text = f"the distribution of {alarm.column} has another {alarm.moved} ({abs(alarm.effect):.2f} sd)"
    return text + where


_SHARES = {
    "missing": "{share:.1%} of {column} is missing instead of {before:.1%}",
    "outside": "{share:.1%} of {column} lies outside the reference's range instead of {before:.1%}",
    "unseen": "{share:.1%} of {column} are categories the reference lacks instead of {before:.1%}",
}


def _told_of_metric(alarm: Alarm) -> str:
    contrast, _, subject = alarm.moved.partition(" of ")
    if alarm.source != "declared" and contrast in CONTRASTS:
        change = exp(alarm.effect) if contrast in RATIOS else alarm.effect
        text = CONTRASTS[contrast].format(change=change)
        return f"{text} ({subject})" if subject else text
    if alarm.kind == "freshness" and alarm.value is not None and alarm.usual is not None:
        return WHOLE["arrival"].format(value=_hours(alarm.value), usual=_hours(alarm.usual))
    if alarm.value is not None and alarm.usual is not None and alarm.moved in WHOLE:
        return WHOLE[alarm.moved].format(value=alarm.value, usual=alarm.usual) + (
            f" ({alarm.detail})" if alarm.detail else ""
        )
    of = "" if alarm.column == WHOLE_ROWS else f" of {alarm.column}"
    if alarm.moved == "parity" and alarm.value is not None:
        return f"{alarm.value:.1%} of {alarm.column} differ from the values computed again ({alarm.detail})"
    if alarm.kind == "fairness" and alarm.value is not None and alarm.usual is not None:
        allowed = "at least" if alarm.moved.startswith("demographic_parity_ratio") else "at most"
        return f"{alarm.moved}{of} is {alarm.value:.3f}, allowed is {allowed} {alarm.usual:g} ({alarm.detail})"
    if alarm.moved in COUNTED:
        name = "" if alarm.column == WHOLE_ROWS else f"{alarm.column}: "
        return f"{name}{COUNTED[alarm.moved]}" + (f" ({alarm.detail})" if alarm.detail else "")
    value = "" if alarm.value is None else f" is {alarm.value:.4g}"
    usual = "" if alarm.usual is None else f" instead of {alarm.usual:.4g}"
    detail = f" ({alarm.detail})" if alarm.detail else ""
    return f"{alarm.moved}{of}{value}{usual}{detail}"


def _hours(seconds: float) -> str:
    """
    >>> _hours(90), _hours(8_000)
    ('2 minutes', '2.2 hours')
    """
    return f"{seconds / 3600:.1f} hours" if seconds >= 5_400 else f"{seconds / 60:.0f} minutes"


def _named(unseen: Sequence[tuple[str, int]]) -> str:
    return f" ({', '.join(f'{name}: {count:,}' for name, count in unseen[:5])})" if unseen else ""


def _listed(columns: Sequence[str]) -> str:
    more = len(columns) - NAMED
    return ", ".join(columns[:NAMED]) + (f" and {more} more" if more > 0 else "")


def _when(first: datetime, last: datetime, n_windows: int, *, is_open: bool) -> str:
    form = "%Y-%m-%d" if first.hour == last.hour == 0 else "%Y-%m-%d %H:%M"
    if first == last:
        return f"on {first:{form}}" if not is_open else f"since {first:{form}}"
    if is_open:
        return f"since {first:{form}} ({n_windows} windows)"
    return f"from {first:{form}} to {last:{form}} ({n_windows} windows)"
