"""The verdict on each column and window: horizons, season, budget, and which contrast moved.

``judge_columns`` is a fold over time that can be taken up anywhere: given the p-values of the windows before the first
one that is judged, windows get the same verdicts whether they are judged one by one or all together. What is learnt
from windows is learnt anew at fixed times (whole weeks since 1970) from the windows before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitoring_pipeline.alerting.budget import benjamini_hochberg
from monitoring_pipeline.alerting.drift.calibration import Calibrated
from monitoring_pipeline.alerting.drift.candidates import candidates
from monitoring_pipeline.alerting.drift.contrasts import Floats
from monitoring_pipeline.alerting.drift.learning import Learner
from monitoring_pipeline.alerting.drift.null import Null
from monitoring_pipeline.alerting.drift.plan import Plan
from monitoring_pipeline.alerting.drift.season import SEASONS
from monitoring_pipeline.alerting.drift.units import Batch
from monitoring_pipeline.alerting.rolling import rolling
from monitoring_pipeline.monitors.alarms import Persistence

ALARM, NOTICE, QUIET, ABSTAINED = 2, 1, 0, -1


@dataclass(frozen=True, eq=False)
class Earlier:
    """(M, H) p-values of the H windows before the first one judged; NaN where a window was not judged."""

    p_value: Floats
    p_alarm: Floats


@dataclass(frozen=True, eq=False)
class ColumnVerdicts:
    """Of M units (in the order of the batches) in T windows from number ``first`` on; all (M, T).

    ``p_value`` against the reference. ``p_alarm`` is the one that counts: the same while a difference begins and the
    season does not explain it, else the larger of it and the seasonal one, where that is known (``season_known``).
    ``q_value`` of ``p_alarm`` over the window's columns and segments. ``status``: 2 alarm, 1 notice (only the season or
    a trend), 0 quiet, -1 not judged. ``contrast``: position of what moved most, -1 for none, the number of contrasts
    for shape. ``horizon``: windows merged. ``effect``: signed z of that contrast. ``n``: values, of ``rows``.
    ``source``: how the variance between windows was known. ``null``: what the last week was judged by.
    """

    first: int
    p_value: Floats
    p_alarm: Floats
    q_value: Floats
    season_known: NDArray[np.bool_]
    status: NDArray[np.int8]
    contrast: NDArray[np.int16]
    horizon: NDArray[np.int16]
    effect: Floats
    n: Floats
    rows: Floats
    source: NDArray[np.str_]
    null: Null


def judge_columns(
    batches: Sequence[Batch], calibrated: Calibrated, plan: Plan, start: int, before: Earlier | None = None
) -> ColumnVerdicts:
    """Verdicts on the windows from number ``start`` to the last one of the batches.

    The batches hold at least ``plan.history`` windows before ``start``, or all that there are. ``before``: p-values of
    the windows before ``start``, None when there are none.
    """
    first = batches[0].first
    shape = len(calibrated.units), batches[0].windows.shape[1]
    p_value, p_alarm = _placed(before, shape, start - first)
    found = candidates(batches, calibrated.bases, plan.alarms, plan.horizons, plan.period, start)
    learner = Learner(batches, calibrated, plan, start)
    null = calibrated.null
    contrast, horizon, effect = np.full(shape, -1, np.int16), np.zeros(shape, np.int16), np.zeros(shape)
    first_of = np.searchsorted(calibrated.units_of, np.arange(shape[0]))
    source = np.full(shape, "", "<U16")
    for low, high in _weeks(plan, start, first + shape[1]):
        null = learner.null_at(low, p_value, p_alarm)
        source[:, low - first : high - first] = null.source[first_of, None]
        tested = found.between(low, high).tested(null, len(plan.horizons), plan.alarms.seasonal)
        size, here = (shape[0], high - low), slice(low - first, high - first)
        judged = found.judged[:, low - start : high - start]
        p_value[:, here] = np.where(judged, tested.least(size, low), np.nan)
        best = tested.best(size, low, _standing(plan, p_value, low - first, high - first))
        p_alarm[:, here] = np.where(judged, best.p_alarm, np.nan)
        contrast[:, here], horizon[:, here], effect[:, here] = best.contrast, best.horizon, best.effect
    status, q_value = _status(plan, p_value, p_alarm)
    now = slice(start - first, None)
    return ColumnVerdicts(
        start, p_value[:, now], p_alarm[:, now], q_value[:, now], found.season_known, status[:, now],
        contrast[:, now], horizon[:, now], effect[:, now], found.n,
        found.rows, source[:, now], null,
    )  # fmt: skip


def _placed(before: Earlier | None, shape: tuple[int, int], n: int) -> tuple[Floats, Floats]:
    """Two arrays of ``shape``, NaN but for the last of the earlier p-values, which end before position ``n``."""
    placed = np.full(shape, np.nan), np.full(shape, np.nan)
    if before is not None and n:
        for into, values in zip(placed, (before.p_value, before.p_alarm), strict=True):
            kept = values[:, -n:]
            into[:, n - kept.shape[1] : n] = kept
    return placed


def _weeks(plan: Plan, start: int, stop: int) -> Iterator[tuple[int, int]]:
    """Windows from ``start`` to ``stop`` by the week they are in, counted from 1970."""
    while start < stop:
        high = min((start // plan.period + 1) * plan.period, stop)
        yield start, high
        start = high


def _standing(plan: Plan, p_value: Floats, low: int, high: int) -> NDArray[np.bool_]:
    """(M, high - low) whether the column differed significantly from the reference in one of the four weeks before,
    the last windows apart: a difference that begins is judged by itself for as long."""
    back = SEASONS * plan.period
    first = max(low - back, 0)
    differs = plan.level >= benjamini_hochberg(p_value[:, first:high].T).T
    seen = np.cumsum(np.pad(differs, ((0, 0), (1, 0))), axis=1)
    at = np.arange(low, high) - first
    until, since = np.maximum(at - plan.alarms.seasonal.new_windows, 0), np.maximum(at - back, 0)
    return seen[:, until] > seen[:, np.minimum(since, until)]


def _status(plan: Plan, p_value: Floats, p_alarm: Floats) -> tuple[NDArray[np.int8], Floats]:
    q_value = benjamini_hochberg(p_alarm.T).T
    beyond = _persistent(plan.alarms.persistence, plan.level, p_alarm) if plan.alarms.persistence else (
        q_value <= plan.level
    )  # fmt: skip
    alarm = beyond & (plan.level > 0)
    differs = (plan.level >= benjamini_hochberg(p_value.T).T) & (plan.level > 0)
    status = np.where(alarm, ALARM, np.where(differs, NOTICE, QUIET)).astype(np.int8)
    status[np.isnan(p_alarm)] = ABSTAINED
    return status, q_value


def _persistent(persistence: Persistence, level: float, p_alarm: Floats) -> NDArray[np.bool_]:
    """Beyond the level at which k of m independent windows of one column are by chance as often as the budget says."""
    k, m = persistence.alarms, persistence.of
    judged = np.maximum((~np.isnan(p_alarm)).sum(axis=0), 1)
    ways = max(m - 1, 1) if k == 2 else 1
    hit = np.nan_to_num(p_alarm, nan=1.0) <= (level / (judged * ways)) ** (1 / k)
    return hit & (rolling(hit.astype(float), m) >= k)
