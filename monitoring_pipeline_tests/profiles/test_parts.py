"""Stored parts: read back exactly, old formats and unknown ones, and profiles stored before a part was added."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from monitoring_pipeline.profiles.layout import ColumnLayout, Layout, OutcomeLayout
from monitoring_pipeline.profiles.outcome import OutcomeProfile
from monitoring_pipeline.profiles.parts import PARTS, Part
from monitoring_pipeline.profiles.profile import Profile, merge_profiles
from monitoring_pipeline.windows import Window

OUTCOME = OutcomeLayout("binary", ("0", "1"), ("1",), (0.5,))
LAYOUT = Layout((ColumnLayout("x", "feature", "numerical", (0.0,)),), OUTCOME)
DAY = Window(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC))
OUTCOMES = PARTS["outcomes"]


def outcome() -> OutcomeProfile:
    counts, sums = np.array([[6, 4]]), np.array([[1.5, 3.5]])
    labelled = np.array([[6, 3]]), np.array([[1.5, 2.5]])
    return replace(
        OutcomeProfile.empty(OUTCOME), n_predictions=10, n_labelled=9, n_scored=9, score_counts=counts, score_sums=sums,
        labelled_counts=labelled[0], labelled_sums=labelled[1], positive_counts=np.array([[1, 2]]),
        confusion=np.arange(12).reshape(3, 4), sums=np.array([0.5, 0.25, 0.125, 1.0]),
    )  # fmt: skip


def test_outcomes_read_back() -> None:
    counts, sums = OUTCOMES.flatten(outcome())
    again = OUTCOMES.read(LAYOUT, 2, counts, sums)
    for name in ("n_labelled", "labelled_counts", "positive_counts", "confusion", "labelled_sums", "sums"):
        assert np.array_equal(getattr(again, name), getattr(outcome(), name)), name


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ([[4, 1, 2], [0, 2, 1], [0, 0, 0]], [[4, 1, 2, 0], [0, 2, 1, 0], [0, 0, 0, 0]]),
        ([[0, 0, 5], [0, 0, 3], [0, 0, 1]], [[0, 0, 0, 5], [0, 0, 0, 3], [0, 0, 0, 1]]),
    ],
    ids=["unknown classes", "only scores were logged"],
)
def test_outcomes_of_format_1(old: list, new: list) -> None:
    counts = np.array([10, 9, 9, 0, 6, 4, 6, 3, 1, 2, *np.ravel(old)])
    assert OUTCOMES.read(LAYOUT, 1, counts, np.zeros(8)).confusion.tolist() == new


@pytest.mark.parametrize("number", [0, 3])
def test_an_unknown_format_says_what_to_do(number: int) -> None:
    with pytest.raises(ValueError, match=f"format {number}.*upgrade"):
        OUTCOMES.read(LAYOUT, number, np.zeros(0, np.int64), np.zeros(0))


def test_arrays_that_do_not_fit_the_layout_are_refused() -> None:
    counts, sums = OUTCOMES.flatten(outcome())
    counts = np.append(counts, 1)
    with pytest.raises(ValueError, match="values where the layout has"):
        OUTCOMES.read(LAYOUT, 2, counts, sums)


def test_a_part_added_later_leaves_older_profiles_readable(monkeypatch: pytest.MonkeyPatch) -> None:
    made_up: Part[int] = Part(
        "made_up", 1, lambda layout: True, sum, lambda n: (np.array([n]), np.zeros(0)), lambda *a: int(a[2][0])
    )
    monkeypatch.setitem(PARTS, "made_up", made_up)
    old = Profile(DAY, "1", "*", LAYOUT.layout_id, 10, ())
    day = timedelta(days=1)
    new = [replace(old, window=Window(DAY.start + day * i, DAY.end + day * i), parts={"made_up": i}) for i in (1, 2)]
    assert merge_profiles(new).parts == {"made_up": 3}
    merged = merge_profiles([old, *new])
    assert merged.n_rows == 30
    assert merged.parts == {}, "what one of them lacks, the whole cannot have"


def test_layouts_without_scales_keep_their_id() -> None:
    assert "format" not in LAYOUT.to_json()
    assert LAYOUT.layout_id == Layout.from_json(LAYOUT.to_json()).layout_id
    scaled = replace(LAYOUT, scales=(("x", 0.5, 2.0),))
    assert scaled.to_json()["format"] == scaled.format == 2
    assert Layout.from_json(scaled.to_json()) == scaled
    assert scaled.layout_id != LAYOUT.layout_id
    with pytest.raises(ValueError, match="format 3"):
        Layout.from_json(scaled.to_json() | {"format": 3})
