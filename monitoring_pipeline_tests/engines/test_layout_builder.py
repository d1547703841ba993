"""What a reference fixes."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring_pipeline.engines.layout_builder import bin_edges
from monitoring_pipeline_tests.engines.rows import doubles, monitor, relation, texts


@given(x=st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=300), bins=st.integers(2, 40))
@settings(max_examples=200, deadline=None)
def test_reference_values_lie_between_underflow_and_overflow(x, bins):
    edges = bin_edges(np.sort(np.array(x)), bins)
    assert list(edges) == sorted(set(edges))
    assert len(edges) <= bins + 1
    counts = np.bincount(np.searchsorted(edges, x, side="left").astype(int), minlength=len(edges) + 1)
    assert counts[-1] == 0
    if x and min(x) > -1.7e308:
        assert counts[0] == 0
        assert edges[-1] == max(x)


def test_bins_hold_equal_counts(engine, connection):
    x = np.random.default_rng(0).lognormal(0, 2, 10_000)
    layout = engine.build_layout(relation(connection, {"x": doubles(x)}), monitor(bins=20)).column("x")
    counts = np.bincount(np.searchsorted(layout.edges, x, side="left"), minlength=layout.n_bins)
    assert counts.tolist() == [0, *[500] * 20, 0]


def test_few_distinct_values_have_a_bin_each(engine, connection):
    x = [3.0, 1.0, 1.0, 2.0, float("nan"), None, float("inf")] * 10
    edges = engine.build_layout(relation(connection, {"x": doubles(x)}), monitor(bins=20)).column("x").edges
    assert edges[1:] == (1.0, 2.0, 3.0)
    assert edges[0] == np.nextafter(1.0, 0.0)


def test_ties_make_fewer_bins_and_an_all_missing_column_one(engine, connection):
    x = [0.0] * 900 + list(np.linspace(1, 2, 100))
    layout = engine.build_layout(relation(connection, {"x": doubles(x)}), monitor(bins=10)).column("x")
    assert layout.edges == (-np.finfo(float).tiny, 0.0, 2.0)
    empty = engine.build_layout(relation(connection, {"x": doubles([None, float("nan")])}), monitor()).column("x")
    assert (empty.edges, empty.n_bins) == ((), 1)


def test_columns_stand_in_order_with_their_roles(engine, connection):
    rows = relation(
        connection,
        {
            "x": doubles([1.0, 2.0]), "c": texts(["a", "b"]), "b": texts(["true", "true"]),
            "__prediction": texts(["1", "0"]), "__score": doubles([0.3, 0.4]), "__outcome": texts(["1", "0"]),
        },
    )  # fmt: skip
    layout = engine.build_layout(rows, monitor())
    assert [(c.name, c.role, c.kind) for c in layout.columns] == [
        ("x", "feature", "numerical"), ("c", "feature", "categorical"), ("b", "feature", "categorical"),
        ("guess", "prediction", "categorical"), ("p", "score", "numerical"), ("truth", "target", "categorical"),
    ]  # fmt: skip
    assert layout.column("b").categories == ("false", "true")


def test_the_most_frequent_categories_are_named_ties_by_name(engine, connection):
    rows = relation(connection, {"c": texts(["z"] * 3 + ["b", "a", "d", "c", None, ""] * 2 + ["rare"])})
    layout = engine.build_layout(rows, monitor(max_categories=4))
    assert layout.column("c").categories == ("z", "", "a", "b")
    profile = engine.profile(rows, {"1": layout}, (), "day")[0]
    assert profile.column("c").counts.tolist() == [3, 2, 2, 2, 5]  # the rest is unseen, in the reference too


def test_a_reference_of_many_columns_is_read_a_few_at_a_time(engine, connection, monkeypatch):
    from monitoring_pipeline.engines import layout_builder

    rng = np.random.default_rng(1)
    columns = {f"x{i}": rng.normal(i, 1, 1_000) for i in range(6)}
    declared = monitor(schema={"numerical": list(columns), "categorical": [], "boolean": []})
    rows = relation(connection, {k: doubles(v) for k, v in columns.items()})
    at_once = engine.build_layout(rows, declared)
    monkeypatch.setattr(layout_builder, "SORTED_BYTES", 8 * 1_000 * 2)
    assert engine.build_layout(rows, declared) == at_once


@pytest.mark.parametrize(
    ("outcome", "positive", "classes"),
    [
        (["1", "0"], "1", ("0", "1")), (["yes", "no", "no"], "yes", ("no", "yes")), (["1", None], "1", ("0", "1")),
        (["late", "late"], "late", ("not late", "late")), (["true"], "true", ("false", "true")),
        (None, "1", ("0", "1")),
    ],
)  # fmt: skip
def test_binary_classes(engine, connection, outcome, positive, classes):
    rows = relation(connection, {"__outcome": texts(outcome)} if outcome else {"x": doubles([1.0])})
    assert engine.build_layout(rows, monitor(schema={"positive_class": positive})).outcome.classes == classes


def test_binary_score_edges_hold_every_hundredth_and_the_quantiles(engine, connection):
    p = np.random.default_rng(2).beta(1, 9, 5_000)
    outcome = engine.build_layout(relation(connection, {"__score": doubles(p)}), monitor()).outcome
    assert {i / 100 for i in range(1, 100)} <= set(outcome.score_edges)
    assert list(outcome.score_edges) == sorted(set(outcome.score_edges))
    counts = np.bincount(np.searchsorted(outcome.score_edges, p, side="left"))
    assert counts.max() <= 50
    assert outcome.scored == ("1",)


def test_multiclass_classes_are_all_that_were_met(engine, connection):
    declared = monitor("multiclass", schema={"class_scores": {"b": "pb", "a": "pa"}})
    rows = relation(
        connection,
        {
            "__outcome": texts(["c", "a"]),
            "__prediction": texts(["a", "d"]),
            "__score_0": doubles([0.1, 0.2]),
            "__score_1": doubles([0.9, 0.8]),
        },
    )
    layout = engine.build_layout(rows, declared)
    assert (layout.outcome.classes, layout.outcome.scored) == (("a", "b", "c", "d"), ("a", "b"))
    assert [c.name for c in layout.columns if c.role == "score"] == ["pa", "pb"]
    assert layout.column("pb").edges[-1] == 0.9
    assert 0.5 in layout.outcome.score_edges


def test_regression_errors_and_centre(engine, connection):
    rng = np.random.default_rng(3)
    truth, guess = rng.normal(10, 3, 1_000), rng.normal(10, 1, 1_000)
    rows = relation(connection, {"__outcome": doubles(truth), "__prediction": doubles(guess)})
    layout = engine.build_layout(rows, monitor("regression"))
    np.testing.assert_allclose(layout.outcome.centre, truth.mean(), rtol=1e-12)
    error = guess - truth
    assert (layout.outcome.error_edges[0], layout.outcome.error_edges[-1]) == (error.min(), error.max())
    counts = np.bincount(np.searchsorted(layout.outcome.error_edges, error, side="left"), minlength=102)
    assert counts[2:-1].tolist() == [10] * 99
    assert [(c.name, c.kind) for c in layout.columns[-2:]] == [("guess", "numerical"), ("truth", "numerical")]


@pytest.mark.parametrize("guess", [[1.0, 2.0, 3.0], [5.0], [None]])
def test_regression_without_outcomes_has_edges_all_the_same(engine, connection, guess):
    rows = relation(connection, {"__prediction": doubles(guess)})
    outcome = engine.build_layout(rows, monitor("regression")).outcome
    assert len(outcome.error_edges) > 50
    assert outcome.error_edges[0] < 0 < outcome.error_edges[-1]
    assert all(a < b for a, b in itertools.pairwise(outcome.error_edges))
    assert outcome.centre == (guess[0] or 0.0 if len(guess) == 1 else 2.0)


def test_a_category_that_no_database_holds_is_unseen(engine, connection):
    layout = engine.build_layout(relation(connection, {"c": texts(["a\0b"] * 5 + ["a"] * 3 + ["\0"])}), monitor())
    assert layout.column("c").categories == ("a",)
