"""Drift against Evidently's own functions on the same bins, SciPy's on raw rows, and what must hold for any counts."""

from __future__ import annotations

import os
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from monitoring_pipeline.alerting import judge_drift
from monitoring_pipeline.measurements import same_values
from monitoring_pipeline.metrics.drift import METHODS, Compared, measure_drift, measure_drifts
from monitoring_pipeline.metrics.drift.kolmogorov_smirnov import p_value
from monitoring_pipeline.monitors.declaration import DRIFT_THRESHOLDS, Thresholds
from monitoring_pipeline_tests.metrics.counting import categorical, categorical_layout, numerical, numerical_layout
from monitoring_pipeline_tests.metrics.reading import rows

PINNED = Thresholds(drift=DRIFT_THRESHOLDS, unseen_share=Thresholds().unseen_share)
DISTANCES = ("psi", "jensen_shannon", "kl_divergence", "hellinger", "total_variation")


def measured(reference, current, baseline="training", segment="*", **kwargs):
    return measure_drift(reference, current, model_version="1", baseline=baseline, segment=segment, **kwargs)


def drift(reference, current, **kwargs):
    """Rows of one column by method, with verdicts by the thresholds of the literature."""
    measurement = measured([reference], [current], **kwargs)
    found = rows(measurement, judge_drift(measurement, PINNED))
    return {method: row for (_, method), row in found.items()}


def two_samples(seed=0, n=3000, m=900, shift=0.3):
    random = np.random.default_rng(seed)
    a, b = random.normal(0, 1, n), random.normal(shift, 1.2, m)
    layout = numerical_layout(a)
    return a, b, numerical(layout, a), numerical(layout, b)


@pytest.fixture(scope="module")
def evidently():
    os.environ["DO_NOT_TRACK"] = "1"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pandas as pd
        from evidently.legacy.calculations import stattests
        from evidently.legacy.core import ColumnType

    def call(test, a, b):
        """The test's value on two columns of categories: bins written out as rows."""
        with np.errstate(all="ignore"):
            return float(test.func(pd.Series(a), pd.Series(b), ColumnType.Categorical, 0.1)[0])

    return stattests, call


@pytest.mark.parametrize(
    ("reference", "current"),
    [
        ([500, 300, 200, 0], [120, 110, 70, 0]),
        ([500, 300, 200, 0], [120, 0, 70, 10]),  # a category vanished, a new one came
        ([90000, 9000, 999, 1], [500, 20, 0, 0]),  # least share below 1e-4: the other branch of the zero fill
        ([1, 0, 0, 0], [0, 0, 3, 0]),
    ],
)
def test_categories_equal_evidently(evidently, reference, current):
    stattests, call = evidently
    layout = categorical_layout("abc")
    a, b = (np.repeat(list("abc?"), counts) for counts in (reference, current))
    found = drift(categorical(layout, a), categorical(layout, b))
    for method, test in (
        ("psi", stattests.psi_stat_test),
        ("kl_divergence", stattests.kl_div_stat_test),
        ("jensen_shannon", stattests.jensenshannon_stat_test),
        ("hellinger", stattests.hellinger_stat_test),
    ):
        assert found[method].value == pytest.approx(call(test, a.copy(), b.copy()), abs=1e-9), method
    share = sum(current) / (sum(current) + sum(reference))
    if all(r and (r + c) * share >= 5 for r, c in zip(reference, current, strict=True) if r + c):
        assert found["chi_square"].p_value == pytest.approx(call(stattests.chi_stat_test, a, b), abs=1e-9)


def test_numerical_bins_equal_evidently_on_the_bins_written_out(evidently):
    stattests, call = evidently
    a, b, reference, current = two_samples()
    bins_a, bins_b = (np.searchsorted(reference.layout.edges, x, side="left") for x in (a, b))
    found = drift(reference, current)
    assert found["psi"].value == pytest.approx(call(stattests.psi_stat_test, bins_a, bins_b), abs=1e-9)
    assert found["kl_divergence"].value == pytest.approx(call(stattests.kl_div_stat_test, bins_a, bins_b), abs=1e-9)
    assert found["jensen_shannon"].value == pytest.approx(
        call(stattests.jensenshannon_stat_test, bins_a, bins_b), abs=1e-9
    )


def test_a_new_category_is_weighed_rather_than_infinite():
    layout = categorical_layout("ab")
    reference = categorical(layout, "a" * 500 + "b" * 500)
    few = drift(reference, categorical(layout, "a" * 100 + "b" * 99 + "?"))["chi_square"]
    many = drift(reference, categorical(layout, "a" * 50 + "b" * 50 + "?" * 100))["chi_square"]
    table = stats.chi2_contingency([[500, 500, 0], [50, 50, 100]])
    assert (many.value, many.p_value) == (pytest.approx(table.statistic), pytest.approx(table.pvalue))
    assert few.p_value > 0.01 and not few.flagged
    assert many.flagged


def test_chi_square_takes_bins_of_few_expected_rows_together():
    layout = categorical_layout("abcd")
    reference = categorical(layout, "a" * 600 + "b" * 395 + "c" * 3 + "d" * 2)
    one = drift(reference, categorical(layout, "a" * 60 + "b" * 39 + "?"))["chi_square"]
    assert one.p_value == pytest.approx(stats.chisquare([60, 40], [60, 40]).pvalue)
    rare = drift(reference, categorical(layout, "a" * 55 + "b" * 35 + "c" * 50 + "d" * 60))["chi_square"]
    assert rare.p_value < 1e-9
    replaced = drift(reference, categorical(layout, "b" * 39 + "?" * 61))["chi_square"]
    assert replaced.p_value < 1e-9, "a new category in place of an old one is no small bin"
    for text in ("a", "?", "aaab?"):
        assert drift(reference, categorical(layout, text))["chi_square"].p_value > 0.001


def test_no_method_may_leave_a_column_out_silently():
    _, _, reference, current = two_samples()
    assert set(drift(reference, current)) == set(METHODS) - {"unseen_share", "vanished_share"}
    layout = categorical_layout("ab")
    column = categorical(layout, "ab")
    assert set(drift(column, column)) == set(METHODS) - {"kolmogorov_smirnov", "wasserstein"}
    with pytest.raises(ValueError, match="unknown drift method"):
        drift(column, column, methods=["psy"])


samples = st.lists(
    st.sampled_from([-3.0, -1.0, -0.5, 0.0, 0.25, 1.0, 2.0, 7.0, 40.0]) | st.floats(-50, 50), min_size=1, max_size=60
)


@settings(max_examples=150, deadline=None)
@given(samples, samples, samples)
def test_ks_and_wasserstein_lie_within_their_bound_of_the_raw_rows(fixing, a, b):
    """Also against a baseline other than the one that fixed the bins, and for rows outside its range."""
    layout = numerical_layout(fixing, bins=5)
    found = drift(numerical(layout, a), numerical(layout, b))
    ks, w = found["kolmogorov_smirnov"], found["wasserstein"]
    raw = max(abs(np.mean(np.array(a) <= x) - np.mean(np.array(b) <= x)) for x in (*a, *b))
    assert ks.value - 1e-9 <= raw <= ks.value + ks.error_bound + 1e-9
    norm = max(np.std(a), 0.001)
    assert abs(stats.wasserstein_distance(a, b) / norm - w.value) <= w.error_bound + 1e-9 * (1 + 100 / norm)


def test_ks_and_wasserstein_are_close_in_practice():
    a, b, reference, current = two_samples()
    found = drift(reference, current)
    assert found["kolmogorov_smirnov"].value == pytest.approx(stats.ks_2samp(a, b).statistic, abs=0.02)
    assert found["wasserstein"].value == pytest.approx(stats.wasserstein_distance(a, b) / a.std(), rel=0.05)


@pytest.mark.parametrize("n", [10, 40, 200, 5000])
def test_ks_p_value_follows_the_exact_distribution(n):
    for d in np.array([0.3, 0.8, 1.0, 1.3, 1.6, 2.0]) / np.sqrt(n):
        exact = stats.kstwo.sf(d, n)
        assert float(p_value(np.array(d), np.array(float(n)))) == pytest.approx(
            exact, abs=2e-3, rel=0.05 if n > 10 else 0.2
        )


counted = st.lists(st.integers(0, 400), min_size=4, max_size=4).filter(any)


@settings(max_examples=150, deadline=None)
@given(counted, counted)
def test_what_holds_for_any_counts(left, right):
    layout = categorical_layout("abc")
    a, b = (categorical(layout, np.repeat(list("abc?"), c).tolist()) for c in (left, right))
    there, back, same = drift(a, b), drift(b, a), drift(a, a)
    for method in DISTANCES:
        assert there[method].value >= -1e-12
        assert same[method].value == pytest.approx(0, abs=1e-9)
        assert not same[method].flagged
        if method != "kl_divergence":
            assert there[method].value == pytest.approx(back[method].value, abs=1e-12)
    for row in there.values():
        numbers = [row.value, row.p_value, row.effect, row.error_bound]
        assert all(x is None or np.isfinite(x) for x in numbers)
        assert row.p_value is None or 0 <= row.p_value <= 1
    assert there["hellinger"].value <= 1 and there["total_variation"].value <= 1
    assert there["chi_square"].effect <= 1 + 1e-12


@pytest.mark.parametrize("method", [*DISTANCES, "kolmogorov_smirnov"])
@pytest.mark.parametrize(("n", "m"), [(5000, 60), (400, 400), (20000, 3000)])
def test_without_drift_the_p_value_rarely_is_small(method, n, m):
    """At level 0.01 about 1 % of windows; at most 4 % where a bin holds three rows on average and is often empty."""
    random, alarms = np.random.default_rng(7), 0
    layout = numerical_layout(np.linspace(0, 1, 1001))
    for _ in range(300):
        row = drift(numerical(layout, random.random(n)), numerical(layout, random.random(m)), methods=[method])[method]
        alarms += row.p_value < 0.01
    assert alarms <= (0.04 if m < 100 else 0.025) * 300


def test_missing_change_is_a_two_proportion_test():
    layout = numerical_layout([0.0, 1.0, 2.0])
    row = drift(
        numerical(layout, np.ones(900), 100), numerical(layout, np.append(np.ones(190), np.full(30, np.nan)), 30)
    )
    row = row["missing_share_change"]
    assert row.value == pytest.approx(60 / 250 - 0.1)
    pooled = 160 / 1250
    z = row.value / np.sqrt(pooled * (1 - pooled) * (1 / 1000 + 1 / 250))
    assert row.p_value == pytest.approx(2 * stats.norm.sf(z))
    assert (row.flagged, row.n_reference, row.n) == (True, 1000, 250)
    fewer = drift(numerical(layout, np.ones(500), 500), numerical(layout, np.ones(1000)))["missing_share_change"]
    assert (fewer.value, fewer.effect, fewer.flagged) == (-0.5, 0.5, True)


def test_categories_that_come_and_go():
    layout = categorical_layout("abc")
    reference = categorical(layout, "a" * 600 + "b" * 399 + "c")
    found = drift(reference, categorical(layout, "a" * 90 + "z" * 10))
    assert (found["unseen_share"].value, found["unseen_share"].flagged) == (0.1, True)
    # b must have shown itself in 100 rows; c, one row in a thousand, need not
    assert (found["vanished_share"].value, found["vanished_share"].flagged) == (pytest.approx(0.399), True)
    small = drift(reference, categorical(layout, "aaa"))["vanished_share"]
    assert (small.value, small.flagged) == (0.0, False)


def test_other_categories_of_the_reference_are_not_news():
    layout = categorical_layout("a")
    column = categorical(layout, "a" * 500 + "x" * 500)
    assert not drift(column, column)["unseen_share"].flagged


@pytest.mark.parametrize("values", [[], [np.nan, np.inf, -np.inf]])
def test_a_side_without_values_has_no_verdict(values):
    layout = numerical_layout([0.0, 1.0, 2.0, 3.0])
    full, empty = numerical(layout, [0.0, 1.0, 2.0, 3.0]), numerical(layout, values, n_missing=2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for found in (drift(full, empty), drift(empty, full), drift(empty, empty)):
            for method in (*DISTANCES, "chi_square", "kolmogorov_smirnov", "wasserstein"):
                row = found[method]
                assert (row.value, row.p_value, row.effect, row.error_bound, row.flagged) == (None,) * 5, method
    missing = drift(full, empty)["missing_share_change"]
    assert missing.value is not None and missing.n == len(values) + 2


def test_no_rows_at_all_and_constant_columns():
    layout = numerical_layout([5.0, 5.0])
    constant, nothing = numerical(layout, [5.0] * 50), numerical(layout, [])
    assert drift(constant, nothing)["missing_share_change"].value is None
    same = drift(constant, constant)
    assert all(row.flagged is False and row.value == 0 for row in same.values())
    moved = drift(constant, numerical(layout, [6.0] * 50))
    assert moved["wasserstein"].value == pytest.approx(1 / 0.001)  # Evidently's floor of the norm
    assert moved["psi"].flagged and moved["kolmogorov_smirnov"].value == 1


def test_extreme_numbers_stay_finite_or_undefined():
    layout = numerical_layout([0.0, 1.0])
    found = drift(numerical(layout, [0.0, 1.0]), numerical(layout, [1.7e308, -1.7e308]))
    assert all(x is None or np.isfinite(x) for r in found.values() for x in (r.value, r.effect, r.error_bound))


def test_drift_must_be_large_and_significant():
    layout = categorical_layout("ab")
    big, small = categorical(layout, "a" * 60000 + "b" * 40000), categorical(layout, "a" * 6 + "b" * 4)
    slight = drift(big, categorical(layout, "a" * 58000 + "b" * 42000))["psi"]
    assert slight.p_value < 1e-10 and not slight.flagged
    chance = drift(big, categorical(layout, "a" * 2 + "b" * 8))["psi"]
    assert chance.value > 0.2 and not chance.flagged
    assert small.n == 10


def test_a_measurement_says_what_it_is_about():
    a = np.random.default_rng(0).normal(0, 1, 2000)
    sides = [
        [
            numerical(numerical_layout(a, name="moves"), a + shift),
            categorical(categorical_layout("ab"), "ab"),
            numerical(numerical_layout(a, name="p", role="score"), a + shift),
        ]
        for shift in (0.0, 3.0)
    ]
    found = measured(*sides, baseline="previous", segment="origin=JFK")
    about = found.family, found.model_version, found.baseline, found.segment
    assert about == ("drift", "1", "previous", "origin=JFK")
    roles = {(column, role) for column, role in zip(found.keys.columns, found.keys.roles, strict=True)}
    assert roles == {("moves", "feature"), ("c", "feature"), ("p", "score")}
    again = measured(*sides, baseline="previous", segment="origin=JFK")
    assert again.keys is found.keys and same_values(found, again)
    few = measured(*sides, methods=["vanished_share", "psi"])
    assert set(few.keys.metrics) == {"psi", "vanished_share"} and len(few.keys) == 4
    assert rows(few)["moves", "psi"] == rows(found)["moves", "psi"]


def test_many_comparisons_at_once_measure_as_each_alone():
    random = np.random.default_rng(5)
    layouts = [numerical_layout(random.normal(0, 1, 400), bins, name=f"x{bins}") for bins in (3, 20)]
    named = categorical_layout("abcdefg")
    compared = []
    for i in range(6):
        sides = [
            [numerical(layout, random.normal(i / 9, 1, n)) for layout in layouts[: i % 3]]
            + [categorical(named, random.choice(list("abcdefgh"), n))] * (i % 2)
            for n in (500, 50 * i)
        ]
        compared.append(Compared(f"v{i}", "previous", f"c={i}", *sides))
    for methods in (None, ("psi", "missing_share_change")):
        together = measure_drifts(compared, methods)
        for one, found in zip(compared, together, strict=True):
            alone = measure_drift(
                one.reference_columns, one.current_columns, model_version=one.model_version, baseline=one.baseline,
                segment=one.segment, methods=methods,
            )  # fmt: skip
            assert same_values(found, alone) and found.keys is alone.keys
    assert measure_drifts([]) == []


def test_columns_that_only_one_side_has_are_left_out():
    _, _, reference, current = two_samples()
    assert len(measured([reference], [current, categorical(categorical_layout("a"), "a")]).keys) == 9
    nothing = measured([reference], [])
    assert len(nothing.keys) == 0 and nothing.value.shape == nothing.n.shape == (0,)


def test_many_columns_measure_as_each_alone():
    """Columns of different widths stand padded in one matrix."""
    random = np.random.default_rng(3)
    pairs = []
    for i, bins in enumerate((3, 20, 8)):
        a, b = random.normal(0, 1, 500), random.normal(i / 3, 1, 300)
        layout = numerical_layout(a, bins, name=f"x{i}")
        pairs.append((numerical(layout, a), numerical(layout, b)))
    together = rows(measured(*zip(*pairs, strict=True)))
    for r, c in pairs:
        for row in drift(r, c).values():
            found = together[row.column_name, row.metric]
            assert found.value == pytest.approx(row.value, abs=1e-12)
            assert found.p_value == (None if row.p_value is None else pytest.approx(row.p_value, rel=1e-9))


def test_merged_windows_drift_as_the_whole():
    _, b, reference, current = two_samples()
    parts = numerical(reference.layout, b[:400]).merge(numerical(reference.layout, b[400:]))
    whole, merged = drift(reference, current), drift(reference, parts)
    for method, row in whole.items():
        assert merged[method].value == pytest.approx(row.value, abs=1e-12)


def test_other_bins_are_refused():
    a = numerical(numerical_layout([0.0, 1.0]), [0.0])
    b = numerical(numerical_layout([0.0, 2.0]), [0.0])
    with pytest.raises(ValueError, match="different bins"):
        drift(a, b)
