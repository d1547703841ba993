"""Which served values differ from the same values computed again."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from monitoring_pipeline.metrics.quality.parity import compare

NUMBERS = st.one_of(st.floats(allow_nan=True, allow_infinity=True, width=64), st.just(0.0))


def ids(n: int) -> np.ndarray:
    return np.array([f"r{i}" for i in range(n)], dtype=object)


def one(served: object, again: object, tolerance: float = 1e-6) -> int:
    kind = object if isinstance(served, str) or served is None else float
    a, b = np.array([served], kind), np.array([again], kind)
    return compare(ids(1), {"x": a}, {"x": b}, tolerance).columns[0].n_differing


def test_numbers_differ_beyond_the_tolerance_relative_to_the_larger_or_one() -> None:
    assert [one(1e9, 1e9 + 100), one(1e9, 1e9 + 2000)] == [0, 1]
    assert [one(0.0, 9e-7), one(0.0, 2e-6)] == [0, 1]
    assert one(1.0, 1.05, tolerance=0.1) == 0
    assert [one(np.nan, np.nan), one(np.nan, 0.0), one(1.0, np.nan)] == [0, 1, 1]
    assert [one(np.inf, np.inf), one(np.inf, -np.inf), one(np.inf, 1e300)] == [0, 1, 1]
    assert [one("a", "a"), one("a", "A"), one(None, None), one(None, "a")] == [0, 1, 0, 1]


@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=20), st.sampled_from([0.0, 1e-6, 0.5]))
def test_it_does_not_matter_which_side_was_served(pairs: list[tuple[float, float]], tolerance: float) -> None:
    a, b = (np.array(side) for side in zip(*pairs, strict=True))
    there, back = (
        compare(ids(len(a)), {"x": a}, {"x": b}, tolerance),
        compare(ids(len(a)), {"x": b}, {"x": a}, tolerance),
    )
    assert there.columns[0].n_differing == back.columns[0].n_differing == there.n_differing
    assert compare(ids(len(a)), {"x": a}, {"x": a}, 0.0).n_differing == 0


def test_nothing_to_compare() -> None:
    found = compare(
        ids(0), {"x": np.empty(0), "c": np.empty(0, object)}, {"x": np.empty(0), "c": np.empty(0, object)}, 0
    )
    assert [(c.column, c.n_compared, c.n_differing) for c in found.columns] == [("x", 0, 0), ("c", 0, 0)]


def test_rows_count_once_and_columns_that_were_not_computed_are_left_out() -> None:
    served = {"x": np.array([1.0, 2.0, 3.0]), "c": np.array(["a", "b", None], object), "y": np.zeros(3)}
    again = {"x": np.array([1.0, 5.0, 3.0]), "c": np.array(["z", "z", None], object)}
    found = compare(ids(3), served, again, 1e-6)
    assert [(c.column, c.n_differing) for c in found.columns] == [("x", 1), ("c", 2)]
    assert (found.n_compared, found.n_differing) == (3, 2)
    assert found.columns[0].example == "r1: served 2, recomputed 5"
    assert found.columns[1].example == "r0: served 'a', recomputed 'z'"
