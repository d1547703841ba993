"""Streams of counts with known truth: a reference in blocks of a window's length, then windows.

Rows of one window are independent given the window's effects: how far each column's location and log scale are from
their usual values, as a ``Kind`` says. Counts are drawn on a fine grid of a twentieth of a standard deviation, which
stands for raw rows; what we judge is counted by the bins that the reference fixes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter
from scipy.special import expit, logit, ndtr

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
CELL, LARGEST = 0.05, 5.0
EDGES = np.arange(-LARGEST, LARGEST + CELL / 2, CELL)  # the first and last of the cells have no outer edge
VALUES = np.concatenate(([-LARGEST - CELL], (EDGES[1:] + EDGES[:-1]) / 2, [LARGEST + CELL]))  # of the cells' rows
BINS = 20
CATEGORIES = (3, 5, 8, 12, 30)
MISSING = {0: 0.01, 3: 0.05, 6: 0.2, 9: 0.5, 21: 0.1}  # usual missing share of some columns of the first 25
LEAST_ROWS = 10


@dataclass(frozen=True)
class Kind:
    """How windows differ without drift. Standard deviations by day of ``location`` and log scale (``spread``), their
    autocorrelation ``rho`` from day to day; ``heavy``: Student's t with 3 degrees of freedom. Amplitudes of waves over
    the week, the hours of a day, and the year (in a third of the columns); ``hour``: standard deviation by hour.
    ``every``: effects only in one column of so many."""

    location: float = 0.0
    spread: float = 0.0
    rho: float = 0.0
    heavy: bool = False
    weekly: float = 0.0
    hourly: float = 0.0
    yearly: float = 0.0
    hour: float = 0.0
    every: int = 1


KINDS = {
    "iid": Kind(),
    "day": Kind(0.1, 0.05),
    "day05": Kind(0.05, 0.03),
    "ar": Kind(0.1, 0.05, rho=0.7),
    "dow": Kind(0.05, 0.03, weekly=0.2),
    "season": Kind(0.05, 0.03, yearly=0.6),
    "heavy": Kind(0.1, 0.05, heavy=True),
    "mixed": Kind(0.1, 0.05, every=5),
    "hours": Kind(0.07, 0.03, hourly=0.3, hour=0.03),
}


@dataclass(frozen=True)
class Setting:
    """A monitor's size: ``m`` reference rows over ``days`` days, ``n`` rows in each of ``windows`` windows,
    ``per_day`` windows a day; ``numerical`` columns, ``categories`` of the categorical ones; ``jitter`` of the rows a
    window, in logarithms."""

    m: int = 30_000
    days: int = 30
    n: int = 5_000
    windows: int = 90
    per_day: int = 1
    numerical: int = 20
    categories: tuple[int, ...] = CATEGORIES
    jitter: float = 0.15

    @property
    def columns(self) -> int:
        """Columns C of the monitor, numerical ones first."""
        return self.numerical + len(self.categories)

    @property
    def blocks(self) -> int:
        """Blocks B of the reference."""
        return self.days * self.per_day

    @property
    def months(self) -> float:
        """Months of 30 days that the windows last."""
        return self.windows / (30 * self.per_day)


@dataclass
class Effects:
    """What rows of T windows are drawn from: (T, C) ``location`` in standard deviations, ``spread`` of log scale,
    ``missing`` share, ``unseen`` share of a category the reference lacks, ``stuck`` share of one value."""

    location: Floats
    spread: Floats
    missing: Floats
    unseen: Floats
    stuck: Floats

    def part(self, low: int, high: int) -> Effects:
        """Of the windows from ``low`` to ``high``; copies."""
        return Effects(*(x[low:high].copy() for x in vars(self).values()))


Fault = Callable[[Effects], None]


@dataclass(frozen=True)
class Drawn:
    """Counts of T windows: ``numbers`` (T, columns, cells), each categorical column's ``names`` (T, categories + 1; the
    last one the reference lacks), ``missing`` (T, C)."""

    numbers: Counts
    names: list[Counts]
    missing: Counts


@dataclass(frozen=True)
class Stream:
    """A reference by blocks, and the windows after it."""

    setting: Setting
    reference: Drawn
    windows: Drawn


def make(kind: str, setting: Setting, random: np.random.Generator, fault: Fault | None = None) -> Stream:
    """One monitor's life; ``fault`` changes the windows' effects in place."""
    size = setting.blocks + setting.windows
    effects = usual_effects(KINDS[kind], setting, size, random)
    before, after = effects.part(0, setting.blocks), effects.part(setting.blocks, size)
    if fault is not None:
        fault(after)
    rows = np.maximum(random.poisson(setting.m / setting.blocks, setting.blocks), 1)
    reference = _draw(rows, before, setting, random)
    rows = setting.n * np.exp(setting.jitter * random.standard_normal(setting.windows))
    return Stream(setting, reference, _draw(np.maximum(rows, LEAST_ROWS).astype(int), after, setting, random))


def usual_effects(kind: Kind, setting: Setting, size: int, random: np.random.Generator) -> Effects:
    """Effects of ``size`` windows of a kind, without any fault."""
    columns, at = setting.columns, np.arange(size)
    day, hour = at // setting.per_day, at % setting.per_day
    own = (np.arange(columns) % kind.every == 1 % kind.every).astype(float)
    phase = 2.4 * np.arange(columns)

    def by_day() -> Floats:
        return _by_day(kind, int(day[-1]) + 1, columns, random)[day] * own

    def wave(turns: Floats) -> Floats:
        return np.sin(2 * np.pi * turns[:, None] + phase)

    location = kind.location * by_day() + kind.weekly * wave(day % 7 / 7) + kind.hourly * wave(hour / setting.per_day)
    location += kind.yearly * wave(day / 365) * (3 * np.arange(columns) < columns)
    location += kind.hour * random.standard_normal((size, columns))
    share = np.array([MISSING.get(c, 0.0) for c in range(columns)])
    with np.errstate(divide="ignore"):
        missing = expit(logit(share) + location)
    return Effects(location, kind.spread * by_day(), missing, np.zeros((size, columns)), np.zeros((size, columns)))


def _by_day(kind: Kind, days: int, columns: int, random: np.random.Generator) -> Floats:
    """(days, columns) effects of standard deviation 1; the first half of the columns shares half of the variance."""
    effects = (
        random.standard_t(3, (days, columns)) / np.sqrt(3) if kind.heavy else random.standard_normal((days, columns))
    )
    half = columns // 2
    effects[:, :half] = np.sqrt(0.5) * (effects[:, :half] + random.standard_normal((days, 1)))
    if not kind.rho:
        return effects
    effects[1:] *= np.sqrt(1 - kind.rho**2)
    filtered: Floats = lfilter([1.0], [1.0, -kind.rho], effects, axis=0)
    return filtered


def _draw(rows: Counts, effects: Effects, setting: Setting, random: np.random.Generator) -> Drawn:
    missing = random.binomial(rows[:, None], np.clip(effects.missing, 0, 1))
    present, k = rows[:, None] - missing, setting.numerical
    location, scale = effects.location[:, :k, None], np.exp(effects.spread[:, :k, None])
    below = ndtr((EDGES - location) / scale)
    shares = np.maximum(np.diff(below, axis=2, prepend=0.0, append=1.0), 0)
    shares *= 1 - effects.stuck[:, :k, None]
    shares[:, :, len(VALUES) // 2 + 6] += effects.stuck[:, :k]
    numbers = random.multinomial(present[:, :k], shares / shares.sum(axis=2, keepdims=True))
    names = [
        random.multinomial(present[:, k + j], _shares(effects.location[:, k + j], effects.unseen[:, k + j], size))
        for j, size in enumerate(setting.categories)
    ]
    return Drawn(numbers, names, missing)


def _shares(location: Floats, unseen: Floats, size: int) -> Floats:
    """(T, size + 1) of the categories: geometric, tilted by the effects of location; the last one is ``unseen``."""
    rank = np.arange(size)
    weights = np.exp(-rank / (2 if size < 20 else 4) + location[:, None] * np.cos(1.7 * rank))
    known = weights / weights.sum(axis=1, keepdims=True) * (1 - unseen)[:, None]
    return np.column_stack((known, unseen))


def binned(reference: Counts, windows: Counts) -> tuple[Counts, Counts]:
    """One numerical column's cells, (B, cells) and (T, cells), by the reference's quantile bins: (B, K), (T, K). The
    first and last of them lie outside the reference's range."""
    total = reference.sum(axis=0)
    filled = np.flatnonzero(total)
    low, high = filled[0], filled[-1]
    cuts = np.searchsorted(np.cumsum(total) / total.sum(), np.arange(1, BINS) / BINS) + 1
    edges = np.unique(np.concatenate(([low], cuts[(cuts > low) & (cuts <= high)], [high + 1])))
    return _between(reference, edges), _between(windows, edges)


def _between(counts: Counts, edges: Counts) -> Counts:
    summed = np.cumsum(np.pad(counts, ((0, 0), (1, 0))), axis=1)
    bounds = np.concatenate(([0], edges, [counts.shape[1]]))
    found: Counts = np.diff(summed[:, bounds], axis=1)
    return found
