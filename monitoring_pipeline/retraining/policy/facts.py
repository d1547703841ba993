"""What a decision rests on, as plain values. All times are aware and in UTC."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from monitoring_pipeline.windows import Window


@dataclass(frozen=True)
class IncidentFact:
    """An incident as its row stands. ``first`` and ``last``: its first and last window with an alarm."""

    incident_id: str
    revision: int
    kind: str
    severity: str
    is_open: bool
    change: str
    columns: tuple[str, ...]
    first: datetime
    last: datetime


@dataclass(frozen=True)
class MovedWindow:
    """Columns of one judged window that alarm, and those that differ only as earlier weeks led to expect."""

    window: Window
    alarms: frozenset[str] = frozenset()
    notices: frozenset[str] = frozenset()


@dataclass(frozen=True)
class PerformanceWindow:
    """Performance of the champion in one window, of all rows.

    ``kind``: realized or estimated. ``beyond``: how far ``value`` lies on the bad side of its threshold, in units of
    the metric; None where there is no threshold.
    """

    window: Window
    kind: str
    metric: str
    degraded: bool
    mature: bool
    value: float | None = None
    beyond: float | None = None


@dataclass(frozen=True)
class LabelledWindow:
    """Labelled rows of one window; ``mature``: no more are waited for."""

    window: Window
    n_labelled: int
    mature: bool


@dataclass(frozen=True)
class ChampionFact:
    """The version in service. ``cut``: nothing later was used to train it. ``n_rows``: rows it was trained on.

    ``continues_at``: event time from which a stateful training would go on; None for one that cannot be continued.
    ``counts_from``: labels of windows from here on are new to it; None: from ``cut`` on.
    """

    model_version: str
    cut: datetime | None = None
    n_rows: int | None = None
    continues_at: datetime | None = None
    counts_from: datetime | None = None


@dataclass(frozen=True)
class PastRetraining:
    """A retraining that was decided. ``minutes`` it trained; ``outcome`` None: not ended, or not begun."""

    decision_id: int
    as_of: datetime
    trigger: str
    outcome: str | None
    minutes: float = 0.0


@dataclass(frozen=True)
class OpenAttempt:
    """A retraining that has not ended. ``state``: ``decided`` when its training has not begun."""

    decision_id: int
    state: str
    since: datetime


@dataclass(frozen=True)
class Facts:
    """Everything a policy may look at. Windows are in order, the newest last.

    ``first_window``: start of the monitor's first one. ``windows``: at least the newest that persistence asks for.
    ``n_reference``: labelled rows of the declared reference, from before the monitored days.
    ``used``: keys of rows that an earlier retraining rested on; they do not ask for another one.
    """

    first_window: datetime | None = None
    windows: tuple[MovedWindow, ...] = ()
    incidents: tuple[IncidentFact, ...] = ()
    performance: tuple[PerformanceWindow, ...] = ()
    labels: tuple[LabelledWindow, ...] = ()
    champion: ChampionFact | None = None
    n_reference: int = 0
    retrainings: tuple[PastRetraining, ...] = ()
    attempt: OpenAttempt | None = None
    used: frozenset[str] = frozenset()

    @property
    def last_retraining(self) -> PastRetraining | None:
        """The newest by the moment it speaks of."""
        return max(self.retrainings, key=lambda one: one.as_of, default=None)
