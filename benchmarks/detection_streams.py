"""Streams whose truth is known: labelled scores, errors, row counts and labelled shares, window by window.

Null streams change from day to day as real ones do (difficulty, base rate, mix, weekdays, autocorrelation, heavy
tails); changed ones do so from a given window on. Everything is drawn as counts, so that a year costs milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit
from scipy.stats import norm

from monitoring_pipeline.alerting.performance.scores import auc_of

Floats = NDArray[np.float64]
SPREAD = 1.2  # standard deviation of the scores' log odds
GRID = np.linspace(-5, 5, 101)
NULLS = ("iid", "difficulty", "prior", "mix", "all", "ar", "heavy", "weekdays")


@dataclass(frozen=True)
class Change:
    """``kind``: concept (AUC falls by ``size``, base rate as before), odds (the scores' odds times size), flip (share
    of outcomes flipped), prior (odds of the base rate times size), harder (spread of the scores times size)."""

    kind: str
    size: float


def scores_axis(base: float) -> tuple[Floats, Floats]:
    """(x, density) of the log odds, such that calibrated outcomes have this base rate."""
    density = norm.pdf(GRID) / norm.pdf(GRID).sum()
    centre = brentq(lambda m: float((expit(m + SPREAD * GRID) * density).sum() - base), -12, 6)
    return centre + SPREAD * GRID, density


def concept_line(base: float, fall: float) -> tuple[float, float]:
    """(a, b): outcomes by expit(a + b x) have an AUC lower by ``fall`` and the same base rate."""
    x, density = scores_axis(base)

    def area(p: Floats) -> float:
        return float(auc_of(density * p, density * (1 - p)))

    def intercept(slope: float) -> float:
        return float(brentq(lambda a: float((density * expit(a + slope * x)).sum() - base), -15, 15))

    usual = area(expit(x))
    slope = float(brentq(lambda b: area(expit(intercept(b) + b * x)) - (usual - fall), 0.01, 1))
    return intercept(slope), slope


def effects(windows: int, random: np.random.Generator, kind: str, each: int = 1) -> Floats:
    """Window effects of variance 1, equal for ``each`` neighbours: independent, AR(1) 0.7 or with the tails of t3."""
    n = -(-windows // each)
    found = random.standard_t(3, n) / np.sqrt(3) if kind == "heavy" else random.standard_normal(n)
    if kind == "ar":
        for i in range(1, n):
            found[i] = 0.7 * found[i - 1] + np.sqrt(1 - 0.49) * found[i]
    return np.repeat(found, each)[:windows]


@dataclass(frozen=True)
class _Days:
    """What differs from window to window, each (T,)."""

    slope: Floats
    level: Floats
    prior: Floats
    shift: Floats
    scale: Floats


def _days(kind: str, windows: int, random: np.random.Generator, each: int) -> _Days:
    def e() -> Floats:
        return effects(windows, random, kind, each)

    one, zero = np.ones(windows), np.zeros(windows)
    week = 2 * np.pi * (np.arange(windows) // each) / 7
    if kind == "difficulty":
        return _Days(1 + 0.06 * e(), zero, zero, zero, zero)
    if kind == "prior":
        return _Days(one, zero, 0.2 * e(), zero, zero)
    if kind == "mix":
        return _Days(one, zero, zero, 0.25 * e(), 0.06 * e())
    if kind in ("all", "ar", "heavy"):
        return _Days(1 + 0.04 * e(), 0.1 * e(), zero, 0.15 * e(), 0.03 * e())
    if kind == "weekdays":
        return _Days(1 + 0.05 * np.sin(week + 1), 0.3 * np.sin(week), zero, 0.2 * np.cos(week), zero)
    return _Days(one, zero, zero, zero, zero)


def labelled_scores(
    base: float, rows: int, kind: str, windows: int, random: np.random.Generator,
    change: Change | None = None, since: int = 0, each: int = 1,
) -> tuple[Floats, Floats]:  # fmt: skip
    """(x, evidence (T, 2 B)): about ``rows`` labelled rows a window; ``change`` acts from window ``since`` on."""
    x, density = scores_axis(base)
    days = _days(kind, windows, random, each)
    mass = norm.pdf((GRID - days.shift[:, None]) / np.exp(days.scale)[:, None])
    p0 = expit(x)
    weight = p0 * (1 - p0) * density
    middle = (weight * x).sum() / weight.sum()
    odds = days.level[:, None] + middle + days.slope[:, None] * (x - middle)
    if days.prior.any():  # P(score | outcome) as ever, the base rate moves
        mass, odds = _prior(density, p0, np.exp(days.prior)[:, None]), odds + days.prior[:, None]
    p = expit(odds)
    if change is not None:
        mass, p = _changed(change, base, mass, odds, p, np.arange(windows) >= since)
    mass = mass / mass.sum(1, keepdims=True)
    n = np.maximum((rows * np.exp(0.15 * random.standard_normal(windows))).astype(int), 5)
    labelled = random.multinomial(n, mass)
    return x, np.concatenate((labelled, random.binomial(labelled, p)), axis=1).astype(float)


def _prior(density: Floats, p: Floats, odds: Floats) -> Floats:
    return density * (1 - p + p * odds)


def _changed(
    change: Change, base: float, mass: Floats, odds: Floats, p: Floats, on: NDArray[np.bool_]
) -> tuple[Floats, Floats]:
    """Mass of the scores and P(positive | score) once the change acts on the windows ``on``."""
    mass, p = mass.copy(), p.copy()
    if change.kind == "concept":
        a, b = concept_line(base, change.size)
        p[on] = expit(a + b * odds[on])
    elif change.kind == "odds":
        p[on] = expit(odds[on] - np.log(change.size))
        mass[on] = norm.pdf(GRID - np.log(change.size) / SPREAD)
    elif change.kind == "flip":
        p[on] = p[on] + change.size * (1 - 2 * p[on])
    elif change.kind == "prior":
        x, density = scores_axis(base)
        mass[on] = _prior(density, expit(x), np.array([[change.size]]))
        p[on] = expit(x + np.log(change.size))
    elif change.kind == "harder":
        mass[on] = norm.pdf(GRID / change.size)
    else:
        raise ValueError(f"no change is called {change.kind!r}")
    return mass, p


def errors(
    kind: str, rows: int, windows: int, random: np.random.Generator, bias: float = 0.0, scale: float = 1.0,
    since: int = 0,
) -> Floats:  # fmt: skip
    """(T, 4) evidence of a regression's errors, of standard deviation 1: rows, Σe, Σ|e|, Σe². ``kind``: as above, or
    tails (errors of t3)."""
    quiet = kind in ("iid", "tails")
    week = 2 * np.pi * np.arange(windows) / 7
    offset = np.zeros(windows) if quiet else 0.05 * effects(windows, random, kind)
    spread = np.zeros(windows) if quiet else 0.05 * effects(windows, random, kind)
    if kind == "weekdays":
        offset, spread = 0.1 * np.sin(week), 0.08 * np.cos(week)
    offset[since:] += bias
    spread[since:] += np.log(scale)
    found = []
    for b, s in zip(offset, spread, strict=True):
        n = max(int(rows * np.exp(0.15 * random.standard_normal())), 5)
        e = random.standard_t(3, n) / np.sqrt(3) if kind == "tails" else random.standard_normal(n)
        e = b + np.exp(s) * e
        found.append((n, e.sum(), np.abs(e).sum(), (e * e).sum()))
    return np.array(found, float)


def row_counts(
    days: int, a_day: int, rows: float, shape: float, random: np.random.Generator, kind: str = "pattern",
    growth: float = 0.0,
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:  # fmt: skip
    """(T,) rows of windows, negative binomial of this ``shape`` about a weekly (and daily) pattern; and which of them
    are a holiday. ``kind``: pattern, days (day effects), ar (autocorrelated ones), holidays (days of 40 %
    now and then, whatever the weekday, and day effects). ``growth``: a month."""
    windows = days * a_day
    day, hour = np.divmod(np.arange(windows), a_day)
    week = np.where(day % 7 >= 5, -0.6, 0.15)
    level = np.full(windows, np.log(rows))
    if a_day > 1:
        level += 1.2 * np.sin(2 * np.pi * (hour - 9) / 24)
    if kind != "pattern":
        level += 0.1 * effects(days, random, kind)[day]
    holiday = np.zeros(windows, bool)
    if kind == "holidays":
        holiday = np.isin(day, np.arange(int(random.integers(10, 40)), days, 37))
        week = np.where(holiday, -0.9, week)
    level += week
    level += np.log1p(growth) * day / 30
    return random.negative_binomial(shape, shape / (shape + np.exp(level))), holiday


def incidents(alarms: NDArray[np.bool_], gap: int = 2) -> int:
    """How many incidents (T,) alarms make: alarmed windows at most ``gap`` apart are one."""
    at = np.flatnonzero(alarms)
    return 0 if not len(at) else 1 + int((np.diff(at) > gap).sum())
