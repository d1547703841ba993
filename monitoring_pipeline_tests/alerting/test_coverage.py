"""Coverage at a fixed age."""

from dataclasses import fields

import numpy as np
import pytest
from scipy.special import expit, logit

from benchmarks.detection_streams import incidents
from monitoring_pipeline.alerting import coverage
from monitoring_pipeline.alerting.budget import levels
from monitoring_pipeline.alerting.coverage import CoverageSettings, decide, judge

LEVEL = levels(1, 0.05, 30)
SETTINGS = CoverageSettings()


def stream(seed, usual, rows, windows=120, series=1):
    random = np.random.default_rng(seed)
    n = random.poisson(rows, (series, windows)) + 1
    return random.binomial(n, expit(logit(usual) + 0.2 * random.standard_normal(n.shape))), n


def alarms(k, n, level=LEVEL):
    """(S, T) of series that are no family."""
    found = [
        decide([judge(a[None], b[None], np.ones((1, len(a)), bool), SETTINGS)], level)
        for a, b in zip(k, n, strict=True)
    ]
    return np.concatenate([one[0].status == "alarm" for one in found])


@pytest.mark.parametrize("cut", [1, 75, 120])
def test_going_on_from_states_is_judging_from_the_first_window(cut):
    k, n = stream(5, 0.9, 300, series=2)
    k[:, 70:80] = 0
    known = np.arange(240).reshape(2, 120) % 13 > 0
    whole = judge(k, n, known, SETTINGS)
    part = judge(k, n, known, SETTINGS, whole.state[:, :cut])
    for f in fields(whole):
        since = cut if f.name in ("usual", "reason") else 0
        np.testing.assert_array_equal(getattr(part, f.name)[:, since:], getattr(whole, f.name)[:, since:], f.name)
    ours, theirs = (decide([one], LEVEL)[0].status for one in (part, whole))
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("usual", [0.6, 0.97, 0.999])
def test_the_usual_share_is_no_alarm_whatever_it_is(usual):
    k, n = stream(1, usual, 1000, series=10)
    assert sum(incidents(row) for row in alarms(k, n)) <= 1


@pytest.mark.parametrize("usual", [0.6, 0.97])
def test_labels_that_stop_stay_alarmed_until_they_return(usual):
    k, n = stream(2, usual, 1000)
    k[0, 60:110] = 0
    found = alarms(k, n)[0]
    assert found[60:110].all() and not found[:60].any() and not found[111:].any()


def test_late_labels_are_found():
    k, n = stream(3, 0.9, 1000)
    k[0, 60:] = k[0, 60:] * 3 // 10
    assert alarms(k, n)[0, 60]


def test_below_the_floor_nothing_alarms():
    n = np.full((1, 60), 1_000_000)
    k = np.full((1, 60), 900_000)
    k[0, 40:] = 860_000
    assert not alarms(k, n).any()
    k[0, 40:] = 840_000
    assert alarms(k, n)[0, 40]


def test_reasons():
    k, n = stream(4, 0.9, 500, 30)
    n[0, 20], k[0, 20] = 5, 5
    known = np.ones(n.shape, bool)
    known[0, 25:] = False
    tests = judge(k, n, known, SETTINGS)
    assert set(tests.reason[0, :14]) == {coverage.SHORT_HISTORY}
    assert tests.reason[0, 20] == coverage.FEW_ROWS and set(tests.reason[0, 25:]) == {coverage.YOUNG}
    assert tests.reason[0, 15] == "" and tests.usual[0, 15] == pytest.approx(0.9, abs=0.02)


def test_ages_are_one_family_and_later_windows_change_nothing():
    k, n = stream(5, 0.9, 500, 80, series=3)
    k[1, 50:53] = 0
    known = np.ones(n.shape, bool)
    ages = [judge(k // 2, n, known, SETTINGS), judge(k, n, known, SETTINGS)]
    both = decide(ages, LEVEL)
    assert (both[1].status[1, 50:53] == "alarm").all() and both[0].q.shape == (3, 80)
    part = judge(k[:, :55], n[:, :55], known[:, :55], SETTINGS)
    for f in fields(part):
        np.testing.assert_array_equal(getattr(part, f.name), getattr(ages[1], f.name)[:, :55], err_msg=f.name)
    assert decide([], LEVEL) == []


def test_a_budget_of_0_never_alarms():
    k, n = stream(6, 0.9, 1000)
    k[0, 60:] = 0
    assert not alarms(k, n, 0.0).any()
