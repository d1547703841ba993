"""Profiles read back exactly as they were written, quickly, and can be read in SQL."""

from __future__ import annotations

import time
from dataclasses import fields, replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from sqlalchemy import text

from monitoring_pipeline.monitors import Window
from monitoring_pipeline.profiles.column import ColumnProfile
from monitoring_pipeline.profiles.layout import ColumnLayout, Layout, OutcomeLayout
from monitoring_pipeline.profiles.outcome import OutcomeProfile
from monitoring_pipeline.profiles.parts import PARTS
from monitoring_pipeline.profiles.profile import LabelledProfile, Profile, merge_profiles
from monitoring_pipeline.stages.declaring import declare
from monitoring_pipeline.warehouse import profile_store
from monitoring_pipeline.warehouse.database import Warehouse

from . import samples as s


@pytest.fixture
def ready(any_warehouse: Warehouse) -> Warehouse:
    with any_warehouse.transaction() as conn:
        declare(conn, s.monitor())
        profile_store.save_reference(conn, s.reference(), "r1", None)
    return any_warehouse


def plain(value: Any) -> Any:
    """Profiles as nested plain values, so that arrays can be compared."""
    if isinstance(value, np.ndarray):
        return (value.dtype.name, value.shape, value.tolist())
    if isinstance(value, tuple):
        return tuple(plain(v) for v in value)
    if isinstance(value, Profile | LabelledProfile | ColumnProfile | OutcomeProfile):
        return {f.name: plain(getattr(value, f.name)) for f in fields(value)}
    return value


def test_profiles_read_back_exactly(ready: Warehouse) -> None:
    day = s.window(0)
    empty = s.profile(day, segment="plan=none")
    nothing = tuple(ColumnProfile(c.layout, 0, 0, 0, 0, 0, np.zeros(c.layout.n_bins, np.int64)) for c in empty.columns)
    kept = [
        s.profile(day),
        s.profile(day, "2", seed=3),
        s.profile(day, segment="plan=naïve\\n\t∅", seed=4),
        replace(empty, n_rows=0, columns=nothing),
    ]
    with ready.transaction() as conn:
        profile_store.save_profiles(conn, s.NAME, day, kept)
        found = profile_store.load_profiles(conn, s.NAME, [day])
    order = {(p.model_version, p.segment): plain(p) for p in kept}
    assert {(p.model_version, p.segment): plain(p) for p in found} == order
    assert found[0].columns[0].minimum in (float("inf"), s.profile(day).columns[0].minimum)


def test_saving_replaces_the_window_and_no_other(ready: Warehouse) -> None:
    with ready.transaction() as conn:
        for day in (s.window(0), s.window(1)):
            profile_store.save_profiles(conn, s.NAME, day, [s.profile(day), s.profile(day, segment="plan=basic")])
        profile_store.save_profiles(conn, s.NAME, s.window(0), [s.profile(s.window(0), seed=9)])
        found = profile_store.load_profiles(conn, s.NAME, Window(s.T0, s.T0 + timedelta(days=2)))
    assert [(p.window, p.segment, p.n_rows) for p in found] == [
        (s.window(0), "*", 109), (s.window(1), "*", 100), (s.window(1), "plan=basic", 100),
    ]  # fmt: skip


def test_just_the_windows_segments_and_versions_asked_for(ready: Warehouse) -> None:
    days = [s.window(i) for i in range(4)]
    with ready.transaction() as conn:
        for day in days:
            kept = [s.profile(day, v, g) for v in ("1", "2") for g in ("*", "plan=basic")]
            profile_store.save_profiles(conn, s.NAME, day, kept)
        some = profile_store.load_profiles(conn, s.NAME, [days[2], days[0]], segment="*", model_version="2")
        assert [(p.window, p.segment, p.model_version) for p in some] == [(days[0], "*", "2"), (days[2], "*", "2")]
        assert len(profile_store.load_profiles(conn, s.NAME, Window(days[1].start, days[2].end))) == 8
        assert profile_store.load_profiles(conn, s.NAME, []) == []
        assert profile_store.load_profiles(conn, "nobody", days) == []


def test_labelled_profiles_read_back_exactly(ready: Warehouse) -> None:
    day = s.window(0)
    kept = [s.labelled(day, 3), replace(s.labelled(day, 3, segment="plan=basic", seed=8), target=None)]
    with ready.transaction() as conn:
        profile_store.save_labelled(conn, s.NAME, day, kept)
        found = profile_store.load_labelled(conn, s.NAME, [day])
    assert [plain(p) for p in found] == [plain(p) for p in kept]


def test_outcomes_of_regression_and_multiclass_keep_their_shapes(ready: Warehouse) -> None:
    rng = np.random.default_rng(1)
    outcomes = (
        OutcomeLayout("regression", error_edges=(-1.0, 0.0, 1.0), centre=2.5),
        OutcomeLayout("multiclass", ("a", "b", "c"), ("a", "b", "c"), (0.5,)),
    )
    for number, outcome_layout in enumerate(outcomes):
        layout = Layout(s.layout().columns, outcome_layout)
        bare = OutcomeProfile.empty(outcome_layout)
        arrays = {f.name: getattr(bare, f.name) for f in fields(bare) if isinstance(getattr(bare, f.name), np.ndarray)}
        filled = {
            k: rng.integers(0, 9, a.shape) if a.dtype == np.int64 else rng.random(a.shape) for k, a in arrays.items()
        }
        kept = LabelledProfile(
            s.window(number), "1", "*", layout.layout_id, 1, replace(bare, n_predictions=9, n_labelled=4, **filled)
        )
        with ready.transaction() as conn:
            profile_store.save_layout(conn, layout)
            profile_store.save_labelled(conn, s.NAME, kept.window, [kept])
            assert [plain(p) for p in profile_store.load_labelled(conn, s.NAME, [kept.window])] == [plain(kept)]


def test_references_read_back_and_the_same_again_changes_nothing(ready: Warehouse) -> None:
    with ready.transaction() as conn:
        profile_store.save_reference(conn, s.reference(version="2", seed=6), "r1", None)
        found = profile_store.references(conn, s.NAME)
        stamps = conn.execute(
            text("select model_version, computed_at from monitoring.reference_profile order by 1")
        ).all()
    assert {v: (r.layout, plain(r.profile)) for v, r in found.items()} == {
        v: (r.layout, plain(r.profile)) for v, r in (("1", s.reference()), ("2", s.reference(version="2", seed=6)))
    }
    with ready.transaction() as conn:
        profile_store.save_reference(conn, s.reference(version="2", seed=6), "r1", "another run")
        assert (
            conn.execute(text("select model_version, computed_at from monitoring.reference_profile order by 1")).all()
            == stamps
        )
        profile_store.save_reference(conn, s.reference(version="2", seed=7), "r2", None)
        assert profile_store.reference_sources(conn, s.NAME) == {"1": "r1", "2": "r2"}
        assert plain(profile_store.references(conn, s.NAME)["2"].profile) == plain(
            s.reference(version="2", seed=7).profile
        )


def test_sql_sees_the_same_figures(ready: Warehouse) -> None:
    day, kept = s.window(0), s.profile(s.window(0))
    with ready.transaction() as conn:
        profile_store.save_profiles(conn, s.NAME, day, [kept])
        rows = conn.execute(text("select * from monitoring.column_profile_current")).mappings().all()
    assert len(rows) == len(kept.columns)
    for row in rows:
        column = kept.column(row["column_name"], row["role"])
        assert row["bin_counts"] == column.counts.tolist()
        assert (row["n"], row["n_missing"], row["n_nan"], row["n_inf"], row["n_zero"]) == (
            column.n, column.n_missing, column.n_nan, column.n_inf, column.n_zero,
        )  # fmt: skip
        assert row["edges"] == list(column.layout.edges)
        assert row["categories"] == list(column.layout.categories)
        if column.layout.kind == "numerical":
            assert (row["minimum"], row["maximum"], row["mean"], row["m2"]) == (
                column.minimum,
                column.maximum,
                column.mean,
                column.m2,
            )
        else:
            assert (row["minimum"], row["maximum"], row["mean"], row["m2"]) == (None, None, None, None)


def test_a_quarter_of_28_columns_is_loaded_and_merged_in_a_tenth_of_a_second(warehouse: Warehouse) -> None:
    edges = tuple(float(i) for i in range(20))
    columns = tuple(ColumnLayout(f"c{i}", "feature", "numerical", edges) for i in range(28))
    layout = Layout(columns, OutcomeLayout("regression"))
    rng = np.random.default_rng(2)
    days = [s.window(i) for i in range(90)]
    with warehouse.transaction() as conn:
        declare(conn, s.monitor())
        profile_store.save_layout(conn, layout)
        for day in days:
            profiled = tuple(
                ColumnProfile(c, 10**6, 0, 0, 0, 0, rng.integers(0, 10**5, 21), 0.0, 1.0, 0.5, 2.5) for c in columns
            )
            profile_store.save_profiles(conn, s.NAME, day, [Profile(day, "1", "*", layout.layout_id, 10**6, profiled)])
        profile_store.load_profiles(conn, s.NAME, days[:1])
        spent = []
        for _ in range(3):
            began = time.process_time()
            merged = merge_profiles(profile_store.load_profiles(conn, s.NAME, days, segment="*"))
            spent.append(time.process_time() - began)
    assert merged.n_rows == 90 * 10**6
    assert min(spent) < 0.1


def test_rows_of_before_they_were_packed_stay_readable(ready: Warehouse) -> None:
    day, kept = s.window(0), s.labelled(s.window(0), 1)
    as_arrays = """
    update monitoring.profile set packed = null, counts = cast(:counts as bigint[]), sums = cast(:sums as float8[])
    where scope = 'window' and part = :part"""
    with ready.transaction() as conn:
        profile_store.save_labelled(conn, s.NAME, day, [kept])
        packed = profile_store.load_labelled(conn, s.NAME, [day])
        for part, value in (("outcomes", kept.outcome), ("target", kept.target)):
            counts, sums = PARTS[part].flatten(value)
            stored = {"part": part, "counts": counts.tolist(), "sums": sums.tolist()}
            assert conn.execute(text(as_arrays), stored).rowcount == 1
        assert plain(tuple(profile_store.load_labelled(conn, s.NAME, [day]))) == plain(tuple(packed))
