"""What has not gone back when the alarms end: a change that lasts is soon no news, as earlier weeks look the same."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from monitoring_pipeline.alerting.incidents.alarm import Alarm
from monitoring_pipeline.alerting.incidents.grouping import GAP


@dataclass(frozen=True)
class Seen:
    """A column of a window that raised no alarm. ``differs``: from the reference (a notice); ``effect``: signed, in
    standard deviations of the reference."""

    number: int
    model_version: str
    segment: str
    column: str
    differs: bool
    effect: float


def lasting(alarms: Iterable[Alarm], last: int, seen: Collection[Seen]) -> tuple[str, ...]:
    """Columns of these alarms that still differ to the same side in all judged windows of the ``GAP`` after ``last``.

    >>> alarm = Alarm(7, "drift", "age", "feature", "*", "1", "location", 0.8)
    >>> lasting([alarm], 7, [Seen(8, "1", "*", "age", True, 0.7), Seen(9, "1", "*", "age", True, 0.9)])
    ('age',)
    """
    after: dict[tuple[str, str, str], list[Seen]] = {}
    for one in seen:
        if last < one.number <= last + GAP:
            after.setdefault((one.model_version, one.segment, one.column), []).append(one)
    found = []
    for alarm in alarms:
        windows = after.get((alarm.model_version, alarm.segment, alarm.column), [])
        same_side = all(one.differs and one.effect * alarm.effect > 0 for one in windows)
        if alarm.kind == "drift" and windows and same_side:
            found.append(alarm.column)
    return tuple(dict.fromkeys(found))
