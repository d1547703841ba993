"""How well a score orders rows: ROC AUC and average precision from score bins, with what the binning may hide."""

from __future__ import annotations

from math import sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.special import psi as digamma

from monitoring_pipeline.metrics.performance.intervals import Estimate, around, logit, undefined, unseen, wilson
from monitoring_pipeline.metrics.performance.ties import one_score_a_bin
from monitoring_pipeline.profiles.outcome import OutcomeProfile

Floats = NDArray[np.float64]


def roc_auc(outcome: OutcomeProfile, cls: int = 0) -> tuple[float | None, float]:
    """(area, bound) for the cls-th scored class against the rest; the area of the raw scores lies within ``bound`` of
    it.

    Pairs of a positive and a negative row in one bin count a half, as ties do; raw scores may order all of them
    either way, so bound = sum_j pos_j neg_j / (2 P N), and 0 where each bin is known to hold one score only. None
    without positives or without negatives.
    """
    positive, negative = _sides(outcome, cls)
    return _area(positive, negative, one_score_a_bin(outcome))[:2]


def average_precision(outcome: OutcomeProfile, cls: int = 0) -> tuple[float | None, float]:
    """(area under precision-recall, bound) as scikit-learn's ``average_precision_score``: sum over positives of
    precision / P.

    The value takes a bin's positives and negatives as evenly mixed. Whatever their order or ties, the i-th best
    positive of a bin that starts with tp_0, fp_0 rows above it and ends with tp_1, fp_1 sees a precision between
    (tp_0 + i)/(tp_0 + i + fp_1) and tp_1/(tp_1 + fp_0); these sums make the bound. Where each bin is known to hold one
    score only, the value is exact: tied rows all see tp_1/(tp_1 + fp_1). None without positives.

    Reference: Davis and Goadrich, The relationship between precision-recall and ROC curves, ICML (2006), for the
    mixing.
    """
    positive, negative = _sides(outcome, cls)
    return _precision_area(positive, negative, one_score_a_bin(outcome))


def ranking_metrics(outcome: OutcomeProfile) -> dict[str, Estimate]:
    """``roc_auc`` and ``pr_auc``; of several classes each against the rest, then their macro and weighted means.

    Intervals: DeLong's on a logit scale for the ROC, Boyd's logit interval for precision-recall, widened by the
    binning bound. Where all rows have one score there is nothing to sample but whether others occur (``_all_tied``).
    The deviation of a mean is at most the mean of the deviations, which is used: the classes' values
    are correlated.
    """
    found: dict[str, list[tuple[Estimate, float]]] = {"roc_auc": [], "pr_auc": []}
    tied = one_score_a_bin(outcome)
    for k in range(len(outcome.layout.scored)):
        positive, negative = _sides(outcome, k)
        weight = float(positive.sum())
        found["roc_auc"].append((_roc(positive, negative, tied), weight))
        found["pr_auc"].append((_pr(positive, negative, tied), weight))
    if outcome.layout.task == "binary":
        return {metric: each[0][0] for metric, each in found.items() if each}
    out: dict[str, Estimate] = {}
    for metric, each in found.items():
        for name, (estimate, _) in zip(outcome.layout.scored, each, strict=True):
            out[f"{metric}[class={name}]"] = estimate
        out[f"{metric}_macro"] = _average([(e, 1.0) for e, _ in each])
        out[f"{metric}_weighted"] = _average(each)
    return out


def _sides(outcome: OutcomeProfile, cls: int) -> tuple[Floats, Floats]:
    """Positive and negative labelled rows by bin, best scores first."""
    positive = outcome.positive_counts[cls][::-1].astype(float)
    return positive, outcome.labelled_counts[cls][::-1] - positive


def _area(positive: Floats, negative: Floats, tied: bool) -> tuple[float | None, float, float]:
    """(area, binning bound, standard error by DeLong, DeLong and Clarke-Pearson, Biometrics 44 (1988))."""
    p, n = float(positive.sum()), float(negative.sum())
    if p <= 0 or n <= 0:
        return None, 0.0, 0.0
    # of a positive row: the share of negatives below it; of a negative row: of positives above it
    beaten = (n - np.cumsum(negative) + negative / 2) / n
    losing = (np.cumsum(positive) - positive / 2) / p
    area = float(positive @ beaten) / p
    variance = float(positive @ (beaten - area) ** 2) / max(p - 1, 1) / p
    variance += float(negative @ (losing - area) ** 2) / max(n - 1, 1) / n
    bound = 0.0 if tied else float(positive @ negative) / (2 * p * n)
    return min(max(area, 0.0), 1.0), bound, sqrt(variance)


def _all_tied(positive: Floats, negative: Floats, tied: bool) -> float | None:
    """Largest share of pairs of a positive and a negative row that need not be ties although all rows of the window
    have one score: each class may hold other scores that n rows did not show. None where not all rows are tied.
    """
    if not tied or np.count_nonzero(positive + negative) != 1:
        return None
    return 1 - (1 - unseen(float(positive.sum()))) * (1 - unseen(float(negative.sum())))


def _roc(positive: Floats, negative: Floats, tied: bool) -> Estimate:
    area, bound, deviation = _area(positive, negative, tied)
    if area is None:
        return undefined()
    off = _all_tied(positive, negative, tied)
    if off is not None:
        return around(area, area - off / 2, area + off / 2, int(positive.sum() + negative.sum()), 0.0, 1.0)
    smaller = int(min(positive.sum(), negative.sum()))
    return logit(area, deviation, smaller, bound)


def _precision_area(positive: Floats, negative: Floats, tied: bool) -> tuple[float | None, float]:
    p = float(positive.sum())
    if p <= 0:
        return None, 0.0
    held = positive > 0
    tp1, fp1 = np.cumsum(positive)[held], np.cumsum(negative)[held]
    pos, neg = positive[held], negative[held]
    if tied:
        return min(float(pos @ (tp1 / (tp1 + fp1))) / p, 1.0), 0.0
    tp0, fp0 = tp1 - pos, fp1 - neg
    ratio = 1 + neg / pos
    start = (tp0 + fp0 - neg / pos / 2) / ratio
    mixed = pos / ratio + (tp0 - start) / ratio * (digamma(pos + 1 + start) - digamma(1 + start))
    low = pos - fp1 * (digamma(tp1 + fp1 + 1) - digamma(tp0 + fp1 + 1))
    high = pos * tp1 / (tp1 + fp0)
    least, value, most = (min(max(float(x.sum()) / p, 0.0), 1.0) for x in (low, mixed, high))
    value = min(max(value, least), most)
    return value, max(value - least, most - value)


def _pr(positive: Floats, negative: Floats, tied: bool) -> Estimate:
    """With all rows tied it is the share of positives, as sure as a share of all rows.

    Reference: Boyd, Eng and Page, Area under the precision-recall curve: point estimates and intervals, ECML PKDD
    (2013).
    """
    value, bound = _precision_area(positive, negative, tied)
    p = int(positive.sum())
    if value is None or not negative.any():
        return undefined(p)
    off = _all_tied(positive, negative, tied)
    if off is not None:
        share = wilson(p, p + float(negative.sum()))
        return around(value, (share.low or 0.0) - off, (share.high or 1.0) + off, share.n, 0.0, 1.0)
    deviation = sqrt(value * (1 - value) / p)  # the same as 1 / sqrt(P v (1 - v)) on the logit scale
    return logit(value, deviation, p, bound)


def _average(each: list[tuple[Estimate, float]]) -> Estimate:
    defined = [(e.value, e.low, e.high, w) for e, w in each if e.value is not None and w > 0]
    total = sum(w for *_, w in defined)
    if not defined or total <= 0:
        return undefined()
    value, low, high = (sum((d[i] or 0.0) * d[3] for d in defined) / total for i in range(3))
    return Estimate(value, min(low, value), max(high, value), sum(e.n for e, _ in each))
