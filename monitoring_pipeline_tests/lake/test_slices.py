"""How many time slices of a reference are kept: bounded by the memory of their profiles."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from monitoring_pipeline.lake.reference import LEAST_SLICES, MAX_SLICES, SLICE_BYTES, ReferenceVersion, most_slices
from monitoring_pipeline.lake.scan import ReferenceRows
from monitoring_pipeline.profiles.layout import ColumnLayout, Layout, OutcomeLayout


def layout(features: int, scaled: int) -> Layout:
    edges = tuple(float(i) for i in range(20))
    columns = tuple(ColumnLayout(f"x{i}", "feature", "numerical", edges=edges) for i in range(features))
    scales = tuple((f"x{i}", 0.0, 1.0) for i in range(scaled))
    return Layout(columns, OutcomeLayout("binary", ("0", "1")), scales)


@pytest.mark.parametrize("features", [28, 200, 400, 5000])
def test_profiles_of_all_slices_fit(features: int) -> None:
    scaled = min(features, 200)
    kept = most_slices(layout(features, scaled))
    assert LEAST_SLICES <= kept <= MAX_SLICES
    if kept > LEAST_SLICES:
        assert kept * 8 * (scaled**2 + 21 * features) <= SLICE_BYTES


def test_a_usual_reference_keeps_the_most_and_a_wide_one_fewer() -> None:
    assert most_slices(layout(28, 21)) == MAX_SLICES
    assert most_slices(layout(400, 200)) < 200


def test_only_the_newest_slices_are_told_apart() -> None:
    newest, rows = datetime(2024, 3, 10, 12), ReferenceRows(("a",))
    sliced = ReferenceVersion(rows, newest).in_slices("hour", 5)
    assert sliced == replace(rows, sliced_after=newest - timedelta(hours=5))
    assert ReferenceVersion(rows, None).in_slices("hour", 5) == rows
