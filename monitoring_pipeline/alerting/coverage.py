"""Coverage: whether as many labels have arrived as usual at this age.

The labelled share at a fixed age (one day, three days, the largest delay; every window at the same age) is compared, as
a logit, with the median of the last windows; dispersion is learnt from the residuals of the last 60 and is at least
binomial. Alarmed windows teach nothing. A share of zero stays alarmed until labels arrive again.

Call order: for each age ``judge(labelled, rows, known, settings)``, all (S, T), in order without gaps; then
``decide([tests of each age], level)``: ages and segments of a window are one family. ``tests.state`` is what a fold
keeps of each window; given the states of the first ones, ``judge`` goes on from there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.special import expit, stdtr

from monitoring_pipeline.alerting.budget import Floats, benjamini_hochberg
from monitoring_pipeline.alerting.dispersion import DispersionSettings, dispersion, masked_median, median_factor
from monitoring_pipeline.alerting.status import Flags, Texts, statuses
from monitoring_pipeline.monitors.alarms import CoverageAlarms

YOUNG = "not of this age yet"
LATE = "taken in when it was older"
FEW_ROWS = "too few rows"
SHORT_HISTORY = "too few earlier windows"
NO_LABELS = "no labels since they stopped"
TEXT = "<U40"
STATE = ("good", "residual", "p")  # what the fold keeps of a window


@dataclass(frozen=True)
class CoverageSettings:
    """``floor``: least change of the share that may alarm. ``windows``: good ones whose median is usual. ``memory``:
    windows whose residuals make the dispersion. ``least_history``: good ones from which on is judged; ``least_rows`` of
    a window. ``accept_above``: windows with a smaller p-value and beyond the floor never teach."""

    floor: float = 0.05
    windows: int = 28
    memory: int = 60
    least_history: int = 14
    least_rows: int = 20
    accept_above: float = 0.05 / 30
    dispersion: DispersionSettings = field(default_factory=lambda: DispersionSettings(prior_sd=0.3))

    @classmethod
    def declared(cls, alarms: CoverageAlarms) -> CoverageSettings:
        """As ``alarms.coverage`` says."""
        return cls(**alarms.model_dump(exclude={"ages"}))


@dataclass(frozen=True)
class CoverageTests:
    """(S, T) of one age: ``p`` (NaN where not judged, with the ``reason``), the ``share``, what is ``usual``, and
    windows without any label (``empty``); ``state`` (S, T, K) by ``STATE``. Of windows whose state was given, what is
    ``usual`` and the ``reason`` are not told."""

    p: Floats
    share: Floats
    usual: Floats
    empty: Flags
    reason: Texts
    state: Floats


@dataclass(frozen=True)
class CoverageVerdicts:
    """(S, T) of one age: ``status``, ``q``, ``reason``."""

    status: Texts
    q: Floats
    reason: Texts


def judge(
    labelled: Floats, rows: Floats, known: Flags, settings: CoverageSettings, before: Floats | None = None
) -> CoverageTests:
    """Tests of one age. ``labelled`` of ``rows``, both as counted when the window had that age; ``known``: it has had
    that age. All (S, T). ``before`` (S, R, K): states of the first R windows, which are not judged again."""
    rows, labelled = np.asarray(rows, float), np.asarray(labelled, float)
    logits = np.log((labelled + 0.5) / (np.maximum(rows - labelled, 0) + 0.5))
    p, usual, residual = (np.full(rows.shape, np.nan) for _ in range(3))
    good, history = np.zeros(rows.shape, bool), np.zeros(rows.shape, np.intp)
    done = 0 if before is None else min(before.shape[1], rows.shape[1])
    if before is not None:
        good[:, :done] = before[:, :done, 0] > 0
        residual[:, :done], p[:, :done] = before[:, :done, 1], before[:, :done, 2]
    for t in range(done, rows.shape[1]):
        past = slice(max(0, t - settings.memory), t)
        middle, n = _usual(logits[:, past], good[:, past], settings)
        history[:, t], usual[:, t] = good[:, past].sum(1), expit(middle)
        factor = median_factor(n)
        residual[:, t] = (logits[:, t] - middle) / np.sqrt(factor)
        taught = good[:, past] & np.isfinite(residual[:, past])
        variance, tail = dispersion(np.nan_to_num(residual[:, past]), taught, settings.dispersion)
        binomial = 1 / np.maximum(rows[:, t] * usual[:, t] * (1 - usual[:, t]), 1e-9)
        chance = 2 * stdtr(tail, -np.abs(logits[:, t] - middle) / np.sqrt(np.maximum(variance, binomial) * factor))
        share = labelled[:, t] / np.maximum(rows[:, t], 1)
        found = np.where(np.abs(share - usual[:, t]) < settings.floor, 1.0, chance)
        judged = known[:, t] & (rows[:, t] >= settings.least_rows) & (history[:, t] >= settings.least_history)
        p[:, t] = np.where(judged, found, np.nan)
        enough = known[:, t] & (rows[:, t] >= settings.least_rows)
        good[:, t] = enough & ~(np.nan_to_num(p[:, t], nan=1.0) <= settings.accept_above)
    reason = np.where(known, np.where(rows < settings.least_rows, FEW_ROWS, SHORT_HISTORY), YOUNG).astype(TEXT)
    reason[~np.isnan(p)] = ""
    empty = known & (rows > 0) & (labelled == 0)
    return CoverageTests(p, labelled / np.maximum(rows, 1), usual, empty, reason, np.stack((good, residual, p), -1))


def decide(ages: Sequence[CoverageTests], level: float) -> list[CoverageVerdicts]:
    """Verdicts of each age; (S, T) of the same windows."""
    if not ages:
        return []
    q = benjamini_hochberg(np.concatenate([one.p for one in ages]).T).T
    return [_held(one, part, level) for one, part in zip(ages, np.split(q, len(ages)), strict=True)]


def _held(tests: CoverageTests, q: Floats, level: float) -> CoverageVerdicts:
    status, reason = statuses(q, level), tests.reason.copy()
    for t in (np.flatnonzero((tests.empty[:, 1:] & tests.empty[:, :-1]).any(0)) + 1).tolist():
        still = tests.empty[:, t] & tests.empty[:, t - 1] & (status[:, t - 1] == "alarm")
        status[still, t] = "alarm"
        reason[still, t] = NO_LABELS
    return CoverageVerdicts(status, q, reason)


def _usual(logits: Floats, good: Flags, settings: CoverageSettings) -> tuple[Floats, np.ndarray]:
    """(S,) median of the last good logits, and how many."""
    later = np.cumsum(good[:, ::-1], axis=1)[:, ::-1]
    recent = good & (later <= settings.windows)
    return masked_median(logits, recent), recent.sum(1)
