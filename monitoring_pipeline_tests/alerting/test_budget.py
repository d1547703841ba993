"""The level of a window, and q-values against scipy's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import false_discovery_control

from monitoring_pipeline.alerting.budget import (
    LARGEST_LEVEL,
    alarms,
    benjamini_hochberg,
    level,
    levels,
    windows_a_month,
)
from monitoring_pipeline.monitors.alarms import Alarms

P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=40)


@given(P_VALUES)
def test_q_values_are_those_of_scipy(values):
    p = np.array(values)
    np.testing.assert_allclose(benjamini_hochberg(p), false_discovery_control(p), rtol=1e-12, atol=1e-300)


@given(P_VALUES, st.integers(0, 5))
def test_what_is_not_judged_does_not_count(values, holes):
    p = np.array(values)
    with_holes = np.insert(p, np.zeros(holes, int), np.nan)
    q = benjamini_hochberg(with_holes)
    assert np.isnan(q[:holes]).all()
    np.testing.assert_array_equal(q[holes:], benjamini_hochberg(p))


def test_each_row_is_a_family_of_its_own():
    p = np.random.default_rng(3).random((4, 5, 6)) ** 3
    p[1, 2, :] = np.nan
    p[0, 0, 3] = np.nan
    q = benjamini_hochberg(p)
    for at in np.ndindex(4, 5):
        np.testing.assert_array_equal(q[at], benjamini_hochberg(p[at]))


def test_no_hypotheses_no_q_values():
    assert benjamini_hochberg(np.zeros((3, 0))).shape == (3, 0)
    assert np.isnan(benjamini_hochberg(np.full(3, np.nan))).all()


def test_p_values_outside_0_to_1_are_refused():
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        benjamini_hochberg(np.array([0.5, 1.2]))


@pytest.mark.parametrize(
    ("budget", "share", "windows", "level"),
    [(1, 0.25, 30, 0.25 / 30), (1, 0.5, 720, 0.5 / 720), (1000, 0.05, 30, LARGEST_LEVEL), (0, 0.5, 30, 0.0)],
)
def test_levels(budget, share, windows, level):
    assert levels(budget, share, windows) == pytest.approx(level)


def test_a_budget_of_0_never_alarms_not_even_at_p_0():
    assert not alarms(np.array([0.0, 1e-300, np.nan]), levels(0, 0.5, 30)).any()
    assert alarms(np.array([0.0, 0.02, np.nan]), 0.01).tolist() == [True, False, False]


def test_windows_a_month():
    assert windows_a_month(86_400) == 30
    assert windows_a_month(3_600) == 720
    assert windows_a_month(90 * 86_400) == 1
    with pytest.raises(ValueError, match="seconds"):
        windows_a_month(0)


def test_a_budget_that_cannot_be_meant_is_refused():
    with pytest.raises(ValueError, match="a level of budget -1"):
        levels(-1, 0.5, 30)
    assert level(Alarms(budget=2), "drift", 86_400) == pytest.approx(1 / 30)
    assert level(Alarms(budget=2), "freshness", 3_600) == pytest.approx(2 * 0.05 / 720)
