"""Verdicts on columns: one window at a time or all together, edges, and small simulations with fixed seeds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitoring_pipeline.alerting.drift.calibration import calibrate
from monitoring_pipeline.alerting.drift.contrasts import MISSING, OUTSIDE
from monitoring_pipeline.alerting.drift.judgement import ABSTAINED, ALARM, NOTICE
from monitoring_pipeline.monitors.alarms import DriftAlarms, Persistence
from monitoring_pipeline_tests.alerting.drift.streams import (
    categorical,
    judged,
    numbers_at,
    numerical,
    one_by_one,
    placed,
    plan,
)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 2**31), effects=st.sampled_from([0.0, 0.15]), drift=st.sampled_from([0.0, 0.6]),
    blocks=st.sampled_from([3, 12, 28]), gaps=st.booleans(),
    by=st.sampled_from([
        plan(), plan(DriftAlarms(season=False)), plan(DriftAlarms(persistence=Persistence())),
        plan(DriftAlarms(horizons=(1, 3))),
    ]),
)  # fmt: skip
def test_windows_get_the_same_verdicts_one_by_one_and_all_together(seed, effects, drift, blocks, gaps, by):
    random = np.random.default_rng(seed)
    moved = random.normal(0, 1, (3, blocks + 33)) * effects
    moved[1, blocks + 17 :] += drift
    batches = [numbers_at(random, moved, blocks), categorical(random, 2, blocks, 33)]
    batches.append(numbers_at(random, moved, blocks, rows=60, pool=("1", "a")))
    if gaps:
        for batch in batches:
            batch.windows[:, blocks + 5 :: 9] = batch.windows_missing[:, blocks + 5 :: 9] = 0
    whole = judged(batches, by, blocks)
    p_value, p_alarm, status = one_by_one(batches, by, blocks)
    np.testing.assert_array_equal(p_value, whole.p_value)
    np.testing.assert_array_equal(p_alarm, whole.p_alarm)
    np.testing.assert_array_equal(status, whole.status)


def test_hours_too():
    random, by = np.random.default_rng(1), plan(size="hour", level=0.5 / 720)
    batches = [numerical(random, 2, blocks=72, windows=30, rows=200)]
    whole = judged(batches, by, 72)
    np.testing.assert_array_equal(one_by_one(batches, by, 72)[1], whole.p_alarm)


def test_a_window_without_rows_or_with_few_is_not_judged():
    batch = numerical(np.random.default_rng(2), windows=6)
    batch.windows[:, 32] = batch.windows_missing[:, 32] = 0
    batch.windows[:, 33] = batch.windows_missing[:, 33] = 0
    batch.windows[:, 33, 5] = 1
    found = judged([batch], plan(DriftAlarms(horizons=(1,))), 30)
    assert (found.status[:, [2, 3]] == ABSTAINED).all() and np.isnan(found.p_value[:, [2, 3]]).all()
    assert (found.status[:, [0, 1, 4, 5]] != ABSTAINED).all()


def test_a_column_that_loses_all_values_is_an_alarm_of_missing():
    batch = numerical(np.random.default_rng(3), windows=3)
    batch.windows_missing[0, 31] += batch.windows[0, 31].sum()
    batch.windows[0, 31] = 0
    found = judged([batch], plan(), 30)
    assert found.status[0, 1] == ALARM and found.contrast[0, 1] == MISSING and found.n[0, 1] == 0


def test_a_constant_column_that_starts_to_vary_is_outside():
    counts = np.zeros((1, 34, 3))
    counts[:, :, 1] = 1000
    counts[0, 32:, :] = [30, 940, 30]
    found = judged([placed("numerical", counts, np.zeros((1, 34)), 30)], plan(), 30)
    np.testing.assert_array_equal(found.status[0], [0, 0, ALARM, ALARM])
    assert found.contrast[0, 2] == OUTSIDE


def test_a_category_the_reference_lacks_is_an_alarm_of_unseen():
    random = np.random.default_rng(4)
    before = random.multinomial(1000, [0.7, 0.3, 0.0], (1, 31))
    after = random.multinomial(1000, [0.68, 0.29, 0.03], (1, 1))
    found = judged([placed("categorical", np.concatenate((before, after), axis=1), np.zeros((1, 32)), 30)], plan(), 30)
    np.testing.assert_array_equal(found.status[0], [0, ALARM])
    assert found.contrast[0, 1] == 2


@pytest.mark.parametrize("shares", [(1.0, 0.0), (0.5, 0.5, 0.0)])
def test_one_category_and_two_are_quiet(shares):
    found = judged([categorical(np.random.default_rng(5), shares=shares)], plan(), 30)
    assert (found.status == 0).all()


def test_a_column_of_two_bins_inside_is_judged():
    batch = placed(
        "numerical", np.random.default_rng(6).multinomial(1000, [0, 0.5, 0.5, 0], (2, 40)), np.zeros((2, 40)), 30
    )
    batch.windows[1, 39] = [0, 900, 100, 0]
    found = judged([batch], plan(), 30)
    assert found.status[1, 9] == ALARM and (found.status[0] == 0).all()


@pytest.mark.parametrize(("blocks", "kept"), [(3, True), (30, False)])
def test_a_reference_too_short_or_without_times_alarms_on_large_drift_alone(blocks, kept):
    random = np.random.default_rng(7)
    moved = np.zeros((5, blocks + 30))
    moved[0, blocks + 28 :] = 1.0
    found = judged([numbers_at(random, moved, blocks, kept=kept)], plan(), blocks)
    assert (found.status[0, 28:] == ALARM).any()
    assert (found.status[1:] != ALARM).all() and (found.status[0, :28] != ALARM).all()


def test_a_segment_that_vanishes_is_not_judged_and_one_without_reference_never_is():
    random = np.random.default_rng(8)
    gone, new = numerical(random, pool=("1", "a")), numerical(random, pool=("1", "b"))
    gone.windows[:, 40:] = gone.windows_missing[:, 40:] = 0
    for counts in (new.reference, new.reference_missing, new.blocks, new.blocks_missing):
        counts[:] = 0
    found = judged([numerical(random), gone, new], plan(), 30)
    assert (found.status[4:8, 10:] == ABSTAINED).all() and (found.status[4:8, :10] == 0).all()
    assert (found.status[8:] == ABSTAINED).all()
    assert (found.status[:4] == 0).all()


def test_a_budget_of_nothing_never_alarms_and_a_huge_one_does():
    moved = np.zeros((4, 34))
    moved[0, 32:] = 3.0
    batch = numbers_at(np.random.default_rng(9), moved, 30)
    assert (judged([batch], plan(level=0.0), 30).status == 0).all()
    np.testing.assert_array_equal(judged([batch], plan(level=0.05), 30).status[0], [0, 0, ALARM, ALARM])


def test_what_earlier_weeks_lead_to_expect_is_a_notice_and_what_is_new_an_alarm():
    random, t = np.random.default_rng(20), np.arange(28 + 84)
    moved = np.zeros((6, len(t)))
    moved[0] = 0.012 * np.maximum(t - 28, 0)  # a slow trend
    moved[1, -2:] = 0.8
    found = judged([numbers_at(random, moved, 28, rows=3000)], plan(), 28)
    assert (found.status[0, -20:] == NOTICE).mean() > 0.8
    np.testing.assert_array_equal(found.status[1, -2:], [ALARM, ALARM])


@pytest.mark.parametrize("kept", [True, False], ids=["with blocks", "without times"])
@pytest.mark.parametrize("what", ["location", "missing", "categories"])
def test_a_lasting_step_alarms_once_and_stays_a_notice(what, kept):
    random, before, after, change = np.random.default_rng(16), 30, 75, 65
    late = np.arange(before + after) >= change
    if what == "categories":
        shares = np.where(late[None, :, None], (0.1, 0.8, 0.1), (0.6, 0.3, 0.1))
        counts = random.multinomial(300, shares, size=(1, before + after))
        batch = placed("categorical", counts, np.zeros(counts.shape[:2]), before, kept=kept)
    else:
        moved = random.normal(0, 0.05, (1, before + after)) + (0.8 * late if what == "location" else 0)
        missing = np.where(late, 0.2, 0.05) if what == "missing" else 0.05
        batch = numbers_at(random, moved, before, 300, missing, kept=kept)
    status = judged([batch], plan(), before).status[0]
    alarms = np.flatnonzero(status == ALARM) + before
    assert alarms[0] in (change, change + 1)
    assert (np.diff(alarms) <= 2).all(), "the weeks across the step lead to expect more than the step"
    assert (status[alarms[-1] + 1 - before :] == NOTICE).all()


def test_persistence_needs_two_windows_of_three():
    moved = np.zeros((3, 40))
    moved[0, 33] = moved[1, 36:38] = 1.0
    batch = numbers_at(np.random.default_rng(11), moved, 30)
    alarms = (
        judged([batch], plan(DriftAlarms(persistence=Persistence(), season=False, horizons=(1,))), 30).status == ALARM
    )
    assert not alarms[0].any() and not alarms[2].any()
    np.testing.assert_array_equal(np.flatnonzero(alarms[1]), [7])


@pytest.mark.parametrize(("effects", "rows"), [(0.0, 200), (0.1, 2000)])
def test_streams_without_drift_are_quiet(effects, rows):
    random, by = np.random.default_rng(12), plan()
    months = [
        judged(
            [numerical(random, 20, windows=60, rows=rows, effects=effects), categorical(random, 5, windows=60)], by, 30
        )
        for _ in range(3)
    ]
    assert (
        sum(int((found.status == ALARM).any()) for found in months) <= 2
    )  # of 6 months; the budget is half of one each


@pytest.mark.parametrize("fault", ["location", "missing", "spike"])
def test_small_faults_in_one_of_many_columns_are_found_within_two_windows(fault):
    random, found = np.random.default_rng(13), 0
    for _ in range(5):
        moved = np.zeros((20, 40))
        moved[0, 38:] = 0.3 if fault == "location" else 0
        moved[0, 38] = 1.0 if fault == "spike" else moved[0, 38]
        batch = numbers_at(random, moved, 30, rows=5000)
        if fault == "missing":
            extra = random.binomial(5000, 0.02, 2)
            batch.windows_missing[0, 38:] += extra
        found += (judged([batch], plan(), 30).status[0, 8:] == ALARM).any()
    assert found == 5


def test_calibrating_needs_no_order_of_batches():
    a, b = numerical(np.random.default_rng(14), effects=0.1), categorical(np.random.default_rng(15))
    first, second = calibrate([a, b], plan()).null, calibrate([b, a], plan()).null
    n = len(b.units) * 5
    np.testing.assert_allclose(np.concatenate((second.s2[n:], second.s2[:n])), first.s2)
