"""Searches: later rows validate earlier ones, every trial is told, equal seeds find equal parameters."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring_pipeline.errors import RetrainError
from monitoring_pipeline.monitors.retraining import Search
from monitoring_pipeline.retraining.search import Found, Rows, folds_of, search

SPACE = {"a": [0, 1, 2, 3, 4, 5, 6, 7, 8], "b": [0, 1]}


def rows_of(days: int, delay_hours: float = 30, a_day: int = 6, undated: int = 0) -> pd.DataFrame:
    times = pd.Timestamp("2024-01-01", tz="UTC") + pd.to_timedelta(np.arange(days * a_day) / a_day, unit="D")
    frame = pd.DataFrame({"event_time": times, "label_time": times + timedelta(hours=delay_hours)})
    before = pd.DataFrame({"event_time": [pd.NaT] * undated, "label_time": [pd.NaT] * undated}, dtype=times.dtype)
    return pd.concat([before, frame], ignore_index=True) if undated else frame


@given(st.integers(4, 40), st.integers(2, 5), st.floats(0, 100), st.integers(0, 5))
@settings(max_examples=25, deadline=None)
def test_no_fold_is_fitted_on_what_was_not_known(days: int, n: int, delay: float, undated: int) -> None:
    rows = rows_of(days, delay, undated=undated)
    if days <= n:
        with pytest.raises(RetrainError, match=r"more than \d days.*search\.folds"):
            folds_of(rows, n)
        return
    folds = folds_of(rows, n)
    seen: list[int] = []
    for fitted, validated in folds:
        begins = rows["event_time"][validated].min()
        assert begins == begins.floor("D")
        assert not (rows["event_time"][fitted] >= begins).any() and not (rows["label_time"][fitted] >= begins).any()
        assert set(range(undated)) <= set(fitted)
        seen += validated.tolist()
    assert len(folds) == n and seen == list(range(min(seen), len(rows))), "each row validates once, in order"


def tried(declared: Search, fails: Any = lambda p: False) -> tuple[Found, list[tuple[int, int]]]:
    """The best value is at a = 6, b = 1, the more so the more rows."""
    told: list[tuple[int, int]] = []

    def evaluate(parameters: Mapping[str, Any], fitted: Rows, validated: Rows) -> float:
        if fails(parameters):
            raise ValueError(f"no {parameters['a']}")
        assert fitted.max() < validated.min()
        return float(-abs(parameters["a"] - 6) + 0.1 * parameters["b"])

    found = search(declared, rows_of(20), evaluate, True, lambda one: told.append((one.trial, one.rung)))
    return found, told


def test_a_grid_tries_all() -> None:
    found, told = tried(Search(method="grid", space=SPACE, folds=4))
    assert found.parameters == {"a": 6, "b": 1} and len(told) == 18
    assert {one.state for one in found.trials} == {"complete"} and all(len(t.fold_values) == 4 for t in found.trials)
    assert [dict(one.hyperparameters) for one in found.trials[:3]] == [
        {"a": 0, "b": 0},
        {"a": 0, "b": 1},
        {"a": 1, "b": 0},
    ]


def test_a_random_search_is_repeatable_and_tries_nothing_twice() -> None:
    declared = Search(method="random", space=SPACE, trials=7, seed=3)
    one, other = tried(declared)[0], tried(declared)[0]
    assert [t.hyperparameters for t in one.trials] == [t.hyperparameters for t in other.trials]
    assert len({tuple(t.hyperparameters.items()) for t in one.trials}) == 7
    assert tried(Search(method="random", space=SPACE, trials=7, seed=4))[0].trials[0] != one.trials[0]
    assert len(tried(Search(method="random", space={"a": [6], "b": [0, 1]}, trials=7))[0].trials) == 2


def test_halving_gives_more_rows_to_fewer_trials() -> None:
    found, told = tried(Search(method="halving", space=SPACE, trials=9, folds=2))
    assert [len([1 for _, rung in told if rung == at]) for at in range(3)] == [9, 3, 1]
    by_rung = {one.rung: one for one in found.trials}
    assert by_rung[0].n_resources < by_rung[1].n_resources < by_rung[2].n_resources
    assert by_rung[2].n_resources == 14 * 6 - 7, "two thirds of 20 days, without labels of the last 30 hours"
    states = sorted(one.state for one in found.trials)
    assert states == ["complete", *["pruned"] * 8]
    best = max((one for one in found.trials), key=lambda one: -99 if one.value is None else one.value)
    assert best.state == "complete" and found.parameters == best.hyperparameters


def test_a_failed_trial_is_told_and_the_others_go_on() -> None:
    found, _ = tried(Search(method="grid", space=SPACE), fails=lambda p: p["a"] == 6)
    assert found.parameters["a"] in (5, 7)
    failed = [one for one in found.trials if one.state == "failed"]
    assert [one.error for one in failed] == ["ValueError: no 6"] * 2 and failed[0].value is None
    with pytest.raises(RetrainError, match="no trial of the search succeeded; the first failed: ValueError: no 0"):
        tried(Search(method="grid", space=SPACE), fails=lambda p: True)
    with pytest.raises(RetrainError, match="has 1000000 combinations; use method"):
        tried(Search(method="grid", space={"a": list(range(1000)), "b": list(range(1000))}))
