"""What the reference's blocks and accepted windows teach about variance without drift."""

from __future__ import annotations

import numpy as np
import pytest

from monitoring_pipeline.alerting.drift.calibration import calibrate
from monitoring_pipeline.alerting.drift.learning import Learner
from monitoring_pipeline_tests.alerting.drift.streams import judged, numbers_at, numerical, plan


def locations(null, units=6):
    """Of the location contrast of each unit."""
    return slice(0, 4 * units, 4)


def test_the_variance_between_windows_is_found_beyond_sampling():
    random = np.random.default_rng(1)
    null = calibrate([numerical(random, 6, blocks=400, effects=0.1)], plan()).null
    at = locations(null)
    np.testing.assert_allclose((null.s2 - null.noise)[at], 0.01, rtol=0.3)
    assert set(null.source) == {"calibrated"}
    assert (null.df[at] > 300).all()


def test_autocorrelated_blocks_are_worth_fewer():
    random = np.random.default_rng(2)
    null = calibrate([numerical(random, 6, blocks=200, effects=0.1, rho=0.7)], plan()).null
    at = locations(null)
    assert np.median(null.rho[at]) == pytest.approx(0.7, abs=0.1)
    assert np.median(null.df[at]) == pytest.approx(200 * 0.3 / 1.7 - 1, rel=0.5)


def test_columns_that_do_not_vary_borrow_degrees_of_freedom_from_each_other():
    random = np.random.default_rng(3)
    null = calibrate([numerical(random, 20)], plan()).null
    at = locations(null, 20)
    assert (null.df[at] > 100).all()
    np.testing.assert_allclose((null.s2 / null.noise)[at], 1, atol=0.25)


def test_few_blocks_are_assumed_to_hide_autocorrelation_and_tails():
    null = calibrate([numerical(np.random.default_rng(4), blocks=10)], plan()).null
    assert set(null.source) == {"calibrated-short"}
    assert (null.rho >= 0.6).all() and (null.tail <= 8).all()


@pytest.mark.parametrize(("blocks", "kept"), [(4, True), (30, False)])
def test_without_enough_blocks_the_null_is_provisional(blocks, kept):
    batch = numbers_at(np.random.default_rng(5), np.zeros((3, blocks + 5)), blocks, kept=kept)
    null = calibrate([batch], plan()).null
    assert set(null.source) == {"provisional"}
    assert (null.s2 == 0.05**2).all() and (null.df == 4).all()


def test_accepted_windows_teach_what_blocks_would_have_taught():
    random, blocks = np.random.default_rng(6), 60
    moved = random.normal(0, 0.1, (8, blocks + 70))
    timed, untimed = (numbers_at(random, moved, blocks, kept=kept) for kept in (True, False))
    of_blocks = calibrate([timed], plan()).null
    found, calibrated = judged([untimed], plan(), blocks), calibrate([untimed], plan())
    p_value, p_alarm = (np.full((8, blocks + 70), np.nan) for _ in range(2))
    p_value[:, blocks:], p_alarm[:, blocks:] = found.p_value, found.p_alarm
    learnt = Learner([untimed], calibrated, plan(), blocks).null_at(blocks + 69, p_value, p_alarm)
    at = locations(learnt, 8)
    assert set(learnt.source[at]) == {"learnt"}
    ratio = np.median((learnt.s2 - learnt.noise)[at]) / np.median((of_blocks.s2 - of_blocks.noise)[at])
    assert 0.6 < ratio < 1.6


def test_a_segment_has_at_least_the_variance_of_all_rows():
    random = np.random.default_rng(7)
    moved = random.normal(0, 0.1, (6, 40))
    whole = numbers_at(random, moved, 30, rows=5000)
    small = numbers_at(random, moved, 30, rows=25, pool=("1", "a"))
    elsewhere = numbers_at(random, moved, 30, rows=25, pool=("2", "a"))
    null = calibrate([whole, small, elsewhere], plan()).null
    between = (null.s2 - null.noise).reshape(3, 6, 4)[:, :, 0]
    assert (between[1] >= between[0]).all()
    assert (null.tail.reshape(3, -1)[1] <= null.tail.reshape(3, -1)[0]).all()
    assert (between[2] < between[0]).any()
