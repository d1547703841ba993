"""The fairness guard: values against loops, how often it is wrong, what it finds, what it says."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from monitoring_pipeline.monitors.retraining import Fairness, GroupMetric, Promotion
from monitoring_pipeline.retraining.comparison import Outputs, PairedRows, compare
from monitoring_pipeline.retraining.comparison.fairness import fairness_guard

GROUPS = np.array(["g=a", "g=b", "g=c"])
N_DAYS = 28


def declared(metric: GroupMetric = "selection_rate", margin: float = 0.02) -> Fairness:
    return Fairness(columns=("g",), metric=metric, margin=margin)


def grouped(seed: int, widened: float = 0.0, gap: float = 0.0, n_a_day: int = 300) -> PairedRows:
    """Two exchangeable models whose selection of each group goes with the day; of group c the champion selects ``gap``
    less often than of the others, the challenger ``gap + widened``.
    """
    rng = np.random.default_rng(seed)
    day = np.repeat(np.arange(N_DAYS), n_a_day)
    group = rng.integers(0, 3, len(day))
    outcome = rng.random(len(day)) < 0.4
    said = []
    for less in (gap, gap + widened):
        of_day = rng.normal(0, 0.06, (N_DAYS, 3))[day, group]  # how the model treats that group on that day
        rate = 0.25 + 0.3 * outcome + of_day - less * (group == 2)
        selected = (rng.random(len(day)) < rate).astype(float)
        said.append(Outputs(selected, np.clip(0.1 + 0.6 * selected, 0, 1)[:, None]))
    return PairedRows("binary", outcome * 1.0, *said, day, ("0", "1"), groups={"g": GROUPS[group]})


def rates_by_loop(rows: PairedRows, outputs: Outputs, metric: GroupMetric, code: float, kept: np.ndarray) -> pd.Series:
    frame = pd.DataFrame({"g": rows.groups["g"], "p": outputs.prediction, "y": rows.outcome})[kept]
    if metric == "mean_error":
        return (frame["p"] - frame["y"]).groupby(frame["g"]).mean()
    if metric == "true_positive_rate":
        frame = frame[frame["y"] == code]
    return (frame["p"] == code).groupby(frame["g"]).mean()


def without_each_day(rows: PairedRows, metric: GroupMetric, code: float) -> list[tuple[pd.Series, pd.Series]]:
    """Of champion and challenger: the rates of all rows, then those without each day."""
    kept = [rows.day != day for day in (-1, *range(N_DAYS))]
    return [tuple(rates_by_loop(rows, o, metric, code, k) for o in (rows.champion, rows.challenger)) for k in kept]


def widened_by_loop(rates: list[tuple[pd.Series, pd.Series]], one: str, other: str, level: float):
    """(widening, its lower end): the gap of both groups anew for each day left out, one number at a time."""
    gaps = [(champion[one] - champion[other], challenger[one] - challenger[other]) for champion, challenger in rates]
    values = np.array([(b - a, b + a) for a, b in gaps])
    left_out = values[1:]
    half = stats.t.ppf((1 + level) / 2, N_DAYS - 1) * np.sqrt(
        (N_DAYS - 1) / N_DAYS * ((left_out - left_out.mean(axis=0)) ** 2).sum(axis=0)
    )
    low, high = values[0] - half, values[0] + half
    return abs(gaps[0][1]) - abs(gaps[0][0]), max(min(low), -max(high))


def of_task(metric: GroupMetric, several: bool) -> PairedRows:
    rows = grouped(3, widened=0.1, gap=0.1, n_a_day=100)
    rng = np.random.default_rng(9)
    if metric == "mean_error":
        numbers = [
            Outputs(rows.outcome + o.prediction + rng.normal(0, 1, len(rows))) for o in (rows.champion, rows.challenger)
        ]
        return replace(rows, task="regression", champion=numbers[0], challenger=numbers[1])
    if not several:
        return rows
    said = [Outputs(o.prediction + (rng.random(len(rows)) < 0.3)) for o in (rows.champion, rows.challenger)]
    outcome = rows.outcome + (rng.random(len(rows)) < 0.3)
    return replace(
        rows, task="multiclass", outcome=outcome, champion=said[0], challenger=said[1], classes=("x", "y", "z")
    )


@pytest.mark.parametrize(
    ("metric", "several"),
    [("selection_rate", False), ("true_positive_rate", False), ("mean_error", False), ("selection_rate", True),
     ("true_positive_rate", True)],
)  # fmt: skip
def test_the_pair_whose_gap_most_surely_widened_equals_loops(metric: GroupMetric, several: bool) -> None:
    rows = of_task(metric, several)
    (found,) = fairness_guard(rows, declared(metric), 0.95)
    codes = [0.0, 1.0, 2.0] if several else [1.0]
    level = 1 - 0.05 / (3 * len(codes))
    loops = {
        (*pair, code): widened_by_loop(rates, *pair, level)
        for code in codes
        for rates in [without_each_day(rows, metric, code)]
        for pair in combinations(GROUPS.tolist(), 2)
    }
    (a, b, code), (value, low) = max(loops.items(), key=lambda one: one[1][1])
    assert found.segment == f"{a} against {b}" and found.difference.level == pytest.approx(level)
    assert (found.difference.value, found.difference.high) == pytest.approx((-value, -low), abs=1e-12)
    assert found.difference.low <= found.difference.value <= found.difference.high
    if several:
        assert f"of class {rows.classes[int(code)]} of " in found.reason


@pytest.mark.parametrize("gap", [0.0, 0.1])
def test_equal_challengers_are_rarely_kept_back(gap: float) -> None:
    """Without any margin; also where the champion has no gap, and the absolute value has no derivative."""
    worse = [fairness_guard(grouped(seed, gap=gap), declared(margin=0.0), 0.95)[0].forbids for seed in range(200)]
    assert np.mean(worse) <= 0.05


def test_rows_taken_as_independent_would_keep_them_back() -> None:
    """Days are what varies: in blocks of rows of all days alike, equal challengers are kept back far more often."""
    worse = []
    for seed in range(150):
        rows = grouped(seed, gap=0.1)
        blocks = np.random.default_rng(seed).permutation(len(rows)) % 100
        worse.append(fairness_guard(replace(rows, day=blocks), declared(margin=0.0), 0.95)[0].forbids)
    assert np.mean(worse) > 0.08


@pytest.mark.parametrize("metric", ["selection_rate", "true_positive_rate"])
def test_a_wider_gap_is_found(metric: GroupMetric) -> None:
    """.15 wider where .02 is allowed, at 28 days of 100 rows a group, 40 of them positive."""
    found = [fairness_guard(grouped(seed, widened=0.15, gap=0.05), declared(metric), 0.95)[0] for seed in range(100)]
    assert np.mean([one.forbids and one.segment.endswith("g=c") for one in found]) >= 0.8


def test_a_narrower_gap_is_better_and_a_turned_one_counts_by_its_size() -> None:
    narrower = fairness_guard(grouped(1, widened=-0.2, gap=0.2), declared(), 0.95)[0]
    assert not narrower.forbids
    turned = fairness_guard(grouped(1, widened=-0.2, gap=0.1), declared(), 0.95)[0]  # -.1 became +.1: as wide as before
    assert not turned.forbids


PROMOTE = Promotion(least_rows=100, least_days=5, calibration=False, margin=0.5)


def test_the_challenger_is_kept_and_the_sentence_names_groups_and_values() -> None:
    rows = grouped(1, widened=0.2)
    assert compare(rows, "accuracy", PROMOTE).outcome == "promote"
    said = compare(rows, "accuracy", PROMOTE.model_copy(update={"fairness": declared()}))
    assert said.outcome == "kept"
    (guard,) = (one for one in said.compared if one.guard == "fairness")
    a, b = guard.segment.split(" against ")
    assert f"but fairness {a} against {b} is surely worse: selection_rate of {a} against {b}" in said.reason
    rates = [o.prediction[rows.groups["g"] == g].mean() for o in (rows.challenger, rows.champion) for g in (a, b)]
    assert all(f"{rate:.4f}" in said.reason for rate in rates), said.reason
    assert guard.difference.challenger == pytest.approx(abs(rates[0] - rates[1]))
    assert guard.metric == "selection_rate_difference" and guard.delta == 0.02
    allowed = compare(rows, "accuracy", PROMOTE.model_copy(update={"fairness": declared(margin=0.5)}))
    assert allowed.outcome == "promote"


def test_small_groups_are_left_out_and_named() -> None:
    rows = grouped(1, widened=0.3)
    small = np.where(np.arange(len(rows)) < 100, "g=tiny", rows.groups["g"])
    (found,) = fairness_guard(replace(rows, groups={"g": small}), declared(), 0.95)
    assert found.verdict == "worse" and "left out: g=tiny (100 rows; 300 are needed)" in found.reason
    alone = np.where(rows.groups["g"] == "g=a", "g=a", "")
    (found,) = fairness_guard(replace(rows, groups={"g": alone}), declared(), 0.95)
    assert found.verdict == "abstained" and found.reason == "1 group of g has enough rows; two are needed"
    (found,) = fairness_guard(replace(rows, groups={}), declared(), 0.95)
    assert found.verdict == "abstained" and not found.forbids
