"""What production teaches where the reference cannot: the variance of windows that no alarm was raised for.

Where the reference has too few blocks, the accepted windows themselves take their place (``learnt``). The variance
about the seasonal expectation starts from the reference's (or the training variance) and learns from accepted windows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from monitoring_pipeline.alerting.budget import benjamini_hochberg
from monitoring_pipeline.alerting.drift.calibration import Calibrated
from monitoring_pipeline.alerting.drift.contrasts import Basis, Contrasts, Floats, contrasts
from monitoring_pipeline.alerting.drift.null import LEAST_ROWS, Null, Sample, observe, settle
from monitoring_pipeline.alerting.drift.plan import LEARNT, Plan
from monitoring_pipeline.alerting.drift.season import SEASONS, expected, with_blocks
from monitoring_pipeline.alerting.drift.units import Batch
from monitoring_pipeline.alerting.rolling import Counted

LEAST_LEARNT, LEAST_SEASONAL = 10, 7
LARGEST_START, SMALLEST_START = 28.0, 7.0  # degrees of freedom that the starting variance counts at most
Mask = NDArray[np.bool_]


class Learner:
    """The null as it stands before each week, from the one that window ``start`` lies in on."""

    def __init__(self, batches: Sequence[Batch], calibrated: Calibrated, plan: Plan, start: int) -> None:
        self._batches, self._calibrated, self._plan = batches, calibrated, plan
        self._first = batches[0].first
        week = start // plan.period * plan.period - self._first
        self._earliest = max(week - plan.learn_weeks * plan.period, 0)  # of the windows that may teach the season
        self._residuals = self._seasonal() if plan.alarms.season else None

    @cached_property
    def _singles(self) -> list[Contrasts]:
        """By batch: each window alone. Only a reference with too few blocks needs them."""
        return [contrasts(of, b.windows, b.windows_missing) for of, b in self._pairs()]

    def null_at(self, number: int, p_value: Floats, p_alarm: Floats) -> Null:
        """The null for the week of window ``number``, learnt from the windows before that week.

        ``p_value`` against the reference and ``p_alarm`` (M, T) of all windows up to that one; NaN where not judged.
        """
        week = number // self._plan.period * self._plan.period - self._first
        stop = max(min(week, p_alarm.shape[1]), 0)
        accepted = np.zeros(p_alarm.shape, bool)
        accepted[:, :stop] = p_alarm[:, :stop] > self._plan.alarms.seasonal.accept_above
        null = self._calibrated.null
        if (null.source == "provisional").any():
            null = self._learnt(null, accepted & self._alike(p_value, stop), stop)
        return self._seasoned(null, accepted, stop) if self._residuals is not None else null

    def _alike(self, p_value: Floats, stop: int) -> Mask:
        """(M, T) whether windows before ``stop`` are neither an alarm nor a notice.

        A lasting difference is no alarm for long, but it must not become the usual spread.
        """
        low = max(stop - self._plan.lookback, 0)
        alike = np.zeros(p_value.shape, bool)
        alike[:, low:stop] = self._plan.level < benjamini_hochberg(p_value[:, low:stop].T).T
        return alike

    def _pairs(self) -> list[tuple[Basis, Batch]]:
        return list(zip(self._calibrated.bases, self._batches, strict=True))

    def _learnt(self, null: Null, accepted: Mask, stop: int) -> Null:
        """With the accepted windows in the place of blocks, where the reference has too few."""
        lookback, most = self._plan.lookback, LEARNT[self._plan.size]
        samples, at = [], 0
        for (of, batch), single in zip(self._pairs(), self._singles, strict=True):
            chosen = accepted[at : at + len(batch.units)] & (single.n >= LEAST_ROWS)
            chosen[:, : max(stop - lookback, 0)] = False
            chosen &= np.cumsum(chosen[:, ::-1], axis=1)[:, ::-1] <= most
            chosen &= chosen.sum(axis=1, keepdims=True) >= LEAST_LEARNT
            numbers = batch.first + np.arange(chosen.shape[1])
            samples.append(observe(of, single, chosen, numbers, self._plan.period, inside=False))
            at += len(batch.units)
        c = self._calibrated
        learnt = settle(Sample.joined(samples), c.kin, self._plan.alarms, "learnt")
        return _where(null, learnt, (null.source == "provisional") & (learnt.source == "learnt"), c.units_of)

    def _seasonal(self) -> list[tuple[Floats, Floats]]:
        """By batch: difference from the expectation and its sampling variance, on the scale of one window's variance;
        (U, T, J) from window ``_earliest`` on, NaN where no expectation is known."""
        found, period = [], self._plan.period
        for of, whole in self._pairs():
            since = self._first + self._earliest
            batch = whole.between(max(since - SEASONS * period, self._first), self._first + whole.windows.shape[1])
            position = since - batch.first
            counts, missing = map(Counted, with_blocks(batch))
            e = expected(of, (counts, missing), 1, period, position, batch.windows.shape[1])
            batch = batch.between(since, self._first + whole.windows.shape[1])
            known = e.known[:, :, None] & (batch.windows.sum(axis=2) >= LEAST_ROWS)[:, :, None]
            d = np.where(known, e.d / np.sqrt(e.factor)[:, :, None], np.nan)
            found.append((d, np.where(known, e.sampling / e.factor[:, :, None], np.nan)))
        return found

    def _seasoned(self, null: Null, accepted: Mask, stop: int) -> Null:
        """The seasonal variance: the reference's (or the training variance) and the accepted differences'."""
        start_s2 = np.where(null.season_df > 0, null.season_s2, null.s2)
        start_df = np.where(null.season_df > 0, null.season_df, np.minimum(null.df, SMALLEST_START))
        start_df = np.minimum(start_df, LARGEST_START)
        low = max(stop - self._plan.learn_weeks * self._plan.period, self._earliest)
        stop = max(stop, low)
        more, many = [], []
        at = 0
        for (d, sampling), batch in zip(self._residuals or [], self._batches, strict=True):
            inside = slice(low - self._earliest, stop - self._earliest)
            d, sampling = d[:, inside], sampling[:, inside]
            chosen = accepted[at : at + len(batch.units), low:stop, None] & ~np.isnan(d)
            number = chosen.sum(axis=1)
            beyond = np.where(chosen, d**2 - sampling, 0).sum(axis=1) / np.maximum(number, 1)
            more.append(np.maximum(beyond, 0).reshape(-1))
            many.append(number.reshape(-1))
            at += len(batch.units)
        seen, number = np.concatenate(more) + null.noise, np.concatenate(many).astype(float)
        number = np.where(number >= LEAST_SEASONAL, number, 0.0)
        s2 = (start_df * start_s2 + number * seen) / (start_df + number)
        return replace(null, season_s2=s2, season_df=start_df + number / 2)


def _where(null: Null, learnt: Null, chosen: Mask, units_of: NDArray[np.intp]) -> Null:
    """``learnt`` at the chosen contrasts (N,) and their units, ``null`` elsewhere."""
    of_unit = np.zeros(len(null.shape), bool)
    of_unit[units_of[chosen]] = True
    names = ("s2", "noise", "df", "rho", "tail", "source")
    changed = {name: np.where(chosen, getattr(learnt, name), getattr(null, name)) for name in names}
    shapes = ("shape", "shape_df", "shape_var", "shape_rho")
    changed |= {name: np.where(of_unit, getattr(learnt, name), getattr(null, name)) for name in shapes}
    return replace(null, **changed)
