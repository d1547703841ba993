"""Arrays that no SQL reads come out of their bytes as they went in."""

from __future__ import annotations

import numpy as np
import pytest

from monitoring_pipeline.warehouse.packing import from_planes, pack, planes, unpack

SUMS = np.array([0.1 + 0.2, -0.0, np.inf, -np.inf, np.nan, 5e-324, 1e308])


@pytest.mark.parametrize("largest", [0, 127, 128, 2**15 - 1, 2**15, 2**31 - 1, 2**31, 2**63 - 1])
def test_arrays_come_back_exactly(largest: int) -> None:
    counts = np.array([0, 1, 7, largest, -1], np.int64)
    found, sums = unpack(memoryview(pack(counts, SUMS)))
    assert found.dtype == np.int64 and found.tolist() == counts.tolist()
    assert sums.tobytes() == SUMS.tobytes()


def test_nothing_comes_back_as_nothing() -> None:
    counts, sums = unpack(pack(np.zeros(0, np.int64), np.zeros(0)))
    assert (counts.shape, counts.dtype, sums.shape, sums.dtype) == ((0,), np.int64, (0,), np.float64)


def test_they_may_be_changed() -> None:
    counts, sums = unpack(pack(np.arange(3), SUMS))
    counts += 1
    sums += 1
    assert counts.tolist() == [1, 2, 3]


def test_counts_take_few_bytes() -> None:
    counts = np.random.default_rng(1).poisson(20, 1000)
    assert len(pack(counts, np.zeros(0))) < 1000


def test_bytes_of_a_newer_version_are_not_guessed_at() -> None:
    packed = pack(np.arange(3), SUMS)
    with pytest.raises(ValueError, match="upgrade"):
        unpack(b"\x02" + packed[1:])


@pytest.mark.parametrize("largest", [0, 255, 256, 2**16 - 1])
def test_counts_that_views_read_come_back_from_their_two_bytes(largest: int) -> None:
    counts = np.array([0, 1, 7, largest], np.int64)
    split = planes(counts)
    assert split is not None and (split[1] is None) == (largest < 256)
    assert from_planes(*split).tolist() == counts.tolist()


@pytest.mark.parametrize("unfit", [2**16, -1])
def test_counts_of_more_than_two_bytes_are_left_as_they_are(unfit: int) -> None:
    assert planes(np.array([0, unfit], np.int64)) is None
