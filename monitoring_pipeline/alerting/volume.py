"""Volume: whether as many rows came as usual.

A window's log(rows + ½) is compared with the level of its slot, the median of the slot's last weeks that were good,
plus a trend. Slots are the hours of the week; holidays of a declared calendar are slots of their own. Dispersion is
learnt from the residuals of the last 60 days, is at least that of Poisson counts and has a t tail; merged windows are
judged too. Empty and unusual windows never enter levels or dispersion. Consecutive empty windows stay alarmed until
rows return, so that an outage of 300 days is one incident of 300 days and its end is none.

Call order: ``tests = judge(counts, settings, holidays=…, origin=…)`` over the whole history in order without gaps, then
``decide(tests, level)``. Both are folds that look back only: windows judged one by one get
the same verdicts. ``tests.state`` is what a fold keeps of each window; given the states of the first ones, ``judge``
goes on from there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, stdtr

from monitoring_pipeline.alerting.budget import Floats, benjamini_hochberg
from monitoring_pipeline.alerting.dispersion import DispersionSettings, dispersion, masked_median, median_factor
from monitoring_pipeline.alerting.status import Flags, Texts, statuses
from monitoring_pipeline.monitors.alarms import VolumeAlarms

DAYS = 7
FEW = 10  # rows below which the skewness of counts shows in their log
CAUTION = 1.5  # times the variance: cut residuals tell too little of the left tail
SHORT_HISTORY = "fewer than two good earlier weeks"
HOLIDAY = "a holiday without two earlier ones"
FEW_ROWS = "too few rows are expected"
OUTAGE = "no rows since the outage began"
UNKNOWN = "not taken in"
STEADY = 0.75  # share of the judged windows of a changed level that must be beyond the usual one, to one side
ACCEPT_WEEKS = 2
TEXT = "<U40"
STATE = ("good", "usual", "level", "residual", "p", "since", "side", "hits", "misses", "forgot")
"""What the fold keeps of a window: whether it may teach and be merged, its level, residual and p; of the run of unusual
windows as it stands after it, since when, to which side, how many are in it and how many not; and the position that
its level is usual from (-1: it has not changed)."""


@dataclass(frozen=True)
class VolumeSettings:
    """``windows_a_day``: 1 or 24. ``weeks``: good weeks a slot's level is the median of; ``search``: how many times as
    many are looked through for them. ``least_weeks``: fewer are not judged. ``memory_days`` of residuals make the
    dispersion. ``floor`` and ``floor_merged``: least log ratio that may alarm, of a window and of merged ones.
    ``least_expected`` rows. ``most_growth`` a week (log); a trend counts beyond ``trend_z`` standard errors.
    ``accept_above``: a window with a smaller p-value than this and beyond the floor never teaches. ``known_share`` of
    merged windows must have a level. ``least_merges``: merges of the same length that teach their dispersion.
    ``accept_after``: windows after which a level that has changed is the usual one; two weeks when None."""

    windows_a_day: int = 1
    weeks: int = 8
    search: int = 3
    least_weeks: int = 2
    memory_days: int = 60
    floor: float = float(np.log(1.25))
    floor_merged: float = float(np.log(1.15))
    least_expected: float = 10.0
    most_growth: float = 0.1
    trend_z: float = 2.0
    accept_above: float = 0.15 / 30
    known_share: float = 0.7
    least_merges: int = 4
    accept_after: int | None = None
    most_merged_tail: float = 20.0
    dispersion: DispersionSettings = field(default_factory=DispersionSettings)

    @property
    def week(self) -> int:
        """Windows in a week."""
        return DAYS * self.windows_a_day

    @property
    def horizons(self) -> tuple[int, ...]:
        """Windows that are merged: one and a week; of hours one, a day and a week."""
        return (1, self.week) if self.windows_a_day == 1 else (1, self.windows_a_day, self.week)

    @property
    def accepts(self) -> int:
        """Windows after which a changed level is the usual one."""
        return self.accept_after or ACCEPT_WEEKS * self.week

    @classmethod
    def declared(cls, alarms: VolumeAlarms, windows_a_day: int) -> VolumeSettings:
        """As ``alarms.volume`` says."""
        names = (
            "weeks", "search", "least_weeks", "memory_days", "least_expected", "most_growth", "trend_z", "accept_above",
            "known_share", "accept_after",
        )  # fmt: skip
        values: dict[str, Any] = {name: getattr(alarms, name) for name in names}
        floors: dict[str, Any] = {
            "floor": float(np.log(alarms.ratio)),
            "floor_merged": float(np.log(alarms.merged_ratio)),
        }
        return cls(windows_a_day=windows_a_day, **values, **floors)


@dataclass(frozen=True)
class VolumeTests:
    """S series by T windows, all (S, T): ``p`` corrected for horizons, NaN where not judged, with the ``reason``;
    ``effect`` the log ratio of rows to the expected and ``horizon`` the windows merged of the smallest p; ``expected``
    rows (NaN where not known) and the ``variance`` of their log ratio beside Poisson's; ``empty`` windows; ``state``
    (S, T, K) by ``STATE``. Of windows whose state was given, p, ``expected``, ``empty`` and the state are told."""

    p: Floats
    effect: Floats
    horizon: NDArray[np.intp]
    expected: Floats
    variance: Floats
    empty: Flags
    reason: Texts
    state: Floats


@dataclass(frozen=True)
class VolumeVerdicts:
    """(S, T) ``status``, ``q`` (NaN where not judged), and ``reason``: why not, or that an outage goes on."""

    status: Texts
    q: Floats
    reason: Texts


def judge(
    counts: NDArray[np.integer],
    settings: VolumeSettings,
    *,
    holidays: NDArray[np.integer] | None = None,
    origin: int = 0,
    known: Flags | None = None,
    accepted: Sequence[int] = (),
    before: Floats | None = None,
) -> VolumeTests:
    """Tests of (S, T) row counts of every scheduled window in order, 0 where no row came.

    ``holidays`` (T,): 0 for ordinary windows, else the number of the kind of holiday (1 where all holidays are alike).
    ``origin``: number of the first window since a midnight; trends are drawn at midnights.
    ``known`` (S, T): windows that were taken in; of the others nothing is known, and they are not judged (all when
    None). ``accepted``: positions of windows from which on a changed level is declared to be as it should be.
    ``before`` (S, R, K): states of the first R windows, which are not judged again (but for those of a day that has
    begun, whose dispersion is that of its midnight).
    """
    fold = _Fold(np.asarray(counts, float), settings, holidays, origin)
    if known is not None:
        fold.known = np.asarray(known, bool)
    fold.accepted = frozenset(accepted)
    for t in range(0 if before is None else fold.resume(before), fold.windows):
        fold.step(t)
    return fold.tests()


def decide(tests: VolumeTests, level: float) -> VolumeVerdicts:
    """Verdicts at ``level``: the series of a window are one family (Benjamini and Hochberg). An empty window after an
    alarmed empty one is alarmed, whether or not anything is expected by then."""
    q = benjamini_hochberg(tests.p.T).T
    status, reason = statuses(q, level), tests.reason.copy()
    for t in _after_empty(tests.empty):
        still = tests.empty[:, t] & tests.empty[:, t - 1] & (status[:, t - 1] == "alarm")
        status[still, t] = "alarm"
        reason[still, t] = OUTAGE
    return VolumeVerdicts(status, q, reason)


def _after_empty(empty: Flags) -> list[int]:
    """Positions of windows that are empty as the one before is, in some series."""
    return (np.flatnonzero((empty[:, 1:] & empty[:, :-1]).any(0)) + 1).tolist()


class _Fold:
    """Windows in order; arrays (S, T) that row t fills from what lies before it."""

    def __init__(
        self, counts: Floats, settings: VolumeSettings, holidays: NDArray[np.integer] | None, origin: int
    ) -> None:
        series, self.windows = counts.shape
        self.counts, self.settings, self.origin = counts, settings, origin
        self.known, self.accepted = np.ones(counts.shape, bool), frozenset[int]()
        self.teaches = np.ones(counts.shape, bool)  # residuals from a level that is no longer usual teach nothing
        self.changed = _Changed(series)
        self.holiday = np.zeros(self.windows, bool) if holidays is None else np.asarray(holidays) > 0
        self.earlier = _earlier(self.windows, settings, holidays)
        self.logs = np.log(counts + 0.5)
        self.good, self.usual = (np.zeros(counts.shape, bool) for _ in range(2))
        self.level, self.residual, self.p, self.effect, self.variance = (
            np.full(counts.shape, np.nan) for _ in range(5)
        )
        self.horizon = np.ones(counts.shape, np.intp)
        self.weeks = np.zeros(counts.shape, np.intp)
        self.growth, self.usual_variance, self.tail = np.zeros((3, series))
        self.seen: dict[int, tuple[Floats, NDArray[np.integer]]] = {}
        self.state = np.zeros((*counts.shape, len(STATE)))

    def resume(self, before: Floats) -> int:
        """Takes the states (S, R, K) of the first R windows up. Returns the position to go on from: of a midnight,
        since trends and dispersions are learnt there."""
        a_day = self.settings.windows_a_day
        done = min(before.shape[1], self.windows)
        if done < self.windows:
            done = max(done - (done + self.origin) % a_day, 0)
        self.state[:, :done] = before[:, :done]
        kept = dict(zip(STATE, np.moveaxis(before[:, :done], -1, 0), strict=True))
        self.usual[:, :done] = kept["usual"] > 0
        self.level[:, :done], self.residual[:, :done], self.p[:, :done] = kept["level"], kept["residual"], kept["p"]
        for t in range(done):
            if t in self.accepted:
                self._forget(np.arange(len(self.counts)), t, t)
            self.good[:, t] = kept["good"][:, t] > 0
            for series in np.flatnonzero(kept["forgot"][:, t] >= 0).tolist():
                self._forget(np.array([series]), int(kept["forgot"][series, t]), t + 1)
        if done:
            self.changed.resume(*(kept[name][:, -1] for name in ("since", "side", "hits", "misses")))
        return done

    def step(self, t: int) -> None:
        """Level, residual, p-values of window t, and whether it may teach later ones."""
        s = self.settings
        if t in self.accepted:
            self._forget(np.arange(len(self.counts)), t, t)
        if t == 0 or (t + self.origin) % s.windows_a_day == 0:
            self._learn(t)
        factor = self._compare(t)
        self.variance[:, t] = self.usual_variance
        judged = (self.weeks[:, t] >= s.least_weeks) & self.known[:, t]
        own = self._single(t, factor)
        self._keep(t, 1, own, self.logs[:, t] - self.level[:, t], judged)
        odd = own * len(s.horizons) <= s.accept_above
        self.usual[:, t] = judged & (self.counts[:, t] > 0) & ~odd
        for h in s.horizons[1:]:
            self._merged(t, h, factor, judged)
        alarmed = np.nan_to_num(self.p[:, t], nan=1.0) <= s.accept_above
        far = np.abs(np.nan_to_num(self.residual[:, t])) > s.floor
        good = self.good[:, t] = (self.counts[:, t] > 0) & ~(far & alarmed) & self.known[:, t]
        forgot = np.full(len(good), -1.0)
        side = np.where(far & alarmed & (self.counts[:, t] > 0), np.sign(np.nan_to_num(self.residual[:, t])), 0.0)
        for series in self.changed.step(t, side, ~np.isnan(self.p[:, t]) & (self.counts[:, t] > 0), s.accepts):
            forgot[series] = self.changed.since[series]
            self._forget(np.array([series]), int(self.changed.since[series]), t + 1)
            self.changed.end(series)
        values = good, self.usual[:, t], self.level[:, t], self.residual[:, t], self.p[:, t], *self.changed.run, forgot
        self.state[:, t] = np.stack(values, axis=-1)

    def _forget(self, series: NDArray[np.intp], since: int, now: int) -> None:
        """From window ``now`` on, the level of the windows since ``since`` is the usual one of these series, and what
        was before teaches no longer."""
        self.good[series, :since] = False
        self.good[series, since:now] = (self.counts[series, since:now] > 0) & self.known[series, since:now]
        self.teaches[series, :now] = False

    def _learn(self, t: int) -> None:
        """Trend and dispersions from all before window t; at each midnight, which is every window where these are
        days."""
        s = self.settings
        self.growth = self._trend(t)
        past = slice(max(0, t - s.memory_days * s.windows_a_day), t)
        taught = self.good[:, past] & np.isfinite(self.residual[:, past]) & ~self.holiday[past]
        taught &= self.teaches[:, past]
        residuals = np.nan_to_num(self.residual[:, past])
        self.usual_variance, self.tail = dispersion(residuals, taught, s.dispersion)
        self.seen = {h: self._merges(past, h) for h in s.horizons[1:]}

    def tests(self) -> VolumeTests:
        """What the fold found."""
        expected = np.exp(self.level)
        reason = np.where(self.weeks < self.settings.least_weeks, SHORT_HISTORY, FEW_ROWS).astype(TEXT)
        reason[(self.weeks < self.settings.least_weeks) & self.holiday] = HOLIDAY
        reason[~np.isnan(self.p)] = ""
        reason[~self.known] = UNKNOWN
        empty = (self.counts == 0) & self.known
        return VolumeTests(self.p, self.effect, self.horizon, expected, self.variance, empty, reason, self.state)

    def _compare(self, t: int) -> Floats:
        """Fills level and residual of window t; (S,) the variance factor of its comparison with a median."""
        before = self.earlier[t][self.earlier[t] >= 0]
        good = self.good[:, before]
        good &= np.cumsum(good, axis=1) <= self.settings.weeks
        lag = (t - before) / self.settings.week
        self.weeks[:, t] = good.sum(1)
        self.level[:, t] = masked_median(self.logs[:, before] + self.growth[:, None] * lag, good)
        factor = median_factor(self.weeks[:, t])
        self.residual[:, t] = (self.logs[:, t] - self.level[:, t]) / np.sqrt(factor)
        return np.where(np.isfinite(factor), factor, 1.0)

    def _single(self, t: int, factor: Floats) -> Floats:
        """(S,) p-value of window t alone, 1 below the floor, NaN where nothing or too little is expected."""
        expected = np.exp(self.level[:, t])
        p = _p(self.counts[:, t], expected, self.usual_variance, self.tail, factor)
        near = np.abs(np.log((self.counts[:, t] + 0.5) / (expected + 0.5))) < self.settings.floor
        return np.where(expected >= self.settings.least_expected, np.where(near, 1.0, p), np.nan)

    def _merged(self, t: int, h: int, factor: Floats, judged: Flags) -> None:
        """p-value of the last h windows without those that are unusual by themselves: these have spoken."""
        s, at = self.settings, slice(t - h + 1, t + 1)
        if t + 1 < h:
            return
        known = self.usual[:, at]
        expected = np.where(known, np.exp(self.level[:, at]), 0.0).sum(1)
        rows = np.where(known, self.counts[:, at], 0.0).sum(1)
        enough = judged & known[:, -1] & (known.mean(1) >= s.known_share) & (expected >= s.least_expected)
        seen, n = self.seen[h]
        prior_df, more = s.dispersion.prior_df, np.maximum(n / h - 1, 0)
        learnt = (prior_df * self.usual_variance / 2 + more * seen) / (prior_df + more)
        own = n / h >= s.least_merges  # else merged windows are taken to vary as one does
        tail = np.where(own, np.minimum(prior_df + more, s.most_merged_tail), self.tail)
        p = _p(rows, expected, np.where(own, learnt, self.usual_variance), tail, factor)
        ratio = np.log((rows + 0.5) / (expected + 0.5))
        self._keep(t, h, np.where(np.abs(ratio) < s.floor_merged, 1.0, p), ratio, enough)

    def _merges(self, past: slice, h: int) -> tuple[Floats, NDArray[np.integer]]:
        """(S,) mean square of the log ratios of h merged windows, all good, and how many such merges there are."""
        good = self.good[:, past] & np.isfinite(self.level[:, past]) & ~self.holiday[past] & self.teaches[:, past]
        if good.shape[1] < h:
            return np.zeros(len(good)), np.zeros(len(good), np.intp)
        sums = [
            np.pad(np.cumsum(np.where(good, x, 0.0), axis=1), ((0, 0), (1, 0)))
            for x in (self.counts[:, past], np.exp(self.level[:, past]), np.ones(good.shape))
        ]
        rows, expected, n = (x[:, h:] - x[:, :-h] for x in sums)
        whole = n == h
        ratio = np.where(whole, np.log((rows + 0.5) / (np.maximum(expected, 0.0) + 0.5)), 0.0)
        found = whole.sum(1)
        return (ratio**2).sum(1) / np.maximum(found, 1), found

    def _keep(self, t: int, h: int, p: Floats, effect: Floats, judged: Flags) -> None:
        """Takes this horizon's p-value, corrected for their number, where it is the smallest so far."""
        p = np.where(judged, np.minimum(p * len(self.settings.horizons), 1.0), np.nan)
        first = np.isnan(self.p[:, t]) & ~np.isnan(p)
        smaller = first | (p < self.p[:, t])
        self.p[smaller, t], self.effect[smaller, t], self.horizon[smaller, t] = p[smaller], effect[smaller], h

    def _trend(self, t: int) -> Floats:
        """(S,) growth a week: least squares through the last weeks' mean deviations from the slots' medians, cut at
        three robust standard deviations; 0 unless beyond ``trend_z`` standard errors."""
        s = self.settings
        k = min(s.weeks, t // s.week)
        shape = (len(self.counts), k, s.week)
        if k < 4:
            return np.zeros(shape[0])
        y = self.logs[:, t - k * s.week : t].reshape(shape)
        good = (self.good & ~self.holiday)[:, t - k * s.week : t].reshape(shape)
        middle = np.nan_to_num(masked_median(y.swapaxes(1, 2), good.swapaxes(1, 2)))
        off = np.where(good, y - middle[:, None], 0.0)
        cut = 3 * np.median(np.abs(off), axis=(1, 2)) / 0.6745 + 1e-9
        mean = np.clip(off, -cut[:, None, None], cut[:, None, None]).mean(2)
        x = np.arange(k) - (k - 1) / 2
        slope = mean @ x / (x @ x)
        left = mean - mean.mean(1, keepdims=True) - slope[:, None] * x
        error = np.sqrt((left**2).sum(1) / (k - 2) / (x @ x))
        sure = (np.abs(slope) > s.trend_z * error) & (good.mean((1, 2)) >= s.known_share)
        return np.where(sure, np.clip(slope, -s.most_growth, s.most_growth), 0.0)


class _Changed:
    """Runs of windows beyond the usual level, all to one side: since when, and how many of the judged ones are."""

    def __init__(self, series: int) -> None:
        self.since = np.full(series, -1)
        self._side, self._hits, self._misses = np.zeros((3, series))

    @property
    def run(self) -> tuple[Floats, Floats, Floats, Floats]:
        """Since when, to which side, hits and misses, each (S,)."""
        return self.since.astype(float), self._side, self._hits, self._misses

    def resume(self, since: Floats, side: Floats, hits: Floats, misses: Floats) -> None:
        """Goes on from ``run``."""
        self.since = since.astype(np.intp)
        self._side, self._hits, self._misses = side.copy(), hits.copy(), misses.copy()

    def step(self, t: int, side: Floats, judged: Flags, accepts: int) -> list[int]:
        """Takes window t: ``side`` (S,) -1, 0 (usual) or 1. The series whose level has changed for good."""
        begins = (side != 0) & ((self.since < 0) | (side != self._side))
        self.since[begins], self._side[begins] = t, side[begins]
        self._hits[begins], self._misses[begins] = 0, 0
        running = self.since >= 0
        self._hits += running & (side != 0)
        self._misses += running & judged & (side == 0)
        for series in np.flatnonzero(running & (self._misses * STEADY > self._hits * (1 - STEADY))).tolist():
            self.end(series)
        long = (self.since >= 0) & (t + 1 - self.since >= accepts) & (side != 0)
        return [int(series) for series in np.flatnonzero(long)]

    def end(self, series: int) -> None:
        """Forgets the run of a series."""
        self.since[series] = -1


def _earlier(windows: int, settings: VolumeSettings, holidays: NDArray[np.integer] | None) -> NDArray[np.intp]:
    """(T, weeks * search) positions of the latest earlier windows of the same slot, latest first, -1 beyond the
    history. An ordinary window's slot is its place in the week, a holiday's its kind and place in the day."""
    steps = np.arange(1, settings.weeks * settings.search + 1)
    at = np.arange(windows)[:, None] - settings.week * steps
    at[at < 0] = -1
    if holidays is None:
        return at
    kinds, hour = np.asarray(holidays), np.arange(windows) % settings.windows_a_day
    at[(kinds[at] > 0) & (at >= 0)] = -1  # a holiday teaches no ordinary window
    for t in np.flatnonzero(kinds > 0):
        alike = np.flatnonzero((kinds[:t] == kinds[t]) & (hour[:t] == hour[t]))[::-1][: len(steps)]
        at[t] = -1
        at[t, : len(alike)] = alike
    return at


def _p(rows: Floats, expected: Floats, variance: Floats, tail: Floats, factor: Floats) -> Floats:
    """Two-sided p-values of the log ratio, by t with at least Poisson's variance.

    The log of few rows has a long left tail that t lacks: below ``FEW`` rows p is at least the probability of so few by
    the negative binomial of ``CAUTION`` times the variance, and for no row at all it is that probability.
    """
    expected = np.where(np.isnan(expected), 0.0, expected)
    spread = np.maximum(variance, 1 / np.maximum(expected, 1e-9))
    ratio = np.log((rows + 0.5) / (expected + 0.5))
    p = 2 * stdtr(tail, -np.abs(ratio) / np.sqrt(spread * factor))
    shape = arrival_shape(expected, CAUTION * spread)
    at_most = np.maximum(betainc(shape, rows + 1, shape / (shape + expected)), 1e-12)
    return np.where(rows == 0, at_most, np.where((rows < FEW) & (ratio < 0), np.maximum(p, at_most), p))


def none_p(expected: Floats, variance: Floats) -> Floats:
    """P(no row) when ``expected`` come and the log of their number varies by ``variance``: negative binomial.

    >>> round(float(none_p(np.array(10.0), np.array(0.1))), 6) == round(float(np.exp(-10)), 6)
    True
    """
    shape = arrival_shape(expected, variance)
    return (1 + expected / shape) ** -shape


def arrival_shape(expected: Floats, variance: Floats) -> Floats:
    """Shape k of gamma-mixed Poisson counts whose log varies by ``variance``: 1 / (variance - 1/expected)."""
    return np.minimum(1 / np.maximum(variance - 1 / np.maximum(expected, 1e-9), 1e-6), 1e6)
