"""Batches of columns with known truth, for the tests of verdicts on drift."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr

from monitoring_pipeline.alerting.drift.calibration import calibrate
from monitoring_pipeline.alerting.drift.contrasts import basis
from monitoring_pipeline.alerting.drift.judgement import Earlier, judge_columns
from monitoring_pipeline.alerting.drift.plan import Plan
from monitoring_pipeline.alerting.drift.units import Batch, Unit
from monitoring_pipeline.monitors.alarms import DriftAlarms

EDGES = np.linspace(-1.8, 1.8, 10)  # of the bins inside; the first and last bin are outside of [-4, 4]
LEVEL = 0.5 / 30


def plan(drift=None, size="day", level=LEVEL):
    return Plan(drift or DriftAlarms(), size, level)


def numerical(random, units=4, blocks=30, windows=20, rows=1000, effects=0.0, missing=0.05, pool=("1", "*"), rho=0.0):
    """Normal columns whose location has effects of windows; all start at number 0, blocks before windows."""
    moved = _effects(random, units, blocks + windows, effects, rho)
    return numbers_at(random, moved, blocks, rows, missing, pool)


def numbers_at(random, moved, blocks, rows=1000, missing=0.05, pool=("1", "*"), kept=True):
    """``moved`` (U, B + T): location of each block and window."""
    inner = ndtr(np.concatenate(([-4.0], EDGES, [4.0])) - np.asarray(moved)[:, :, None])
    shares = np.diff(inner, prepend=0.0, append=1.0)
    lost = random.binomial(rows, missing, moved.shape)
    counts = random.multinomial(rows - lost, shares)
    return placed("numerical", counts, lost, blocks, pool, kept=kept)


def categorical(
    random, units=3, blocks=30, windows=20, rows=1000, shares=(0.6, 0.3, 0.1, 0.0), missing=0.05, pool=("1", "*")
):
    """Columns of names; the last share is of names that the reference lacks."""
    lost = random.binomial(rows, missing, (units, blocks + windows))
    return placed("categorical", random.multinomial(rows - lost, shares), lost, blocks, pool)


def placed(kind, counts, missing, blocks, pool=("1", "*"), kept=True):
    """``counts`` (U, B + T, K): the first ``blocks`` are the reference's, of known times if ``kept``."""
    counts, missing = counts.astype(float), missing.astype(float)
    windows, windows_missing = counts.copy(), missing.copy()
    windows[:, :blocks] = windows_missing[:, :blocks] = 0
    units = tuple(Unit(pool, f"{kind[0]}{i}", "feature", kind) for i in range(len(counts)))
    n = blocks if kept else 0
    return Batch(
        kind, units, counts[:, :blocks].sum(axis=1), missing[:, :blocks].sum(axis=1), counts[:, :n], missing[:, :n],
        np.arange(n), windows, windows_missing, 0,
    )  # fmt: skip


def judged(batches, by, start):
    return judge_columns(batches, calibrate(batches, by), by, start)


def one_by_one(batches, by, start):
    """The same windows, each judged by itself from the p-values stored before."""
    calibrated = calibrate(batches, by)
    stop = batches[0].first + batches[0].windows.shape[1]
    p_value, p_alarm, status = [], [], []
    for t in range(start, stop):
        part = [batch.between(max(t - by.history, batch.first), t + 1) for batch in batches]
        earlier = Earlier(*(np.stack(p[-by.history :], axis=1) for p in (p_value, p_alarm))) if p_value else None
        found = judge_columns(part, calibrated, by, t, earlier)
        p_value.append(found.p_value[:, 0])
        p_alarm.append(found.p_alarm[:, 0])
        status.append(found.status[:, 0])
    return tuple(np.stack(x, axis=1) for x in (p_value, p_alarm, status))


def _effects(random, units, n, size, rho):
    noise = random.normal(0, size, (units, n)) if size else np.zeros((units, n))
    for t in range(1, n):
        noise[:, t] = rho * noise[:, t - 1] + np.sqrt(1 - rho**2) * noise[:, t]
    return noise


def basis_of(batch):
    return basis(batch)
