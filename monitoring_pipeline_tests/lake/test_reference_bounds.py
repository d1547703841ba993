"""A reference that is a stretch of the prediction log: ``from`` is in it, ``to`` is not."""

from __future__ import annotations

import pytest

from monitoring_pipeline.lake.views import reference_relation

from .conftest import fetch, rows, write


@pytest.mark.parametrize(
    ("bounds", "ids"),
    [
        ({}, ["r0", "r1", "r2", "r3", "r4"]),
        ({"from": "2024-03-01T00:01:00Z"}, ["r1", "r2", "r3", "r4"]),
        ({"to": "2024-03-01T00:03:00"}, ["r0", "r1", "r2"]),
        ({"from": "2024-03-01T01:01:00+01:00", "to": "2024-03-01T01:03:00+01:00"}, ["r1", "r2"]),
    ],
)
def test_only_rows_between_the_bounds_are_the_reference(declare, settings, tmp_path, bounds, ids) -> None:
    write(tmp_path / "log/a.parquet", rows(5))
    monitor = declare(reference={"path": "log/*.parquet", **bounds})
    assert sorted(fetch(reference_relation(monitor, settings), settings, "__id")) == [(name,) for name in ids]


def test_bounds_are_in_the_time_zone_of_the_log(declare, settings, tmp_path) -> None:
    write(tmp_path / "log/a.parquet", rows(5))  # 00:00 to 00:04 in Berlin: 23:00 to 23:04 UTC of the day before
    monitor = declare(
        schema={"timezone": "Europe/Berlin"}, reference={"path": "log/*.parquet", "to": "2024-02-29T23:02:00Z"}
    )
    assert sorted(fetch(reference_relation(monitor, settings), settings, "__id")) == [("r0",), ("r1",)]
