"""Profiles add up, whatever the order and grouping."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import reduce

import numpy as np
import pytest

from monitoring_pipeline.profiles.column import ColumnProfile, merge_columns
from monitoring_pipeline.profiles.layout import ColumnLayout, OutcomeLayout
from monitoring_pipeline.profiles.moments import Moments
from monitoring_pipeline.profiles.outcome import OutcomeProfile
from monitoring_pipeline.profiles.profile import LabelledProfile, Profile, merge_labelled, merge_profiles
from monitoring_pipeline.windows import Window

X = ColumnLayout("x", "feature", "numerical", edges=(-1.0, 0.0, 1.0))
NOON = datetime(2024, 3, 1, 12, tzinfo=UTC)


def profile_of(values) -> ColumnProfile:
    """By the definitions, with NumPy's own mean and variance."""
    v = np.asarray(values, float)
    counts = np.bincount(np.searchsorted(X.edges, v), minlength=4)
    if not len(v):
        return ColumnProfile(X, 0, 0, 0, 0, 0, counts)
    m2 = float(((v - v.mean()) ** 2).sum())
    return ColumnProfile(X, len(v), 0, 0, 0, int((v == 0).sum()), counts, v.min(), v.max(), float(v.mean()), m2)


@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_columns_merge_to_the_profile_of_all_their_values(offset):
    rng = np.random.default_rng(0)
    parts = [offset + rng.normal(0, 1, n) for n in (100, 0, 1, 37, 5_000)]
    whole = profile_of(np.concatenate(parts))
    profiles = [profile_of(p) for p in parts]
    for merged in (merge_columns(profiles), merge_columns(profiles[::-1]), reduce(ColumnProfile.merge, profiles)):
        assert (merged.n, merged.n_zero, merged.counts.tolist()) == (whole.n, whole.n_zero, whole.counts.tolist())
        assert (merged.minimum, merged.maximum) == (whole.minimum, whole.maximum)
        np.testing.assert_allclose((merged.mean, merged.m2), (whole.mean, whole.m2), rtol=1e-12)


def test_nothing_merges_to_nothing():
    merged = merge_columns([profile_of([]), profile_of([])])
    assert (merged.n, merged.mean, merged.m2, merged.minimum, merged.maximum) == (0, 0.0, 0.0, np.inf, -np.inf)


def test_moments_merge_run_by_run():
    rng = np.random.default_rng(1)
    values = [rng.normal(5, 2, n) for n in (3, 4, 1, 6)]
    n, mean, m2 = (np.array(a) for a in zip(*((len(v), v.mean(), v.var() * len(v)) for v in values), strict=True))
    merged = Moments(n, mean, m2).merged(np.array([0, 2]))
    for i, run in enumerate((values[:2], values[2:])):
        together = np.concatenate(run)
        np.testing.assert_allclose(merged.mean[i], together.mean(), rtol=1e-13)
        np.testing.assert_allclose(merged.m2[i], together.var() * len(together), rtol=1e-13)


def test_different_bins_do_not_add_up():
    other = replace(profile_of([1.0]), layout=ColumnLayout("x", "feature", "numerical", edges=(-1.0, 0.0, 2.0)))
    with pytest.raises(ValueError, match="different bins"):
        merge_columns([profile_of([1.0]), other])


def hours(n: int) -> list[Window]:
    return [Window(NOON + timedelta(hours=i), NOON + timedelta(hours=i + 1)) for i in range(n)]


def test_profiles_cover_the_hull_of_their_windows():
    first, second, third = hours(3)
    parts = [Profile(w, "1", "*", "l", 2, (profile_of([0.5, 2.0]),)) for w in (third, first, second)]
    merged = merge_profiles(iter(parts))
    assert (merged.window, merged.n_rows) == (Window(first.start, third.end), 6)
    assert merged.column("x").counts.tolist() == [0, 0, 3, 3]


@pytest.mark.parametrize("change", [{"model_version": "2"}, {"segment": "a=1"}, {"layout_id": "other"}])
def test_profiles_of_other_things_do_not_add_up(change):
    profile = Profile(hours(1)[0], "1", "*", "l", 1, (profile_of([1.0]),))
    with pytest.raises(ValueError, match="add up"):
        merge_profiles([profile, replace(profile, **change)])


def test_no_profiles_is_an_error():
    with pytest.raises(ValueError, match="no profiles"):
        merge_profiles([])


def test_labelled_profiles_add_up_and_take_the_latest_batch():
    layout = OutcomeLayout("regression", error_edges=(0.0,), centre=1.0)
    empty = OutcomeProfile.empty(layout)
    parts = []
    for i, window in enumerate(hours(3)):
        outcome = replace(
            empty, n_predictions=3, n_labelled=i, error_counts=np.array([i, 1]), sums=np.full(12, 0.5 * i)
        )
        parts.append(LabelledProfile(window, "1", "*", "l", (4, 9, 2)[i], outcome, profile_of([float(i)])))
    for order in itertools.permutations(parts):
        merged = merge_labelled(order)
        assert (merged.batch, merged.outcome.n_predictions, merged.outcome.n_labelled) == (9, 9, 3)
        assert merged.outcome.error_counts.tolist() == [3, 3]
        assert merged.outcome.sums.tolist() == [1.5] * 12
        assert merged.target is not None
        assert merged.target.counts.tolist() == [0, 1, 1, 1]
