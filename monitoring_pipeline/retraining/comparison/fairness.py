"""The fairness guard: whether a challenger widens the gap between groups of people, or of anything declared.

Groups are the values of a declared column; what is compared is their selection rate, true positive rate or mean error.
With r_k(M) the rate of group k under model M, the gap of two groups is |r_a(M) - r_b(M)| (demographic parity
difference and equal opportunity difference where the rate is that of selection and of true positives), and it widens
by w = |g_B| - |g_A|, g the signed gap, A the champion and B the challenger.

The absolute values have no derivative at 0, so w itself has no t interval there. It is w = max(min(D, S), -max(D, S))
with D = g_B - g_A and S = g_B + g_A, which are smooth: both get a t interval whose variance comes of leaving each day
out in turn, and w lies between the same expression of their lower ends and of their upper ends. That w is above the
lower end holds at least as surely as for D and S alone: an intersection of two one-sided tests has the level of each of
them, and the union over both signs costs a half each, which the two-sided interval has. With m pairs of groups, all
columns and classes together, each interval has level 1 - (1 - level) / m (Bonferroni).

References: Hardt, Price and Srebro, Equality of opportunity in supervised learning, NeurIPS (2016); Berger,
Multiparameter hypothesis testing and acceptance sampling, Technometrics 24 (1982), for intersection-union tests; Efron
and Tibshirani, An Introduction to the Bootstrap (1993), chapter 11, for leaving out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import t

from monitoring_pipeline.monitors.retraining import Fairness, GroupMetric
from monitoring_pipeline.retraining.comparison.difference import Difference
from monitoring_pipeline.retraining.comparison.guards import LEAST_DAYS, LEAST_OF_A_CLASS, LEAST_ROWS, Compared
from monitoring_pipeline.retraining.comparison.rows import Floats, Ints, Outputs, PairedRows

METHOD = "gap of two groups by days, t"
MOST_NAMED = 3
"""Groups with too few rows that the sentence names; the others it counts."""


@dataclass(frozen=True)
class _Groups:
    """The groups of a column that have enough rows, and sums by day.

    ``names`` (K,); ``base`` (G, K, C): rows that a rate is of; ``of_champion``, ``of_challenger`` (G, K, C): sums whose
    share of ``base`` is the rate. ``left_out``: the other groups, each with the reason. C: classes, else 1.
    """

    column: str
    names: list[str]
    base: Floats
    of_champion: Floats
    of_challenger: Floats
    left_out: list[str]

    @property
    def n_pairs(self) -> int:
        """Comparisons: pairs of groups by classes."""
        k = len(self.names)
        return k * (k - 1) // 2 * self.base.shape[2]


def fairness_guard(rows: PairedRows, declared: Fairness, level: float) -> list[Compared]:
    """One row a declared column: the two groups whose gap most surely widened. It abstains with fewer than two groups.

    ``declared.margin`` is in the unit of the rate: a share, or for ``mean_error`` the outcome's unit. A group counts
    with 300 rows (30 of the class, for true positive rates) on five days.
    """
    found = [_groups(rows, declared.metric, column) for column in declared.columns]
    each = 1 - (1 - level) / max(sum(one.n_pairs for one in found), 1)
    return [_compared(rows, declared, one, each) for one in found]


def _groups(rows: PairedRows, metric: GroupMetric, column: str) -> _Groups:
    names, code = np.unique(rows.groups.get(column, np.empty(0, np.str_)), return_inverse=True)
    if not len(names):
        nothing = np.empty((0, 0, 1))
        return _Groups(column, [], nothing, nothing, nothing, [])
    cell, n_days = rows.day * len(names) + code, int(rows.day.max()) + 1

    def by_cell(values: Floats) -> Floats:
        """(G, K, C): sums of (N, C) by day and group."""
        sums = [np.bincount(cell, of_class, n_days * len(names)) for of_class in values.T]
        return np.stack(sums, axis=1).reshape(n_days, len(names), values.shape[1]).astype(float)

    base = by_cell(_base(rows, metric))
    sums = [by_cell(_summed(rows, outputs, metric)) for outputs in (rows.champion, rows.challenger)]
    why = [_too_few(base[:, k], metric) if name else "" for k, name in enumerate(names.tolist())]
    kept = np.array([reason is None for reason in why])  # the empty name holds the rows of all that are too rare
    left_out = [f"{name} ({reason})" for name, reason in zip(names.tolist(), why, strict=True) if reason]
    return _Groups(column, names[kept].tolist(), base[:, kept], sums[0][:, kept], sums[1][:, kept], left_out)


def _classes(rows: PairedRows) -> list[int]:
    """Codes of the classes with a rate: of a binary model the positive one."""
    return list(range(len(rows.classes))) if rows.task == "multiclass" else [1]


def _base(rows: PairedRows, metric: GroupMetric) -> Floats:
    """(N, C): 1 where the row counts for the rate of the class."""
    if metric == "true_positive_rate":
        return np.stack([rows.outcome == c for c in _classes(rows)], axis=1).astype(float)
    return np.ones((len(rows), len(_classes(rows))))


def _summed(rows: PairedRows, outputs: Outputs, metric: GroupMetric) -> Floats:
    """(N, C): what a rate is the mean of, 0 on rows that do not count."""
    if metric == "mean_error":
        return (outputs.prediction - rows.outcome)[:, None]
    selected = np.stack([outputs.prediction == c for c in _classes(rows)], axis=1)
    return selected * _base(rows, metric)


def _too_few(base: Floats, metric: GroupMetric) -> str | None:
    """Why a group (G, C) says nothing; None when it does."""
    n, n_days = int(base.sum(axis=0).min()), int((base > 0).sum(axis=0).min())
    least = LEAST_OF_A_CLASS if metric == "true_positive_rate" else LEAST_ROWS
    if n < least:
        return f"{n} rows{' of a class' if metric == 'true_positive_rate' else ''}; {least} are needed"
    return f"{n_days} days; {LEAST_DAYS} are needed" if n_days < LEAST_DAYS else None


def _compared(rows: PairedRows, declared: Fairness, groups: _Groups, level: float) -> Compared:
    metric = f"{declared.metric}_difference"
    if not groups.n_pairs:
        nan = float("nan")
        nothing = Difference(nan, nan, nan, nan, nan, nan, level, len(rows), rows.n_days, METHOD)
        said = f"{len(groups.names)} group of {groups.column} has enough rows; two are needed{_left_out(groups)}"
        return Compared("fairness", groups.column, metric, nothing, declared.margin, "abstained", said)
    champion, challenger = (_gaps(groups, sums) for sums in (groups.of_champion, groups.of_challenger))
    widened = _widened(champion, challenger, rows.n_days, level)
    pair = int(np.argmax(widened.low))
    a, b, c = (int(one[pair]) for one in _pairs(groups))
    n = int(groups.base[:, [a, b], c].sum())
    difference = Difference(
        abs(float(champion[0, pair])), abs(float(challenger[0, pair])), -float(widened.value[pair]),
        float(widened.deviation[pair]), -float(widened.high[pair]), -float(widened.low[pair]), level, n, rows.n_days,
        METHOD,
    )  # fmt: skip
    verdict = difference.verdict(declared.margin)
    names = f"{groups.names[a]} against {groups.names[b]}"
    rates = [_rates(groups, sums)[0, [a, b], c] for sums in (groups.of_champion, groups.of_challenger)]
    of_class = f" of class {rows.classes[c]}" if rows.task == "multiclass" else ""
    said = (
        f"{declared.metric}{of_class} of {names} {rates[1][0]:.4f} and {rates[1][1]:.4f}, the champion's"
        f" {rates[0][0]:.4f} and {rates[0][1]:.4f}: the gap widens by {widened.value[pair]:+.4f}"
        f" [{widened.low[pair]:+.4f}, {widened.high[pair]:+.4f}] at {100 * level:.4g} % on {n:,} rows of"
        f" {rows.n_days} days; {declared.margin:g} is allowed{_left_out(groups)}"
    )
    return Compared("fairness", names, metric, difference, declared.margin, verdict, said)


@dataclass(frozen=True)
class _Widened:
    """By pair: how far the gap widened, its interval, and the standard error of the smooth difference it equals."""

    value: Floats
    low: Floats
    high: Floats
    deviation: Floats


def _widened(champion: Floats, challenger: Floats, n_days: int, level: float) -> _Widened:
    """From signed gaps (1 + G, pairs): of all rows, then without each day."""
    both = np.stack([challenger - champion, challenger + champion])  # D and S
    left_out = both[:, 1:]
    n = left_out.shape[1]
    variance = (n - 1) / n * ((left_out - left_out.mean(axis=1, keepdims=True)) ** 2).sum(axis=1)
    deviation = np.sqrt(variance)
    half = float(t.ppf((1 + level) / 2, n_days - 1)) * deviation
    value, low, high = both[:, 0], both[:, 0] - half, both[:, 0] + half
    nearest = np.abs(np.abs(value) - np.abs(_folded(value, value))).argmin(axis=0)
    return _Widened(
        _folded(value, value),
        _folded(low, high),
        _folded(high, low),
        np.take_along_axis(deviation, nearest[None], 0)[0],
    )


def _folded(ends: Floats, opposite: Floats) -> Floats:
    """max(min(D, S), -max(D, S)) of (2, pairs), with the ends that bound it: of -max they are the opposite ones."""
    return np.maximum(ends.min(axis=0), -opposite.max(axis=0))


def _pairs(groups: _Groups) -> tuple[Ints, Ints, Ints]:
    """(pairs,) each: numbers of the two groups and of the class."""
    first, second = np.triu_indices(len(groups.names), 1)
    n_classes = groups.base.shape[2]
    return np.repeat(first, n_classes), np.repeat(second, n_classes), np.tile(np.arange(n_classes), len(first))


def _rates(groups: _Groups, sums: Floats) -> Floats:
    """(1 + G, K, C): the rates of all rows, then without each day."""
    total, base = sums.sum(axis=0), groups.base.sum(axis=0)
    return np.concatenate([(total / base)[None], (total - sums) / (base - groups.base)])


def _gaps(groups: _Groups, sums: Floats) -> Floats:
    """(1 + G, pairs): the signed gaps of all rows, then without each day."""
    first, second, of_class = _pairs(groups)
    rates = _rates(groups, sums)
    return rates[:, first, of_class] - rates[:, second, of_class]


def _left_out(groups: _Groups) -> str:
    if not groups.left_out:
        return ""
    more = len(groups.left_out) - MOST_NAMED
    return f"; left out: {', '.join(groups.left_out[:MOST_NAMED])}" + (f" and {more} more" if more > 0 else "")
