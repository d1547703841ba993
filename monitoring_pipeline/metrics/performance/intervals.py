"""Intervals at 95 %, always around their value."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, isfinite, log, nan, sqrt

from scipy.special import stdtrit

Z = 1.959963984540054  # the 97.5 % point of the standard normal


@dataclass(frozen=True)
class Estimate:
    """A value of ``n`` rows with its interval, ``low <= value <= high``; None where undefined (an interval: of one
    row).
    """

    value: float | None
    low: float | None
    high: float | None
    n: int


def undefined(n: int = 0) -> Estimate:
    """What ``n`` rows do not define."""
    return Estimate(None, None, None, n)


def around(value: float, low: float, high: float, n: int, least: float = -1e308, most: float = 1e308) -> Estimate:
    """Interval cut to [least, most] and stretched to hold its value: a statistic's own interval may exclude it by
    rounding.

    Undefined if ``value`` overflowed.
    """
    if not isfinite(value):
        return undefined(n)
    low = value if low != low else min(max(low, least), value)
    high = value if high != high else max(min(high, most), value)
    return Estimate(float(value), float(low), float(high), n)


def student(freedom: float) -> float:
    """The 97.5 % point of Student's t, which takes the place of Z where a variance comes from few rows; NaN below one
    degree of freedom.

    >>> round(student(4), 3), round(student(10_000), 3)
    (2.776, 1.96)
    """
    return float(stdtrit(freedom, 0.975)) if freedom >= 1 else nan


def unseen(n: float) -> float:
    """Largest share that values which n rows do not show may have, with 97.5 % confidence: 1 - 0.025^(1/n).

    >>> round(unseen(1), 3), round(unseen(100), 3)
    (0.975, 0.036)

    Reference: Clopper and Pearson, The use of confidence or fiducial limits illustrated in the case of the binomial,
    Biometrika 26 (1934), for no successes.
    """
    return float(1 - 0.025 ** (1 / n)) if n > 0 else 1.0


def wilson(k: float, n: float) -> Estimate:
    """k of n as a share with Wilson's score interval, at 0 and n of n as wide as the exact one: of one row, Wilson's
    leaves out what one row in five may come from.

    >>> e = wilson(8, 10)
    >>> e.value, round(e.low, 4), round(e.high, 4)
    (0.8, 0.4902, 0.9433)
    >>> round(wilson(1, 1).low, 3)
    0.025

    Reference: Wilson, Probable inference, the law of succession, and statistical inference, JASA 22 (1927); Brown, Cai
    and DasGupta, Interval estimation for a binomial proportion, Statistical Science 16 (2001), for the ends.
    """
    if n <= 0:
        return undefined()
    p, z2 = k / n, Z * Z
    middle = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = Z * sqrt(max(p * (1 - p) / n + z2 / (4 * n * n), 0.0)) / (1 + z2 / n)
    low = min(middle - half, 1 - unseen(n)) if k >= n else middle - half
    high = max(middle + half, unseen(n)) if k <= 0 else middle + half
    return around(p, low, high, int(n), 0.0, 1.0)


def mean(total: float, squares: float, n: int, least: float = -1e308) -> Estimate:
    """Mean of n numbers from their sum and sum of squares, with Student's interval; no interval for one number.

    >>> e = mean(6.0, 14.0, 3)
    >>> e.value, round(e.high - e.value, 4)
    (2.0, 2.4841)
    """
    if n <= 0:
        return undefined()
    value = total / n
    if n == 1:
        return Estimate(float(value), None, None, 1) if isfinite(value) else undefined(1)
    variance = max(squares / n - value * value, 0.0) * n / (n - 1)
    half = student(n - 1) * sqrt(variance / n)
    return around(value, value - half, value + half, n, least)


def normal(value: float, variance: float, n: int, least: float, most: float, freedom: float) -> Estimate:
    """value ± t sqrt(variance), cut to the range of the metric; t is Student's with the ``freedom`` of the rows that
    the variance was learnt from, and without any there is no interval.
    """
    half = student(freedom) * sqrt(max(variance, 0.0))
    if half != half:
        return Estimate(value, None, None, n) if isfinite(value) else undefined(n)
    return around(value, value - half, value + half, n, least, most)


def logit(value: float, deviation: float, n: int, bound: float = 0.0) -> Estimate:
    """expit(logit(value) ± Z deviation / (value (1 - value))), for values in (0, 1); widened by ``bound``.

    ``deviation`` is the standard error of the value itself. At 0 and 1, where it vanishes, Wilson's interval of n
    rows stands in.

    >>> e = logit(0.9, 0.05, 100)
    >>> round(e.low, 4), round(e.high, 4)
    (0.7518, 0.9639)
    """
    if not 0 < value < 1 or deviation <= 0:
        base = wilson(value * n, n)
        low, high = base.low, base.high
    else:
        centre, half = log(value / (1 - value)), Z * deviation / (value * (1 - value))
        low, high = _expit(centre - half), _expit(centre + half)
    if low is None or high is None:
        return undefined(n)
    return around(value, low - bound, high + bound, n, 0.0, 1.0)


def _expit(x: float) -> float:
    return 1 / (1 + exp(-x)) if x >= 0 else exp(max(x, -700.0)) / (1 + exp(max(x, -700.0)))
