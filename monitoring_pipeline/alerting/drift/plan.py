"""By what columns are judged."""

from __future__ import annotations

from dataclasses import dataclass

from monitoring_pipeline.alerting.drift.season import PERIOD, SEASONS, step
from monitoring_pipeline.monitors.alarms import HORIZONS, DriftAlarms
from monitoring_pipeline.windows import WindowSize

WEEKS = {"day": 8, "hour": 2}  # of accepted windows that the seasonal variance is learnt from
LEARNT = {"day": 60, "hour": 336}  # accepted windows that stand in for the reference's blocks


@dataclass(frozen=True)
class Plan:
    """By what columns are judged: the declared ``alarms``, the window's ``size`` and the budget's ``level``.

    ``level``: chance of a false incident that one window may spend on drift.
    """

    alarms: DriftAlarms
    size: WindowSize
    level: float

    @property
    def period(self) -> int:
        """Windows in a week."""
        return PERIOD[self.size]

    @property
    def horizons(self) -> tuple[int, ...]:
        """Numbers of trailing windows that are merged."""
        return self.alarms.horizons or HORIZONS[self.size]

    @property
    def learn_weeks(self) -> int:
        """Weeks of accepted windows that the seasonal variance is learnt from."""
        return self.alarms.seasonal.learn_weeks or WEEKS[self.size]

    @property
    def lookback(self) -> int:
        """Windows before a week that its null is learnt from."""
        return max(LEARNT[self.size] * 3 // 2, self.learn_weeks * self.period)

    @property
    def history(self) -> int:
        """Windows before the first one judged that its verdict may rest on."""
        merged = max(self.horizons)
        season = SEASONS * step(merged, self.period) + merged if self.alarms.season else merged
        persistence = self.alarms.persistence.of if self.alarms.persistence else 0
        return max(season, persistence) + self.lookback + self.period
