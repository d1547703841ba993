"""Freshness: gaps inside a window."""

import numpy as np
import pytest

from monitoring_pipeline.alerting.budget import levels
from monitoring_pipeline.alerting.freshness import gap_p, judge

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
