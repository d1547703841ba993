"""The fold: which alarms are one incident.

An alarm joins an incident whose last alarm is at most ``GAP`` windows before it when it is about the same column, when
the incident itself has begun at most ``GAP`` windows before (what begins together has one cause), or when its column
is correlated with one of the incident's in the reference. Otherwise it opens another.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby

from monitoring_pipeline.alerting.incidents.alarm import WHOLE_ROWS, Alarm, Group, Replacement

GAP = 2  # windows; alarms farther apart are separate incidents, and as many quiet windows resolve one
OF_A_VERSION = ("drift", "performance", "fairness")  # kinds of alarm that are about one model version
CORRELATED = 0.5  # |r| of two features in the reference from which they move together

Correlation = Callable[[Alarm, str], float]
"""How much an alarm's column and another move together, in the reference of the alarm's model version."""


def unrelated(_alarm: Alarm, _column: str) -> float:
    """No two columns are known to move together."""
    return 0.0


def grouped(
    alarms: Iterable[Alarm], correlation: Correlation = unrelated, replacements: Sequence[Replacement] = ()
) -> list[Group]:
    """The incidents of these alarms, in the order they begin. The order of the alarms does not matter.

    ``replacements`` of model versions in the order of time: see ``closed_by``.

    >>> day = lambda n, column: Alarm(n, "drift", column, "feature", "*", "1", "location", 1.0)
    >>> [g.columns for g in grouped([day(1, "a"), day(2, "b"), day(9, "a")])]
    [('a', 'b'), ('a',)]
    """
    ordered = sorted(alarms, key=lambda a: (a.number, a.kind, a.column, a.moved, a.segment, a.model_version))
    found: list[Group] = []
    for number, at_once in groupby(ordered, key=lambda alarm: alarm.number):
        recent = [group for group in found if number - group.last <= GAP and not closed_by(group, replacements, number)]
        for alarm in at_once:
            group = _home(alarm, recent, correlation)
            if group is None:
                group = Group()
                found.append(group)
                recent.append(group)
            group.alarms.append(alarm)
    return found


def closed_by(group: Group, replacements: Iterable[Replacement], number: int = sys.maxsize) -> Replacement | None:
    """What closed the incident before window ``number``: the replacement of the one model version it is about.

    Only incidents that are wholly of what a new version is measured anew by, drift, performance and fairness: faults of
    the data are those of the next version too. One that was over by then had ended by itself.
    """
    versions = {alarm.model_version for alarm in group.alarms}
    if len(versions) != 1 or any(alarm.kind not in OF_A_VERSION for alarm in group.alarms):
        return None
    return next(
        (one for one in replacements
         if {one.previous} == versions and group.last < one.number <= min(number, group.last + GAP)),
        None,
    )  # fmt: skip


def without_known_columns(alarms: Iterable[Alarm], first_judged: int) -> list[Alarm]:
    """These alarms but for undeclared columns that are no news: met in an earlier window, or since the first one.

    ``first_judged``: number of the monitor's first window; what is in the log from the start has not appeared.
    """
    ordered = sorted(alarms, key=lambda alarm: alarm.number)
    known: set[str] = set()
    kept = []
    for alarm in ordered:
        if alarm.moved != "column_extra":
            kept.append(alarm)
            continue
        names = set(alarm.detail.split(", "))
        if names - known and alarm.number > first_judged:
            kept.append(alarm)
        known |= names
    return kept


def _home(alarm: Alarm, recent: list[Group], correlation: Correlation) -> Group | None:
    """The incident that an alarm belongs to: by its subject before by its time before by correlation."""
    for group in recent:
        if any(alarm.subject == other.subject for other in group.alarms):
            return group
    for group in recent:
        if alarm.number - group.first <= GAP:
            return group
    if alarm.column != WHOLE_ROWS:
        for group in recent:
            if any(abs(correlation(alarm, column)) >= CORRELATED for column in group.columns):
                return group
    if alarm.kind == "performance" and recent:
        return recent[0]  # what makes the model worse is most likely what has already drifted
    return None
