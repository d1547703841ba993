"""Freshness: gaps inside a window."""

import numpy as np
import pytest

from monitoring_pipeline.alerting.budget import levels
from monitoring_pipeline.alerting.freshness import FreshnessSettings, gap_p, judge, judge_delays

LEVEL = levels(1, 0.05, 720)


def test_p_is_how_often_mixed_poisson_arrivals_leave_such_a_gap():
    random = np.random.default_rng(1)
    counts = random.poisson(random.gamma(4.0, 30 / 4.0, 200_000))
    last = np.where(counts > 0, 1 - random.random(counts.size) ** (1 / np.maximum(counts, 1)), 1.0)  # gap at the end
    for gap in (0.05, 0.2, 0.5):
        assert gap_p(np.array(gap * 3600), 3600, np.array(30.0), np.array(4.0)) == pytest.approx(
            (last >= gap).mean(), rel=0.05
        )


def test_regular_arrivals_are_poisson():
    assert gap_p(np.array(360.0), 3600, np.array(50.0), np.array(1e6)) == pytest.approx(np.exp(-5), rel=1e-3)


def test_verdicts():
    expected = np.array([1000.0, 1000.0, 5.0, np.nan])
    found = judge(np.array([3.0, 600.0, 600.0, 600.0]), 3600, expected, np.full(4, 5.0), LEVEL)
    assert found.status.tolist() == ["quiet", "alarm", "quiet", "abstained"]
    assert (judge(np.array([3600.0]), 3600, expected[:1], np.full(1, 5.0), 0.0).status == "quiet").all()


def test_a_gap_longer_than_the_window_counts_as_the_window():
    day, hour = (gap_p(np.array(g), 3600, np.array(9.0), np.array(5.0)) for g in (86_400.0, 3600.0))
    assert day == hour


DAY = 86_400.0
NOBODY = np.zeros(60)  # P(no row): in each window rows are certain


def delays(seed: int = 3, n: int = 60, usual: float = 7_200.0) -> np.ndarray:
    return usual * np.exp(0.2 * np.random.default_rng(seed).standard_normal(n))


def test_rows_that_come_much_later_than_usual_are_late_and_teach_nothing():
    late = delays()
    late[40:43] = [20 * 3_600, 30 * 3_600, 200 * 3_600]
    tests = judge_delays(late, DAY, NOBODY, FreshnessSettings())
    assert np.isnan(tests.p[:14]).all(), "no history yet"
    assert (tests.p[40:43] < 0.05 / 30).all() and (np.diff(tests.p[40:43]) <= 0).all()
    assert (tests.p[43:] == 1).all() and tests.usual[43] == pytest.approx(7_200, rel=0.2)
    alone = judge_delays(late[:42], DAY, NOBODY[:42], FreshnessSettings())
    np.testing.assert_array_equal(alone.p, tests.p[:42])


def test_a_window_in_which_no_row_is_expected_is_never_late():
    late, none = delays(), NOBODY.copy()
    late[[30, 40]] = 5 * DAY
    none[30], none[40] = 0.3, np.nan
    tests = judge_delays(late, DAY, none, FreshnessSettings())
    assert tests.p[30] == 0.3 and np.isnan(tests.p[40])


def test_usual_delays_hardly_ever_alarm():
    tests = [judge_delays(delays(seed), DAY, NOBODY, FreshnessSettings()).p for seed in range(40)]
    assert sum((p <= 0.05 / 30).sum() for p in tests) == 0
    rare = judge_delays(delays(usual=60.0), DAY, NOBODY, FreshnessSettings(floor=0.0001))
    assert (rare.p[14:] > 0.05 / 30).all()
