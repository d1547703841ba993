"""Volume: outages, holidays, growth, steps; that it looks back only; how often it is wrong and right."""

from dataclasses import fields, replace
from time import process_time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import nbinom

from benchmarks.detection_streams import incidents, row_counts
from monitoring_pipeline.alerting import volume
from monitoring_pipeline.alerting.budget import levels
from monitoring_pipeline.alerting.volume import VolumeSettings, decide, judge

DAILY = VolumeSettings()
LEVEL = levels(1, 0.15, 30)


def counts(seed, days=120, rows=1000, shape=100, kind="pattern", series=1, **more):
    random = np.random.default_rng(seed)
    return np.stack([row_counts(days, 1, rows, shape, random, kind, **more)[0] for _ in range(series)])


def alarms(c, level=LEVEL, **more):
    """(S, T) alarms, each series a monitor of its own."""
    tests = judge(c, DAILY, **more)
    each = [replace(tests, **{f.name: getattr(tests, f.name)[s : s + 1] for f in fields(tests)}) for s in range(len(c))]
    return np.concatenate([decide(one, level).status == "alarm" for one in each])


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 109), st.integers(0, 40), st.booleans())
def test_later_windows_never_change_earlier_verdicts(cut, origin, with_holidays):
    c = counts(1, 110, 60, 20, series=2)
    c[:, 60:75] = 0
    c[0, 90:] //= 3
    holidays = np.where(np.arange(110) % 25 == 7, 1, 0) if with_holidays else None
    whole = judge(c, DAILY, holidays=holidays, origin=origin)
    part = judge(c[:, :cut], DAILY, holidays=None if holidays is None else holidays[:cut], origin=origin)
    for f in fields(whole):
        np.testing.assert_array_equal(getattr(part, f.name), getattr(whole, f.name)[:, :cut], err_msg=f.name)
    ends = decide(whole, LEVEL), decide(part, LEVEL)
    np.testing.assert_array_equal(ends[1].status, ends[0].status[:, :cut])


STATED = ("p", "expected", "empty", "state")  # of all windows; the rest only of those that are judged


def assert_goes_on(whole, c, cut, **more):
    """Judging from window ``cut`` on, given the states of those before it, is judging all."""
    part = judge(c, before=whole.state[:, :cut], **more)
    for f in fields(whole):
        since = 0 if f.name in STATED else cut
        ours, theirs = getattr(part, f.name), getattr(whole, f.name)
        np.testing.assert_array_equal(ours[:, since:], theirs[:, since:], err_msg=f.name)
    np.testing.assert_array_equal(decide(part, LEVEL).status, decide(whole, LEVEL).status)


@pytest.mark.parametrize(
    ("cut", "origin", "with_holidays"), [(1, 0, True), (65, 3, False), (85, 9, True), (110, 0, False)]
)
def test_going_on_from_states_is_judging_from_the_first_window(cut, origin, with_holidays):
    c = counts(1, 110, series=2)
    c[:, 40:50] = 0
    c[0, 70:] //= 5  # after two weeks the usual level
    more = {
        "holidays": np.where(np.arange(110) % 25 == 7, 1, 0) if with_holidays else None,
        "origin": origin, "known": np.arange(220).reshape(2, 110) % 17 > 0, "accepted": [20], "settings": DAILY,
    }  # fmt: skip
    whole = judge(c, **more)
    assert (whole.state[0, 80:, volume.STATE.index("forgot")] >= 0).any()
    assert_goes_on(whole, c, cut, **more)


@pytest.mark.parametrize("cut", [1, 360])
def test_going_on_within_a_day_learns_what_its_midnight_taught(cut):
    c, _ = row_counts(18, 24, 200, 50, np.random.default_rng(12))
    c[300:330] //= 4
    more = {"settings": VolumeSettings(windows_a_day=24, least_weeks=1, accept_after=20), "origin": 5}
    assert_goes_on(judge(c[None], **more), c[None], cut, **more)


def test_an_outage_of_300_days_is_one_incident_and_its_end_none():
    c = counts(2, 460, 300, 50, "days")
    c[0, 100:400] = 0
    found = decide(judge(c, DAILY), LEVEL)
    alarmed = (found.status == "alarm")[0]
    assert alarmed[100:400].all() and incidents(alarmed) == 1 and not alarmed[400:].any()
    assert found.reason[0, 390] == volume.OUTAGE and found.status[0, 401] == "abstained"


def test_rows_that_return_after_three_days_end_the_alarm():
    c = counts(3)
    c[0, 80:83] = 0
    alarmed = alarms(c)[0]
    assert alarmed[80:83].all() and not alarmed[83:].any()


def test_an_empty_window_in_a_stream_of_few_rows_is_no_outage():
    c = counts(4, 120, 0.2, 100)
    assert (c == 0).any()
    tests = judge(c, DAILY)
    assert np.isnan(tests.p[0]).all() and set(tests.reason[0]) == {volume.FEW_ROWS, volume.SHORT_HISTORY}
    assert not (decide(tests, LEVEL).status == "alarm").any()


def test_half_and_double_are_found_and_a_fifth_over_a_week():
    half, double, fifth = counts(5, 130, 5000, 200), counts(6, 130, 5000, 200), counts(7, 130, 5000, 400)
    half[0, 100] //= 2
    double[0, 100] *= 2
    fifth[0, 100:107] = fifth[0, 100:107] * 4 // 5
    found = judge(half, DAILY)
    assert alarms(half)[0, 100] and found.effect[0, 100] == pytest.approx(np.log(0.5), abs=0.3)
    assert found.horizon[0, 100] == 1
    assert alarms(double)[0, 100]
    assert alarms(fifth)[0, 100:110].any() and judge(fifth, DAILY).horizon[0, 106] == 7


def test_growth_is_followed():
    c = counts(8, 200, 1000, 100, growth=0.3, series=8)  # fivefold in the end
    assert sum(incidents(row) for row in alarms(c)[:, 28:]) <= 4  # in 46 months


def test_the_first_two_weeks_are_not_judged():
    tests = judge(counts(9, 20), DAILY)
    assert np.isnan(tests.p[0, :14]).all() and set(tests.reason[0, :14]) == {volume.SHORT_HISTORY}
    assert not np.isnan(tests.p[0, 14:]).any()


def test_holidays_are_slots_of_their_own():
    random = np.random.default_rng(10)
    c, holiday = row_counts(200, 1, 2000, 200, random, "holidays")
    with_calendar = judge(c[None], DAILY, holidays=holiday.astype(int))
    status = decide(with_calendar, LEVEL).status[0]
    assert (alarms(c[None])[0] & holiday).any()  # undeclared, they alarm
    assert not ((status == "alarm") & holiday).any()
    first, second, third = np.flatnonzero(holiday)[:3]
    assert with_calendar.reason[0, [first, second]].tolist() == [volume.HOLIDAY] * 2 and status[third] == "quiet"
    c[np.flatnonzero(holiday)[-1]] = 0
    late = judge(c[None], DAILY, holidays=holiday.astype(int))
    assert decide(late, LEVEL).status[0, np.flatnonzero(holiday)[-1]] == "alarm"


def test_a_holiday_does_not_lower_the_level_of_its_weekday():
    c = np.full((1, 60), 1000)
    holidays = np.zeros(60, int)
    c[0, [14, 21, 28]], holidays[[14, 21, 28]] = 100, 1
    assert judge(c, DAILY, holidays=holidays).expected[0, 35] == pytest.approx(1000.5, rel=1e-3)


def test_hourly_slots():
    random = np.random.default_rng(11)
    c, _ = row_counts(40, 24, 200, 50, random)
    c[30 * 24 : 31 * 24] = 0
    hourly = VolumeSettings(windows_a_day=24)
    found = decide(judge(c[None], hourly), levels(1, 0.15, 720)).status[0] == "alarm"
    assert found[30 * 24 : 31 * 24].all() and incidents(found[14 * 24 :]) <= 2
    assert hourly.horizons == (1, 24, 168)


def test_a_budget_of_0_never_alarms():
    c = counts(12)
    c[0, 80:] = 0
    assert not alarms(c, 0.0).any()


def test_segments_of_a_window_are_one_family():
    c = counts(13, series=5)
    c[2, 100] //= 2
    tests = judge(c, DAILY)
    assert (decide(tests, LEVEL).q[:, 28:] >= tests.p[:, 28:] - 1e-15).all()
    np.testing.assert_array_equal(tests.p[1], judge(c[1:2], DAILY).p[0])


def test_the_probability_of_no_row_is_that_of_the_negative_binomial():
    shape, expected = 3.0, 8.0
    found = volume.none_p(np.array(expected), np.array(1 / expected + 1 / shape))
    assert found == pytest.approx(nbinom(shape, shape / (shape + expected)).pmf(0))


@pytest.mark.parametrize("kind", ["pattern", "days", "ar"])
def test_few_false_incidents(kind):
    found = alarms(counts(14, 148, 1000, 50, kind, series=12))[:, 28:]
    assert sum(incidents(row) for row in found) / (12 * 4) <= 0.15


def test_power_against_half_a_day():
    c = counts(15, 62, 5000, 200, series=20)
    c[:, 60] //= 2
    assert alarms(c)[:, 60].mean() >= 0.9
    c[:, 60] = 0
    assert alarms(c)[:, 60].all()


def test_a_year_of_ten_segments_in_a_second():
    c = counts(16, 365, series=10)
    best = np.inf
    for _ in range(3):
        started = process_time()
        decide(judge(c, DAILY), LEVEL)
        best = min(best, process_time() - started)
    assert best < 1


def steps(change: float, windows: int = 150, at: int = 80, usual: int = 1_000) -> np.ndarray:
    random = np.random.default_rng(11)
    level = usual * np.where(np.arange(windows) >= at, change, 1.0)
    return random.poisson(level * np.exp(0.05 * random.standard_normal(windows)))[None]


@pytest.mark.parametrize("change", [0.4, 3.0])
def test_a_level_that_has_changed_alarms_for_two_weeks_and_is_then_the_usual_one(change):
    counts = steps(change)
    alarmed = np.flatnonzero(decide(judge(counts, DAILY), LEVEL).status[0] == "alarm")
    assert alarmed.tolist() == list(range(80, 94))
    longer = VolumeSettings(accept_after=30)
    assert np.flatnonzero(decide(judge(counts, longer), LEVEL).status[0] == "alarm").tolist() == list(range(80, 110))
    back = counts.copy()
    back[0, 120:] = counts[0, :30]
    found = decide(judge(back, DAILY), LEVEL).status[0]
    assert set(found[100:120]) == {"quiet"} and (found[120:130] == "alarm").all(), "the way back is a change again"
    for t in (85, 93, 94, 100):
        alone = decide(judge(counts[:, :t], DAILY), LEVEL)
        assert alone.status[0].tolist() == decide(judge(counts, DAILY), LEVEL).status[0, :t].tolist()


def test_a_declared_acceptance_ends_the_alarms_at_once():
    counts = steps(2.0)
    found = decide(judge(counts, DAILY, accepted=[80]), LEVEL)
    assert "alarm" not in found.status[0] and set(found.status[0, 80:94]) == {"abstained"}
    assert set(found.status[0, 94:]) == {"quiet"}
    assert (found.reason[0, 80:94] != "").all()


def test_windows_that_were_not_taken_in_are_not_empty():
    counts, known = steps(1.0), np.ones((1, 150), bool)
    gap = slice(90, 100)
    counts[0, gap], known[0, gap] = 0, False
    found = decide(judge(counts, DAILY, known=known), LEVEL)
    assert "alarm" not in found.status[0] and set(found.status[0, gap]) == {"abstained"}
    assert set(found.reason[0, gap]) == {"not taken in"}
    empty = decide(judge(counts, DAILY), LEVEL)
    assert set(empty.status[0, gap]) == {"alarm"} and set(empty.status[0, 100:]) == {"quiet"}


def test_an_outage_is_no_changed_level():
    counts = steps(1.0, windows=200)
    counts[0, 80:160] = 0
    found = decide(judge(counts, DAILY), LEVEL).status[0]
    assert (found[80:160] == "alarm").all() and set(found[160:]) <= {"quiet", "abstained"}
