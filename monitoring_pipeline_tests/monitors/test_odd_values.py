"""What a draft remarks on: codes for missing values, categories written in two ways."""

import pytest

from monitoring_pipeline.monitors.odd_values import not_known_as_number, written_in_two_ways
from monitoring_pipeline.monitors.summary import ColumnSummary


def column(least, greatest, *samples, n_distinct=5000):
    return ColumnSummary("x", "DOUBLE", n_distinct, 0, least, greatest, tuple(map(str, samples)))


@pytest.mark.parametrize(
    ("summary", "said"),
    [
        (column(-999.0, 40.0, -999.0, 20.5, 21.0), "-999 may stand"),
        (column(0, 9999, 9999, 3, 4), "9999 may stand"),
        (column(-273.15, 35.2, -273.15, 20.1), "-273.15 may stand"),
        (column(-999.0, 9999.0, -999.0, 9999.0, 1.0), "-999 and 9999 may stand"),
        (column(-999.0, 999.3, 20.5, 21.0), ""),  # one value among many
        (column(0.0, 998.0, 0.0, 1.0), ""),
        (column(None, None, n_distinct=0), ""),
    ],
)
def test_codes_for_missing_values(summary, said):
    assert not_known_as_number(summary).startswith(said) and bool(not_known_as_number(summary)) is bool(said)


@pytest.mark.parametrize(
    ("samples", "found"),
    [(("NY", "CA", "ny"), True), (("New York", "new  york "), True), (("a", "b"), False), ((), False)],
)
def test_categories_written_in_two_ways(samples, found):
    assert bool(written_in_two_ways(samples)) is found
