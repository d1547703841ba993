"""A difference of two models in one metric, with its interval."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, sqrt
from typing import Literal

from scipy.stats import t

Verdict = Literal["better", "not worse", "worse", "undecided", "abstained"]


@dataclass(frozen=True)
class Difference:
    """``value``: challenger minus champion, turned so that positive is better; ``deviation`` is its standard error.

    ``low`` and ``high``: Student's t interval with ``n_days`` - 1 degrees of freedom at ``level``. ``method``: how.
    """

    champion: float
    challenger: float
    value: float
    deviation: float
    low: float
    high: float
    level: float
    n: int
    n_days: int
    method: str

    def verdict(self, margin: float) -> Verdict:
        """Surely better than equal, surely not worse than by ``margin``, surely worse than that, or neither."""
        if not isfinite(self.value):
            return "abstained"
        if self.high < -margin:
            return "worse"
        if self.low > 0:
            return "better"
        return "not worse" if self.low > -margin else "undecided"


def with_interval(
    champion: float, challenger: float, value: float, deviation: float, level: float, n: int, n_days: int, method: str
) -> Difference:
    """The difference with its interval, t with ``n_days`` - 1 degrees of freedom. One day has no interval: NaN."""
    half = float(t.ppf((1 + level) / 2, n_days - 1)) * deviation if n_days > 1 else float("nan")
    return Difference(champion, challenger, value, deviation, value - half, value + half, level, n, n_days, method)


def root(variance: float) -> float:
    """Square root; rounding may leave a variance a little below 0."""
    return sqrt(max(variance, 0.0)) if isfinite(variance) else float("nan")
