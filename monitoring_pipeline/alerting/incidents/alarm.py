"""What raises an incident: one column or metric of one window that is beyond what the budget, or a pin, allows."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

Kind = Literal["drift", "quality", "performance", "volume", "coverage", "freshness", "fairness"]
WHOLE_ROWS = "*"
ESTIMATED = "estimated, labels not in yet"
"""Cause of an alarm of performance that no outcome supports yet."""


@dataclass(frozen=True)
class Alarm:
    """One alarm. ``number``: of its window since 1970; ``column`` is ``*`` for metrics of whole rows.

    ``moved``: what moved (drift) or the metric (other kinds). ``effect``: signed size, in standard deviations of the
    reference for drift. ``value`` and ``usual``: the metric in the window and what is expected; None where unknown.
    ``p_value``: None for a pinned threshold. ``cause``: of performance alarms, else empty.
    """

    number: int
    kind: Kind
    column: str
    role: str
    segment: str
    model_version: str
    moved: str
    effect: float
    p_value: float | None = None
    value: float | None = None
    usual: float | None = None
    cause: str = ""
    detail: str = ""
    source: str = "calibrated"

    @property
    def subject(self) -> str:
        """What it is about, whatever the segment: the column, or the kind for whole rows."""
        return self.column if self.column != WHOLE_ROWS else f"{self.kind} of all rows"


@dataclass(frozen=True)
class Replacement:
    """A version took the place of another. ``number``: of the first window that begins at or after ``at`` (UTC)."""

    number: int
    at: datetime
    previous: str
    version: str

    @property
    def said(self) -> str:
        """The word that closes incidents of the version before."""
        return f"model version {self.previous} was replaced by {self.version}"


@dataclass
class Group:
    """Alarms of one incident, in the order of their windows. ``n_windows``: windows with an alarm."""

    alarms: list[Alarm] = field(default_factory=list)

    @property
    def first(self) -> int:
        """Number of the first window with an alarm."""
        return self.alarms[0].number

    @property
    def last(self) -> int:
        """Number of the last one."""
        return self.alarms[-1].number

    @property
    def n_windows(self) -> int:
        """Windows with an alarm."""
        return len({alarm.number for alarm in self.alarms})

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns, those with the largest effect first; ``*`` is none."""
        largest: dict[str, float] = {}
        for alarm in self.alarms:
            if alarm.column != WHOLE_ROWS:
                largest[alarm.column] = max(largest.get(alarm.column, 0.0), abs(alarm.effect))
        return tuple(sorted(largest, key=lambda column: (-largest[column], column)))

    @property
    def segments(self) -> tuple[str, ...]:
        """Segments, ``*`` first."""
        return tuple(sorted({alarm.segment for alarm in self.alarms}, key=lambda s: (s != WHOLE_ROWS, s)))
