"""Which days are held out of a fit."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring_pipeline.retraining.held_out import held_out_days

START = datetime(2013, 1, 1, tzinfo=UTC)
HOURS = st.integers(0, 24 * 400).map(lambda hours: START + timedelta(hours=hours))


@given(HOURS, HOURS, HOURS)
def test_overlapping_ranges_hold_out_the_same_days(a, b, c):
    start, middle, end = sorted((a, b, c))
    part, whole = held_out_days(start, middle), held_out_days(start, end)
    assert part <= whole
    assert all(start.date() <= day <= end.date() for day in whole)


def test_a_fifth_of_a_year_over_all_weekdays():
    days = held_out_days(START, START + timedelta(days=365))
    assert len(days) == 73
    per_weekday = [sum(day.weekday() == n for day in days) for n in range(7)]
    assert max(per_weekday) - min(per_weekday) <= 1


def test_the_end_is_excluded_and_short_ranges_hold_out_nothing():
    ends = min(held_out_days(START, START + timedelta(days=365)))
    until = datetime(ends.year, ends.month, ends.day, tzinfo=UTC)
    assert ends not in held_out_days(START - timedelta(days=100), until)
    assert ends in held_out_days(START - timedelta(days=100), until + timedelta(microseconds=1))
    assert held_out_days(START, START + timedelta(days=20)) == frozenset()
    assert held_out_days(START, START) == frozenset()


def test_naive_times_are_refused():
    with pytest.raises(ValueError, match="aware"):
        held_out_days(datetime(2013, 1, 1), START)
