"""Event times against Python's own zone arithmetic."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring_pipeline.errors import DeclarationError
from monitoring_pipeline.lake.sources.index import index_predictions
from monitoring_pipeline.lake.times import utc_sql

from .conftest import NOW, kept, rows, take_in, write

ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "Africa/Casablanca"]


def in_utc(values: list, kind: str, timezone: str = "UTC") -> list[datetime | None]:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(
            f"CREATE TABLE v AS SELECT i, CAST(t AS {kind}) AS t FROM (SELECT unnest($ts) AS t,"
            " generate_subscripts($ts, 1) AS i)",
            {"ts": values},
        )
        return [t for (t,) in connection.execute(f"SELECT {utc_sql('t', kind, timezone)} FROM v ORDER BY i").fetchall()]


@pytest.mark.parametrize("zone", ZONES)
@settings(max_examples=8, deadline=None)
@given(st.lists(st.datetimes(datetime(2000, 1, 15), datetime(2049, 12, 1)), min_size=1, max_size=20))
def test_naive_times_are_read_as_python_reads_them(zone, moments):
    # fold=1, the second occurrence, is not in the data: a naive time is its first.
    expected = [m.replace(fold=0, tzinfo=ZoneInfo(zone)).astimezone(UTC).replace(tzinfo=None) for m in moments]
    assert in_utc(moments, "TIMESTAMP", zone) == expected


def test_the_nights_the_clocks_change():
    naive = [datetime(2024, 3, 31, 1, 59), datetime(2024, 3, 31, 2, 30), datetime(2024, 3, 31, 3, 0),
             datetime(2024, 10, 27, 1, 59), datetime(2024, 10, 27, 2, 30), datetime(2024, 10, 27, 3, 0)]  # fmt: skip
    assert in_utc(naive, "TIMESTAMP", "Europe/Berlin") == [
        datetime(2024, 3, 31, 0, 59), datetime(2024, 3, 31, 1, 30), datetime(2024, 3, 31, 1, 0),
        datetime(2024, 10, 26, 23, 59), datetime(2024, 10, 27, 0, 30), datetime(2024, 10, 27, 2, 0),
    ]  # fmt: skip


def test_text_with_mixed_offsets_epochs_and_nonsense():
    texts = ["2024-03-31T02:30:00+02:00", "2024-03-31 02:30:00-0500", "2024-03-31T02:30:00.25Z",
             "2024-03-31 02:30:00+02",
             "2024-03-31T04:30:00", "2024-03-31", "1711852200", "1711852200.5", "1711852200000", "yesterday", "", None,
             "2024-13-01T00:00:00Z"]  # fmt: skip
    day = datetime(2024, 3, 31)
    at = lambda h, m, us=0: day + timedelta(hours=h, minutes=m, microseconds=us)  # noqa: E731
    assert in_utc(texts, "VARCHAR", "Europe/Berlin") == [
        at(0, 30), at(7, 30), at(2, 30, 250_000), at(0, 30), at(2, 30), at(-1, 0), at(2, 30), at(2, 30, 500_000),
        at(2, 30), None, None, None, None,
    ]  # fmt: skip


@pytest.mark.parametrize("scale", [1, 10**3, 10**6, 10**9])
def test_epoch_integers_by_magnitude(scale):
    assert in_utc([1711852200 * scale, None], "BIGINT") == [datetime(2024, 3, 31, 2, 30), None]
    assert in_utc([1711852200.0 * scale, float("nan"), float("inf")], "DOUBLE") == [
        datetime(2024, 3, 31, 2, 30),
        None,
        None,
    ]


@pytest.mark.parametrize("kind", ["BIGINT", "DOUBLE", "VARCHAR"])
def test_a_day_without_dashes_is_no_second_of_1970(kind):
    assert in_utc([20240331, 0, 1711852200], kind) == [None, None, datetime(2024, 3, 31, 2, 30)]


def test_unknown_zone_is_named():
    with pytest.raises(DeclarationError, match="Mars/Olympus"):
        utc_sql("t", "TIMESTAMP", "Mars/Olympus")


def test_files_of_different_zones_meet_in_the_same_window(declare, settings, tmp_path):
    """A naive column in New York time, an aware one, text with offsets: the same instants, the same windows."""
    instants = [datetime(2024, 3, 10, h, 30, tzinfo=UTC) for h in (3, 5, 6, 7, 8)]
    local = ZoneInfo("America/New_York")
    n = len(instants)
    base = rows(n)
    shapes = {
        "naive": [t.astimezone(local).replace(tzinfo=None) for t in instants],
        "aware": pa.array(instants, pa.timestamp("us", "Asia/Tokyo")),
        "nanoseconds": pa.array(instants, pa.timestamp("ns", "UTC")),
        "text": [t.astimezone(ZoneInfo("Europe/Berlin")).isoformat() for t in instants],
        "epoch": [int(t.timestamp() * 1000) for t in instants],
    }
    for name, at in shapes.items():
        write(tmp_path / f"log/{name}.parquet", base | {"id": [f"{name}{i}" for i in range(n)], "at": at})
    monitor = declare(schema={"timezone": "America/New_York"}, window="hour")
    answers = take_in(monitor, settings)
    assert {key: w.n_rows for key, w in answers.items()} == {f"2024-03-10-{h:02}:00": 5 for h in (3, 5, 6, 7, 8)}
    times = dict(kept(monitor, settings, *answers.values(), select="__id, __time"))
    assert all(times[f"{name}{i}"] == instants[i].replace(tzinfo=None) for name in shapes for i in range(n))


def test_unreadable_and_future_times_belong_to_no_window(declare, settings, tmp_path):
    at = ["2024-03-01T10:00:00Z", "soon", None, "2199-01-01T00:00:00Z"]
    write(tmp_path / "log/a.parquet", rows(4) | {"at": at})
    (indexed,) = index_predictions(declare(), {}, settings, NOW)
    assert indexed.windows == {datetime(2024, 3, 1, tzinfo=UTC): 1}
    assert (indexed.n_rows, indexed.n_unplaced) == (4, 3) and indexed.unplaced_example in {"soon", "null", at[3]}
