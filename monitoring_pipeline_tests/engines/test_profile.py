"""Column profiles against a plain oracle."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitoring_pipeline.engines import columns, statement
from monitoring_pipeline.engines.segments import MAX_VALUES
from monitoring_pipeline.errors import WindowError
from monitoring_pipeline.lake.relation import Relation
from monitoring_pipeline.profiles.layout import ColumnLayout
from monitoring_pipeline.profiles.profile import merge_profiles
from monitoring_pipeline_tests.engines.rows import (
    DAY,
    assert_equals,
    by_segment,
    categorical_oracle,
    doubles,
    layout_of,
    numerical_oracle,
    relation,
    texts,
)

X = ColumnLayout("x", "feature", "numerical", edges=(-1.0, 0.0, 0.5, 2.0))
C = ColumnLayout("c", "feature", "categorical", categories=("a", "b'; --", "ü"))
GROUP = ColumnLayout("g", "feature", "categorical", categories=("u", "v"))

numbers = st.one_of(
    st.none(),
    st.sampled_from([-1.0, 0.0, -0.0, 0.5, 2.0, float("nan"), float("inf"), float("-inf")]),
    st.floats(-1e6, 1e6),
)
words = st.sampled_from([None, "", "a", "b'; --", "ü", "A", "unknown"])


@given(
    rows=st.lists(st.tuples(numbers, words, st.sampled_from([None, "u", "v", "w"])), max_size=80), alone=st.booleans()
)
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_segment_equals_the_oracle(engine, connection, monkeypatch, rows, alone):
    monkeypatch.setattr(columns, "MANY_ROWS", 1 if alone else 10**9)  # both ways of counting groups
    x, c, g = ([row[i] for row in rows] for i in range(3))
    profiles = engine.profile(
        relation(connection, {"x": doubles(x), "c": texts(c), "g": texts(g)}),
        {"1": layout_of(X, C, GROUP)},
        [("g",)],
        "day",
    )
    found = by_segment(profiles)
    names = {None: "g=∅", "w": "g=__other__", "u": "g=u", "v": "g=v"}
    assert set(found) == ({"*"} | {names[v] for v in g} if rows else set())
    for segment, profile in found.items():
        kept = [i for i in range(len(rows)) if segment in ("*", names[g[i]])]
        assert profile.n_rows == len(kept)
        assert_equals(profile.column("x"), numerical_oracle(X, [x[i] for i in kept]))
        assert_equals(profile.column("c"), categorical_oracle(C, [c[i] for i in kept]))


@given(
    x=st.lists(st.one_of(st.none(), st.floats(allow_subnormal=False)), min_size=1, max_size=60),
    offset=st.sampled_from([0.0, 1e9]),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_double_is_counted(engine, connection, x, offset):
    x = [v if v is None or abs(v) > 1e6 else v + offset for v in x]
    profile = engine.profile(relation(connection, {"x": doubles(x)}), {"1": layout_of(X)}, (), "day")[0].column("x")
    expected = numerical_oracle(
        X, [v if v is None or abs(v) < 1e150 or not np.isfinite(v) else np.copysign(1e150, v) for v in x]
    )
    assert profile.counts.tolist() == expected["counts"]
    assert (profile.n_missing, profile.n_nan, profile.n_inf) == tuple(
        expected[k] for k in ("n_missing", "n_nan", "n_inf")
    )


def test_moments_keep_their_digits_far_from_zero(engine, connection):
    x = 1e6 + np.random.default_rng(0).normal(0, 1, 200_000)
    profile = engine.profile(relation(connection, {"x": doubles(x)}), {"1": layout_of(X)}, (), "day")[0].column("x")
    exact = np.asarray(x, np.longdouble)
    np.testing.assert_allclose(profile.m2, float(((exact - exact.mean()) ** 2).sum()), rtol=1e-12)
    np.testing.assert_allclose(profile.mean, float(exact.mean()), rtol=1e-15)


def test_greatest_double_as_a_marker_for_missing_does_not_spoil_the_mean(engine, connection):
    profile = engine.profile(relation(connection, {"x": doubles([1.7e308] * 4)}), {"1": layout_of(X)}, (), "day")[0]
    assert profile.column("x").mean == pytest.approx(1.7e308)
    assert profile.column("x").counts.tolist() == [0, 0, 0, 0, 4]


def test_all_missing_constant_and_absent_columns(engine, connection):
    layout = layout_of(
        X, ColumnLayout("k", "feature", "numerical", edges=(2.9, 3.0)), C, ColumnLayout("e", "feature", "numerical")
    )
    profile = engine.profile(
        relation(connection, {"x": doubles([None] * 5), "k": doubles([3.0] * 5)}), {"1": layout}, (), "day"
    )[0]
    assert_equals(profile.column("x"), numerical_oracle(X, [None] * 5))
    assert profile.column("k").counts.tolist() == [0, 5, 0]
    assert profile.column("k").m2 == 0
    assert profile.column("c").n_missing == 5  # the relation has no such column
    assert profile.column("e").counts.tolist() == [0]  # the reference had no value: one bin


def test_no_rows_no_profiles(engine, connection):
    empty = relation(connection, {"x": doubles([]), "c": texts([])})
    assert engine.profile(empty, {"1": layout_of(X, C)}, [("c",)], "day") == []
    assert engine.profile_both(empty, {"1": layout_of(X, C)}, (), 3, "day") == ([], [])


@pytest.mark.parametrize("n_categories", [5, 32, 33, 400])
def test_a_hundred_thousand_categories(engine, connection, n_categories):
    values = [f"v{i % 100_000}" for i in range(120_000)]
    layout = ColumnLayout("c", "feature", "categorical", categories=tuple(f"v{i}" for i in range(n_categories)))
    profile = engine.profile(relation(connection, {"c": texts(values)}), {"1": layout_of(layout)}, [("c",)], "day")
    whole = by_segment(profile)["*"].column("c")
    assert whole.counts.tolist() == [2] * n_categories + [120_000 - 2 * n_categories]
    assert len(profile) == 2 + min(n_categories, MAX_VALUES)  # whole, other, and the named ones: never an explosion


@pytest.mark.parametrize(
    "name", ['"; drop table x; --', "naïve 'quoted' \"column\"", "select", "c0", "数", "{relation}"]
)
def test_names_are_only_names(engine, connection, name):
    number = ColumnLayout(name, "feature", "numerical", edges=(0.0, 1.0))
    rows = relation(connection, {name: doubles([0.5, 2.0, None])})
    assert engine.profile(rows, {"1": layout_of(number)}, (), "day")[0].column(name).counts.tolist() == [0, 1, 1]
    text = ColumnLayout(name, "feature", "categorical", categories=("a'b", "nul\0byte", name))
    rows = relation(connection, {name: texts(["a'b", "nul\0byte", name, "nul", None])})
    found = engine.profile(rows, {"1": layout_of(text)}, [(name,)], "day")
    assert by_segment(found)["*"].column(name).counts.tolist() == [1, 1, 1, 1]
    assert f"{name}=a'b" in by_segment(found)


def test_batches_do_not_show(engine, connection, monkeypatch):
    rng = np.random.default_rng(3)
    n = 5_000
    g = rng.choice(["u", "v", "w"], n).tolist()
    x = np.where(rng.random(n) < 0.1, np.nan, rng.lognormal(0, 1, n))
    rows = relation(connection, {"x": pa.array(x), "g": texts(g)})
    layouts = {"1": layout_of(X, GROUP)}
    at_once = engine.profile(rows, layouts, [("g",)], "day")
    monkeypatch.setattr(statement, "BATCH_ROWS", 100)
    in_pieces = engine.profile(rows, layouts, [("g",)], "day")
    for a, b in zip(at_once, in_pieces, strict=True):
        assert (a.segment, a.n_rows) == (b.segment, b.n_rows)
        assert a.column("x").counts.tolist() == b.column("x").counts.tolist()
        np.testing.assert_allclose(
            (a.column("x").mean, a.column("x").m2), (b.column("x").mean, b.column("x").m2), rtol=1e-12
        )


def test_a_day_is_its_hours_even_when_clocks_change(engine, connection):
    """2024-03-31 has 23 hours in Berlin; windows are UTC, so it has 24 here."""
    rng = np.random.default_rng(4)
    n = 20_000
    hours = rng.integers(0, 24, n)
    midnight = datetime(2024, 3, 31)
    x = rng.normal(50, 3, n).tolist()
    columns = {"x": doubles(x), "c": texts(rng.choice(["a", "ü", "z"], n).tolist())}
    by_hour = pa.array([midnight + timedelta(hours=int(h)) for h in hours], pa.timestamp("us"))
    layouts = {"1": layout_of(X, C)}
    hourly = engine.profile(relation(connection, {**columns, "__window": by_hour}), layouts, (), "hour")
    whole_day = pa.array([midnight] * n, pa.timestamp("us"))
    (daily,) = engine.profile(relation(connection, {**columns, "__window": whole_day}), layouts, (), "day")
    assert [p.window.start for p in hourly] == [midnight.replace(tzinfo=UTC) + timedelta(hours=h) for h in range(24)]
    assert all(p.window.end - p.window.start == timedelta(hours=1) for p in hourly)
    merged = merge_profiles(hourly)
    assert merged.window == daily.window
    assert_equals(merged.column("x"), numerical_oracle(X, x))
    for name in ("x", "c"):
        assert merged.column(name).counts.tolist() == daily.column(name).counts.tolist()
    np.testing.assert_allclose(merged.column("x").m2, daily.column("x").m2, rtol=1e-12)


def test_segmentations_of_one_two_and_numerical_columns_add_up(engine, connection):
    rng = np.random.default_rng(5)
    n = 3_000
    rows = relation(
        connection,
        {
            "x": doubles([None if rng.random() < 0.1 else v for v in rng.normal(0, 1, n)]),
            "c": texts(rng.choice(["a", "ü", "z"], n).tolist()), "g": texts(rng.choice(["u", "v"], n).tolist()),
        },
    )  # fmt: skip
    keys = [("c",), ("g",), ("g", "c"), ("x",)]
    profiles = engine.profile(rows, {"1": layout_of(X, C, GROUP)}, keys, "day")
    found = by_segment(profiles)
    assert profiles[0].segment == "*"
    assert {"c=a", "g=u", "g=u,c=a", "g=v,c=__other__", "x=∅", "x=(-1, 0]", "x=(2, inf)"} <= set(found)
    for key in keys:
        parts = [p for s, p in found.items() if s != "*" and tuple(t.split("=")[0] for t in _terms(s)) == key]
        assert sum(p.n_rows for p in parts) == n
        for name in ("x", "c", "g"):
            assert sum(p.column(name).counts for p in parts).tolist() == found["*"].column(name).counts.tolist()
            assert sum(p.column(name).n_missing for p in parts) == found["*"].column(name).n_missing


def _terms(segment: str) -> list[str]:
    """``x=(-1, 0]`` is one term, ``g=u,c=a`` are two."""
    return segment.split(",") if "(" not in segment else [segment]


def test_two_versions_in_one_window_each_by_its_own_layout(engine, connection):
    rng = np.random.default_rng(6)
    n = 4_000
    version = rng.choice(["blue", "green", "green2"], n)
    x = rng.normal(0, 1, n)
    other = ColumnLayout("x", "feature", "numerical", edges=(-0.3, 0.3))
    layouts = {"blue": layout_of(X), "green": layout_of(other), "green2": layout_of(other)}
    profiles = engine.profile(
        relation(connection, {"x": doubles(x), "__version": texts(version.tolist())}), layouts, (), "day"
    )
    assert [p.model_version for p in profiles] == ["blue", "green", "green2"]
    for p in profiles:
        column = layouts[p.model_version].columns[0]
        assert p.layout_id == layouts[p.model_version].layout_id
        assert_equals(p.column("x"), numerical_oracle(column, x[version == p.model_version].tolist()))


@pytest.mark.parametrize("version", ["v9", None])
def test_a_version_without_a_reference_is_named(engine, connection, version):
    rows = relation(connection, {"x": doubles([1.0, 2.0]), "__version": texts(["1", version])})
    with pytest.raises(WindowError, match="v9" if version else "none"):
        engine.profile(rows, {"1": layout_of(X)}, (), "day")
    # The connection is free for the next window.
    assert len(engine.profile(relation(connection, {"x": doubles([1.0])}), {"1": layout_of(X)}, (), "day")) == 1


def test_an_unknown_segment_column_is_an_error(engine, connection):
    with pytest.raises(KeyError, match="nowhere"):
        engine.profile(relation(connection, {"x": doubles([1.0])}), {"1": layout_of(X)}, [("nowhere",)], "day")


def test_prediction_and_scores_are_read_under_their_canonical_names(engine, connection):
    layout = layout_of(
        ColumnLayout("guess", "prediction", "categorical", categories=("0", "1")),
        ColumnLayout("p", "score", "numerical", edges=(0.0, 0.5, 1.0)),
        ColumnLayout("truth", "target", "categorical", categories=("0", "1")),
    )
    rows = relation(connection, {"__prediction": texts(["1", "0", "1"]), "__score": doubles([0.7, 0.2, 0.9])})
    profiles = by_segment(engine.profile(rows, {"1": layout}, [("guess",)], "day"))
    assert [c.layout.role for c in profiles["*"].columns] == ["prediction", "score"]  # the target comes with the labels
    assert profiles["guess=1"].column("p").counts.tolist() == [0, 0, 2, 0]


def test_a_relation_of_a_view_with_types_to_cast(engine, connection):
    rows = Relation(
        f"SELECT TIMESTAMP '{DAY}' AS __window, '1' AS __version, i AS x, (i % 2 = 0) AS b FROM range(10) AS t(i)",
        ("__window", "__version", "x", "b"),
    )
    flag = ColumnLayout("b", "feature", "categorical", categories=("false", "true"))
    profile = engine.profile(rows, {"1": layout_of(X, flag)}, (), "day")[0]
    assert profile.column("x").counts.tolist() == [0, 1, 0, 2, 7]
    assert profile.column("b").counts.tolist() == [5, 5, 0]
