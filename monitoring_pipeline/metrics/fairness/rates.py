"""Rates of one group of a protected column, and how two groups' rates differ.

A share is k of n rows; a mean has a standard error. Shares of two groups are held against each other by Newcombe's
hybrid score interval, which keeps its level with few rows and at 0 and 1, means by Wald's with both variances (Welch).
Groups are disjoint rows, so that their rates are independent.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log, nan, sqrt

from monitoring_pipeline.metrics.performance.intervals import Z

Interval = tuple[float, float, float]
"""Value, low and high; NaN where undefined."""
UNDEFINED: Interval = (nan, nan, nan)


@dataclass(frozen=True)
class Share:
    """``k`` of ``n`` rows."""

    k: float
    n: int

    @property
    def value(self) -> float:
        """k / n, NaN without rows."""
        return self.k / self.n if self.n else nan

    def interval(self, z: float = Z) -> Interval:
        """The share with Wilson's score interval.

        Reference: Wilson, Probable inference, the law of succession, and statistical inference, JASA 22 (1927).
        """
        if not self.n:
            return UNDEFINED
        p, z2 = self.value, z * z / self.n
        half = z * sqrt(p * (1 - p) / self.n + z2 / (4 * self.n))
        low, high = (p + z2 / 2 - half) / (1 + z2), (p + z2 / 2 + half) / (1 + z2)
        return p, max(0.0, min(low, p)), min(1.0, max(high, p))


@dataclass(frozen=True)
class Mean:
    """A mean of ``n`` rows with the square of its standard error; ``least``: no value is below."""

    value: float
    variance: float
    n: int
    least: float = -1e308

    def interval(self, z: float = Z) -> Interval:
        """value ± z standard errors."""
        half = z * sqrt(self.variance)
        return (self.value, max(self.value - half, self.least), self.value + half) if self.n > 1 else UNDEFINED


Rate = Share | Mean


def mean_of(total: float, squares: float, n: int, least: float = -1e308) -> Mean:
    """The mean of n numbers from their sum and sum of squares; NaN without two of them."""
    if n < 2:
        return Mean(nan, nan, n, least)
    value = total / n
    return Mean(value, max(squares / n - value * value, 0.0) / (n - 1), n, least)


def difference(a: Rate, b: Rate, z: float = Z) -> Interval:
    """a − b with its interval: Newcombe's for shares, Wald's for means.

    >>> value, low, high = difference(Share(56, 70), Share(48, 80))
    >>> round(value, 4), round(low, 4), round(high, 4)
    (0.2, 0.0524, 0.3339)

    Reference: Newcombe, Interval estimation for the difference between independent proportions, Statistics in Medicine
    17 (1998), method 10, whose example this is.
    """
    value = a.value - b.value
    if value != value:
        return UNDEFINED
    if isinstance(a, Mean) and isinstance(b, Mean):
        half = z * sqrt(a.variance + b.variance)
        return value, value - half, value + half
    p, a_low, a_high = a.interval(z)
    q, b_low, b_high = b.interval(z)
    low = value - sqrt((p - a_low) ** 2 + (b_high - q) ** 2)
    high = value + sqrt((a_high - p) ** 2 + (q - b_low) ** 2)
    return value, max(low, -1.0), min(high, 1.0)


def ratio(a: Share, b: Share, z: float = Z) -> Interval:
    """a / b with the interval of its logarithm, half a row added to each count of the variance; undefined where b is 0.

    Reference: Katz et al., Obtaining confidence intervals for the risk ratio in cohort studies, Biometrics 34 (1978);
    the half row: Walter, The distribution of Levin's measure of attributable risk, Biometrika 62 (1975).
    """
    if not a.n or not b.n or b.k == 0:
        return UNDEFINED
    value = a.value / b.value
    variance = 1 / (a.k + 0.5) - 1 / (a.n + 0.5) + 1 / (b.k + 0.5) - 1 / (b.n + 0.5)
    centre = log((a.k + 0.5) / (a.n + 0.5)) - log((b.k + 0.5) / (b.n + 0.5))
    half = z * sqrt(max(variance, 0.0))
    return value, min(exp(centre - half), value), max(exp(centre + half), value)


def larger(a: Interval, b: Interval) -> Interval:
    """The larger in size of two differences, as a size; its interval holds 0 where the difference's does."""
    if a[0] != a[0] or b[0] != b[0]:
        return UNDEFINED
    value, low, high = a if abs(a[0]) >= abs(b[0]) else b
    if low <= 0 <= high:
        return abs(value), 0.0, max(-low, high)
    return abs(value), min(abs(low), abs(high)), max(abs(low), abs(high))
