"""Contrasts of scores: auc, level and slope, from rows and positives by score bin.

Evidence (S, T, 2 B): labelled rows by score bin, worst scores first, then the positive ones among them. p̂ is the
reference's line, x the logit of the bin's mean score, w = n p̂ (1 - p̂) the information of a bin.

auc    AUC - the reference's; variance ξ10/P + ξ01/N, the placement variances of the reference (DeLong, DeLong and
       Clarke-Pearson, Biometrics 44, 1988) over the window's positives P and negatives N. ``least``: of P and of N.
level  Σ(y - p̂) / Σw: log odds by which outcomes are more frequent than the line says. The smaller of this and its
       square-root form, taken for the rarer class. Variance 1 / Σw. ``least``: expected events of the rarer class.
slope  Σ(y - p̂)(x - x̄) / Σw (x - x̄)² / b: relative change of the line's slope by one step of the score test about
       x̄ = Σwx / Σw, p̂ and w being those of the line moved to the window's own level: else a moved level would show as
       another slope. Variance 1 / (b² Σw (x - x̄)²). ``least``: Σw of the line.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from monitoring_pipeline.alerting.budget import Floats
from monitoring_pipeline.alerting.performance.contrasts import Contrasts, divided, inverse, smaller, weighted
from monitoring_pipeline.alerting.performance.line import fit_line
from monitoring_pipeline.alerting.performance.settings import PerformanceSettings
from monitoring_pipeline.alerting.status import Flags

NEWTON = 2  # steps to the window's own level
SURE_OF_SLOPE = 4.0  # standard errors by which the reference's slope must be above 0 to be compared with


@dataclass(frozen=True)
class Scores:
    """A binary score, or that of one class against the rest, against its reference.

    ``x`` (S, B), ``auc`` (S,), ``placements`` (S, 2) variances ξ10 and ξ01, ``line`` (S, 2) intercept and slope,
    ``expected_auc`` (S,) of the reference's rows if the line held, ``able`` (S, 3), ``reference_variance`` (S, 3).
    """

    x: Floats
    auc: Floats
    placements: Floats
    line: Floats
    expected_auc: Floats
    able: Flags
    reference_variance: Floats

    @property
    def names(self) -> tuple[str, ...]:
        """Of the contrasts."""
        return ("auc", "level", "slope")

    @property
    def sides(self) -> tuple[int, ...]:
        """A better ranking is not bad."""
        return (-1, 0, -1)

    @property
    def expected(self) -> Floats:
        """(S, B) P(positive | bin) by the line."""
        return expit(self.line[:, :1] + self.line[:, 1:] * self.x)

    def rows(self, evidence: Floats) -> Floats:
        """Labelled rows with a score."""
        return sides_of(evidence)[0].sum(-1)

    def contrasts(self, evidence: Floats, settings: PerformanceSettings) -> Contrasts:
        """As the module describes."""
        labelled, positive = sides_of(evidence)
        n, events = labelled.sum(-1), positive.sum(-1)
        area = auc_of(positive, labelled - positive)
        fall = np.where(np.isnan(area), 0.0, area - self.auc[:, None])
        chance = self.placements[:, :1] * inverse(events) + self.placements[:, 1:] * inverse(n - events)
        level, rare, info = self._level(labelled, n, events)
        slope, spread = self._slope(labelled, positive)
        usable = np.stack(
            (
                np.minimum(events, n - events) >= settings.auc.least,
                rare >= settings.level.least,
                (info >= settings.slope.least) & (spread > 0),
            ),
            axis=-1,
        )
        steep = np.maximum(self.line[:, 1:], 1e-9)
        variance = np.stack((chance, inverse(info), inverse(spread * steep**2)), axis=-1)
        return Contrasts(np.stack((fall, level, slope), axis=-1), variance, usable)

    def _level(self, labelled: Floats, n: Floats, events: Floats) -> tuple[Floats, Floats, Floats]:
        """(S, T) level, expected events of the rarer class, information."""
        p = self.expected
        expected, info = (weighted(labelled, k[:, None]) for k in (p, p * (1 - p)))
        rare = expected <= n / 2
        e, o = (np.maximum(np.where(rare, k, n - k), 0.0) for k in (expected, events))
        return divided(np.where(rare, 1, -1) * smaller(o, e), info), e, info

    def _slope(self, labelled: Floats, positive: Floats) -> tuple[Floats, Floats]:
        """(S, T) slope and Σw (x - x̄)², about the line moved to the window's own level: else a moved level would show
        as a changed slope. x is centred first, so that the sums lose no digits."""
        x = self.x - self.x.mean(1, keepdims=True)
        p = self._at_level(labelled, positive.sum(-1))
        rows = labelled * p
        left, w = positive - rows, rows * (1 - p)
        r0, r1 = left.sum(-1), weighted(left, x[:, None])
        w0, w1, w2 = w.sum(-1), weighted(w, x[:, None]), weighted(w, (x * x)[:, None])
        mean = divided(w1, w0)
        spread = np.maximum(w2 - mean * w1, 0.0)
        spread = np.where(spread > 1e-9 * np.maximum(w2, 1e-300), spread, 0.0)
        steep = np.maximum(self.line[:, 1:], 1e-9)
        return divided(r1 - mean * r0, spread * steep), spread

    def _at_level(self, labelled: Floats, events: Floats) -> Floats:
        """(S, T, B) P(positive | bin) by the line, its intercept moved by Newton's steps to the window's events."""
        odds = self.line[:, :1] + self.line[:, 1:] * self.x
        moved = np.zeros(events.shape)
        p = np.broadcast_to(expit(odds)[:, None], labelled.shape)
        for _ in range(NEWTON):
            rows = labelled * p
            info = np.asarray((rows * (1 - p)).sum(-1))
            moved = moved + np.clip(divided(events - rows.sum(-1), info), -1.0, 1.0)
            p = expit(odds[:, None] + moved[..., None])
        return p


@dataclass(frozen=True)
class MacroAuc:
    """The mean of the classes' areas, each against the rest. Evidence (S, T, C 2 B): that of the classes one after the
    other. ``auc``, ``placements`` (S, C, 2) and ``counted`` (S, C), the classes with enough rows in the reference.

    The areas share rows, so their deviations are added as if they were one: an upper bound of the variance.
    """

    auc: Floats
    placements: Floats
    counted: Flags
    able: Flags
    reference_variance: Floats

    @property
    def names(self) -> tuple[str, ...]:
        """Of the contrast."""
        return ("macro_auc",)

    @property
    def sides(self) -> tuple[int, ...]:
        """A better ranking is not bad."""
        return (-1,)

    def rows(self, evidence: Floats) -> Floats:
        """Labelled rows with a score, by the first class: every class has one of each row."""
        bins = evidence.shape[-1] // (2 * self.auc.shape[1])
        return evidence[..., :bins].sum(-1)

    def contrasts(self, evidence: Floats, settings: PerformanceSettings) -> Contrasts:
        """(S, T, 1), usable where every counted class has its positives and negatives."""
        classes = self.auc.shape[1]
        by_class = evidence.reshape(*evidence.shape[:-1], classes, evidence.shape[-1] // classes)
        labelled, positive = sides_of(by_class)
        events, others = positive.sum(-1), (labelled - positive).sum(-1)
        counted = self.counted[:, None, :]
        there = np.minimum(events, others) >= settings.auc.least
        fall = np.nan_to_num(auc_of(positive, labelled - positive) - self.auc[:, None, :]) * counted
        xi = self.placements[:, None]
        deviation = np.sqrt(xi[..., 0] * inverse(events) + xi[..., 1] * inverse(others)) * counted
        n = np.maximum(counted.sum(-1), 1)
        usable = (there | ~counted).all(-1) & counted.any(-1)
        return Contrasts(
            (fall.sum(-1) / n)[..., None], ((deviation.sum(-1) / n) ** 2)[..., None], usable[..., None]
        )  # fmt: skip


def sides_of(evidence: Floats) -> tuple[Floats, Floats]:
    """Labelled and positive rows (..., B) of evidence (..., 2 B)."""
    bins = evidence.shape[-1] // 2
    return evidence[..., :bins], evidence[..., bins:]


def auc_of(positive: Floats, negative: Floats) -> Floats:
    """Areas (...) from rows by bin (..., B), worst scores first; ties count a half. NaN without either side.

    >>> float(auc_of(np.array([0.0, 1, 3]), np.array([4.0, 1, 0])).round(3))
    0.975
    """
    beaten = np.cumsum(negative, -1) - negative / 2
    pairs = positive.sum(-1) * negative.sum(-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((positive * beaten).sum(-1) / pairs)


def against_reference(x: Floats, evidence: Floats, settings: PerformanceSettings) -> Scores:
    """The family of one series (S = 1) from the reference's evidence (2 B,) and x (B,)."""
    labelled, positive = sides_of(np.asarray(evidence, float))
    area, placements = placed(positive, labelled - positive)
    line = fit_line(x, labelled, positive)
    p = expit(line.intercept + line.slope * x)
    blank = Scores(
        x[None], np.array([area]), placements[None], np.array([line]),
        np.nan_to_num(auc_of(labelled * p, labelled * (1 - p)))[None], np.ones((1, 3), bool), np.zeros((1, 3)),
    )  # fmt: skip
    variance = blank.contrasts(evidence[None, None], settings).variance[0]
    rarer = min(positive.sum(), (labelled - positive).sum())
    enough = [bool(rarer >= s.least_reference) for s in (settings.auc, settings.level, settings.slope)]
    ranks = np.count_nonzero(labelled) > 1
    steep = line.slope > 0 and bool(variance[0, 2] < SURE_OF_SLOPE**-2)
    able = np.array([enough[0] and ranks, enough[1], enough[2] and steep])
    return Scores(blank.x, blank.auc, blank.placements, blank.line, blank.expected_auc, able[None], variance)


def macro(classes: Sequence[Scores], evidence: Floats, settings: PerformanceSettings) -> MacroAuc:
    """The macro family of one series from those of its classes and the reference's evidence (C 2 B,)."""
    counted = np.array([[one.able[0, 0] for one in classes]])
    blank = MacroAuc(
        np.array([[one.auc[0] for one in classes]]), np.array([[one.placements[0] for one in classes]]),
        counted, np.array([[bool(counted.any())]]), np.zeros((1, 1)),
    )  # fmt: skip
    variance = blank.contrasts(evidence[None, None], settings).variance[0]
    return MacroAuc(blank.auc, blank.placements, blank.counted, blank.able, variance)


def placed(positive: Floats, negative: Floats) -> tuple[float, Floats]:
    """(area, variances of the placements of positives and of negatives) of one reference's rows by bin (B,).

    Neither variance is below that of one misplaced row among the rarer class, so that a perfect reference does not
    make any mistake infinitely surprising. Without a class: area 0.5 and the largest variances, 0.25.
    """
    p, n = float(positive.sum()), float(negative.sum())
    if p <= 0 or n <= 0:
        return 0.5, np.full(2, 0.25)
    below = (np.cumsum(negative) - negative / 2) / n
    above = (np.cumsum(positive[::-1])[::-1] - positive / 2) / p
    area = float(positive @ below) / p
    found = np.array([positive @ (below - area) ** 2 / p, negative @ (above - area) ** 2 / n])
    one = 1 / (2 * min(p, n))
    return area, np.maximum(found, one * (1 - one))
