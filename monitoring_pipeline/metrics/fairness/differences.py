"""Differences between groups, as a group against the reference group and as the largest between any two.

| metric | is the difference of |
|---|---|
| demographic_parity | the selection rate: share of the predictions that are positive |
| equal_opportunity | the true positive rate |
| false_positive_rate | the false positive rate |
| equalized_odds | the larger of the last two |
| predictive_parity | the precision |
| calibration | mean score minus share of positives |
| mae, mean_error | the mean absolute error, the mean error (regression) |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from math import nan
from statistics import NormalDist

from monitoring_pipeline.metrics.fairness.groups import Rates
from monitoring_pipeline.metrics.fairness.rates import UNDEFINED, Interval, Rate, Share, difference, larger, ratio
from monitoring_pipeline.metrics.performance.intervals import Z

RATE_OF = {
    "demographic_parity_difference": "selection_rate",
    "equal_opportunity_difference": "true_positive_rate",
    "false_positive_rate_difference": "false_positive_rate",
    "predictive_parity_difference": "precision",
    "calibration_difference": "calibration_gap",
    "mae_difference": "mae",
    "mean_error_difference": "mean_error",
}
ODDS = ("equal_opportunity_difference", "false_positive_rate_difference")
PARITY_RATIO, EQUALIZED_ODDS = "demographic_parity_ratio", "equalized_odds_difference"


@dataclass(frozen=True)
class Compared:
    """A metric: value, low and high, the rows behind the group's and the other group's rate, and which they are."""

    interval: Interval
    n: int
    n_other: int
    said: str | None = None


def against(group: Rates, reference: Rates) -> dict[str, Compared]:
    """A group against the reference group: each rate, its difference (group − reference group), and the parity ratio;
    intervals at 95 %. Equalized odds: at 97.5 % each, as either of two is taken.
    """
    found = {name: Compared(rate.interval(), rate.n, reference[name].n) for name, rate in group.items()}
    for metric, name in RATE_OF.items():
        if name in group:
            a, b = group[name], reference[name]
            found[metric] = Compared(difference(a, b), a.n, b.n)
    selected, usual = group.get("selection_rate"), reference.get("selection_rate")
    if isinstance(selected, Share) and isinstance(usual, Share):
        found[PARITY_RATIO] = Compared(ratio(selected, usual), selected.n, usual.n)
    if "true_positive_rate" in group:
        rates = [RATE_OF[m] for m in ODDS]
        both = [difference(group[r], reference[r], _adjusted(2)) for r in rates]
        n, n_other = (min(of[r].n for r in rates) for of in (group, reference))
        found[EQUALIZED_ODDS] = Compared(larger(*both), n, n_other)
    return found


def largest(groups: Mapping[str, Rates], least: int) -> dict[str, Compared]:
    """The largest difference between any two groups with at least ``least`` rows behind the rate; the least ratio.

    The interval is of the two groups at the ends, at the level that holds for all pairs at once (Bonferroni), because
    they were chosen for their distance. The values are those of fairlearn: ``MetricFrame.difference()`` of each rate,
    ``demographic_parity_ratio`` and ``equalized_odds_difference``. NaN with fewer than two groups.
    """
    rates = {name: rate for of in groups.values() for name, rate in of.items()}
    found = {m: _ends(groups, name, least) for m, name in RATE_OF.items() if name in rates}
    if "selection_rate" in rates:
        found[PARITY_RATIO] = _least_ratio(groups, least)
    if all(metric in found for metric in ODDS):
        worse = max((found[m] for m in ODDS), key=lambda one: -1.0 if one.interval[0] != one.interval[0] else
                    one.interval[0])  # fmt: skip
        both = all(found[m].interval[0] == found[m].interval[0] for m in ODDS)
        found[EQUALIZED_ODDS] = worse if both else Compared(UNDEFINED, 0, 0)
    return found


def _eligible(groups: Mapping[str, Rates], name: str, least: int) -> list[tuple[str, Rate]]:
    of = [(group, rates[name]) for group, rates in groups.items() if name in rates]
    return [(group, rate) for group, rate in of if rate.n >= least and rate.value == rate.value]


def _ends(groups: Mapping[str, Rates], name: str, least: int) -> Compared:
    some = _eligible(groups, name, least)
    if len(some) < 2:
        return Compared(UNDEFINED, 0, 0)
    top, bottom = max(some, key=lambda one: one[1].value), min(some, key=lambda one: one[1].value)
    value, low, high = difference(top[1], bottom[1], _adjusted(_pairs(some)))
    return Compared((value, max(low, 0.0), high), top[1].n, bottom[1].n, _said(top, bottom))


def _least_ratio(groups: Mapping[str, Rates], least: int) -> Compared:
    some = _eligible(groups, "selection_rate", least)
    if len(some) < 2:
        return Compared(UNDEFINED, 0, 0)
    top, bottom = max(some, key=lambda one: one[1].value), min(some, key=lambda one: one[1].value)
    assert isinstance(top[1], Share) and isinstance(bottom[1], Share)
    value, low, high = ratio(bottom[1], top[1], _adjusted(_pairs(some)))
    return Compared((value, low, min(high, 1.0) if value == value else nan), bottom[1].n, top[1].n, _said(bottom, top))


def _pairs(some: list[tuple[str, Rate]]) -> int:
    return sum(1 for _ in combinations(some, 2))


def _adjusted(n: int) -> float:
    """The normal deviate of n two-sided intervals that hold together at 95 %."""
    return Z if n == 1 else NormalDist().inv_cdf(1 - 0.025 / n)


def _said(a: tuple[str, Rate], b: tuple[str, Rate]) -> str:
    return " against ".join(f"{rate.value:.4g} in {group} (n {rate.n:,})" for group, rate in (a, b))
