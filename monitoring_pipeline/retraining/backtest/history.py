"""What is stored of a monitor's windows, cut off at any moment of the past."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from monitoring_pipeline.monitors import Monitor
from monitoring_pipeline.retraining.policy.facts import (
    ChampionFact,
    Facts,
    IncidentFact,
    LabelledWindow,
    MovedWindow,
    PerformanceWindow,
)
from monitoring_pipeline.windows import Window


@dataclass(frozen=True)
class History:
    """Rows of all windows in order, and every labelled row of them.

    ``n_rows``: predictions by window. ``resolved``: by incident, when it was; absent while open. ``rows``: labelled
    rows as of ``training_set.labelled_rows``, those of the reference among them, by event time; those without one last.
    """

    monitor: Monitor
    moved: tuple[MovedWindow, ...]
    incidents: tuple[IncidentFact, ...]
    resolved: Mapping[str, datetime]
    performance: tuple[PerformanceWindow, ...]
    n_rows: Mapping[datetime, int]
    champion: ChampionFact | None
    n_reference: int
    rows: pd.DataFrame

    @cached_property
    def known_at(self) -> NDArray[np.datetime64]:
        """(N,) when the label of each row was known: its label time, else the longest delay after its event."""
        late = self.rows["event_time"] + self.monitor.labels.max_delay
        known = self.rows["label_time"].fillna(late).fillna(pd.Timestamp(0, tz="UTC"))  # no time: of the reference
        return known.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy("datetime64[us]")

    @cached_property
    def event_time(self) -> NDArray[np.datetime64]:
        """(N,) UTC; rows of a reference without times have none."""
        return self.rows["event_time"].dt.tz_convert("UTC").dt.tz_localize(None).to_numpy("datetime64[us]")

    def before(self, moment: datetime) -> NDArray[np.bool_]:
        """(N,) rows whose event and label were known before ``moment``: nothing else may be learnt from then."""
        then = _naive(moment)
        return (np.isnat(self.event_time) | (self.event_time < then)) & (self.known_at < then)

    def between(self, start: datetime, end: datetime) -> slice:
        """The rows with start <= event time < end."""
        low, high = np.searchsorted(self.event_time, np.array([_naive(start), _naive(end)]))  # NaT sorts last
        return slice(int(low), int(high))

    def labels_at(self, now: datetime) -> tuple[LabelledWindow, ...]:
        """Labelled rows of each window that had ended, and whether it was mature."""
        return tuple(self._labelled(w, now) for w in self._windows if w.end <= now)

    @cached_property
    def _windows(self) -> list[Window]:
        return [one.window for one in self.moved]

    @cached_property
    def _arrivals(self) -> dict[datetime, NDArray[np.datetime64]]:
        """By window: when its labels were known, in order."""
        return {w.start: np.sort(self.known_at[self.between(w.start, w.end)]) for w in self._windows}

    def _labelled(self, window: Window, now: datetime) -> LabelledWindow:
        n = int(np.searchsorted(self._arrivals[window.start], _naive(now)))
        rows, labels = self.n_rows.get(window.start, 0), self.monitor.labels
        aged = window.end + labels.max_delay <= now
        return LabelledWindow(window, n, aged or (rows > 0 and n >= labels.coverage * rows))

    def facts_at(self, now: datetime) -> Facts:
        """What a policy would have seen, with the model that was in service. Retrainings are the replay's own."""
        labels = self.labels_at(now)
        mature = {one.window.start for one in labels if one.mature}
        return Facts(
            first_window=self._windows[0].start,
            windows=tuple(one for one in self.moved if one.window.end <= now),
            incidents=tuple(self._incident(one, now) for one in self.incidents if one.first < now),
            performance=tuple(
                replace(one, mature=one.window.start in mature) for one in self.performance if one.window.end <= now
            ),
            labels=labels,
            champion=self.champion,
            n_reference=self.n_reference,
        )

    def _incident(self, one: IncidentFact, now: datetime) -> IncidentFact:
        ended = self.resolved.get(one.incident_id)
        return replace(one, is_open=ended is None or ended > now)


def _naive(moment: datetime) -> np.datetime64:
    return np.datetime64(moment.replace(tzinfo=None), "us")
