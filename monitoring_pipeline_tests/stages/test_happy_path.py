"""A range of days goes in; what comes out is held against figures counted from the raw rows."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

from monitoring_pipeline_tests import toy
from monitoring_pipeline_tests.front_door import FrontDoor
from monitoring_pipeline_tests.toy import Task, Toy

DAYS = 5


def performance(door: FrontDoor, day: int, metric: str, segment: str = "*") -> pd.Series:
    found = door.query(
        "select * from monitoring.performance_current"
        " where window_start = :w and kind = 'realized' and metric = :metric and segment = :segment",
        w=toy.day(day).start,
        metric=metric,
        segment=segment,
    )
    assert len(found) == 1, f"{metric} of {segment}: {len(found)} rows"
    return found.iloc[0]


def psi(reference: np.ndarray, current: np.ndarray, edges: np.ndarray) -> float:
    """PSI over (-inf, e0], (e0, e1] … (ek, inf) of what is not missing; an empty bin has a share of 1e-4."""
    bounds = np.concatenate(([-np.inf], edges, [np.inf]))
    shares = []
    for values in (reference, current):
        values = values[np.isfinite(values)]
        # The bins are closed above: numpy's are closed below, hence the mirror.
        share = np.histogram(-values, np.sort(-bounds))[0][::-1] / len(values)
        least = share[share > 0].min()
        shares.append(np.where(share == 0, least / 1e6 if least <= 1e-4 else 1e-4, share))
    p, q = shares
    return float(((p - q) * np.log(p / q)).sum())


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_a_range_makes_rows_and_a_second_run_changes_nothing(door: FrontDoor, task: Task) -> None:
    _, monitor = toy.ready(door.base, DAYS, task)
    assert door.run(monitor, 0, DAYS - 1) is None
    first = door.views()

    status = door.query("select * from monitoring.window_status order by window_start")
    assert status["n_rows"].tolist() == [toy.N_ROWS] * DAYS
    assert status["coverage"].tolist() == [1.0] * DAYS
    assert not status["stale"].any() and status["last_error"].isna().all()
    per_window = "select count(distinct window_start) from monitoring.{}"
    for view in ("drift_current", "quality_current", "performance_current"):
        assert door.query(per_window.format(view)).iat[0, 0] == DAYS, view

    revisions = "select count(*) from monitoring.measurement where family = '{}'"
    before = {kind: door.query(revisions.format(kind)).iat[0, 0] for kind in ("drift", "quality", "realized")}
    assert door.run(monitor, 0, DAYS - 1) is None
    assert {kind: door.query(revisions.format(kind)).iat[0, 0] for kind in before} == before
    assert door.views() == first


def test_figures_of_a_binary_day_are_those_of_its_rows(door: FrontDoor) -> None:
    it, monitor = toy.ready(door.base, 2)
    assert door.run(monitor, 0, 1) is None
    rows, reference = it.rows(1), it.rows(toy.START - pd.Timedelta(days=10), 1500)

    edges = door.query("select edges from monitoring.layout_column where column_name = 'x'").iat[0, 0]
    drift = door.query(
        "select value, n_reference, n_current from monitoring.drift_current where window_start = :w and segment = '*'"
        " and column_name = 'x' and method = 'psi' and baseline = 'training'",
        w=toy.day(1).start,
    ).iloc[0]
    x = rows["x"].to_numpy()
    assert drift["value"] == pytest.approx(psi(reference["x"].to_numpy(), x, np.array(edges)), abs=1e-12)
    assert drift["n_current"] == np.isfinite(x).sum() and drift["n_reference"] == reference["x"].notna().sum()

    missing = door.query(
        "select value, n from monitoring.quality_current"
        " where window_start = :w and segment = '*' and column_name = 'x' and metric = 'missing_share'",
        w=toy.day(1).start,
    ).iloc[0]
    assert missing["value"] == pytest.approx(rows["x"].isna().mean(), abs=1e-12) and missing["n"] == len(rows)

    y, score, predicted = rows["y"], rows["score"], rows["predicted"]
    assert performance(door, 1, "accuracy")["value"] == pytest.approx((y == predicted).mean(), abs=1e-12)
    assert performance(door, 1, "f1")["value"] == pytest.approx(metrics.f1_score(y, predicted), abs=1e-12)
    auc = performance(door, 1, "roc_auc")
    assert auc["value"] == pytest.approx(metrics.roc_auc_score(y, score), abs=0.02)
    assert auc["ci_low"] < auc["value"] < auc["ci_high"] and auc["mature"] and auc["n_labelled"] == len(rows)
    north = rows[rows["region"] == "north"]
    segment = performance(door, 1, "accuracy", "region=north")
    assert segment["value"] == pytest.approx((north["y"] == north["predicted"]).mean(), abs=1e-12)
    assert segment["n_predictions"] == len(north)


def test_figures_of_a_regression_day_are_those_of_its_rows(door: FrontDoor) -> None:
    it, monitor = toy.ready(door.base, 1, "regression")
    assert door.run(monitor, 0) is None
    rows = it.rows(0)
    y, predicted = rows["y"], rows["predicted"]
    assert performance(door, 0, "mae")["value"] == pytest.approx(metrics.mean_absolute_error(y, predicted), rel=1e-12)
    assert performance(door, 0, "rmse")["value"] == pytest.approx(math.sqrt(metrics.mean_squared_error(y, predicted)))
    assert performance(door, 0, "r2")["value"] == pytest.approx(metrics.r2_score(y, predicted), rel=1e-9)


def test_figures_of_a_multiclass_day_are_those_of_its_rows(door: FrontDoor) -> None:
    it, monitor = toy.ready(door.base, 1, "multiclass")
    assert door.run(monitor, 0) is None
    rows = it.rows(0)
    y, predicted = rows["y"], rows["predicted"]
    assert performance(door, 0, "accuracy")["value"] == pytest.approx((y == predicted).mean(), abs=1e-12)
    macro = performance(door, 0, "f1_macro")["value"]
    assert macro == pytest.approx(metrics.f1_score(y, predicted, average="macro"), abs=1e-12)
    scores = rows[[f"p_{c}" for c in toy.CLASSES]]
    loss = metrics.log_loss(y, scores, labels=list(toy.CLASSES))
    assert performance(door, 0, "log_loss")["value"] == pytest.approx(loss, rel=1e-6)


def test_a_segment_may_be_a_column_that_is_no_feature(door: FrontDoor) -> None:
    rows = Toy(door.base).rows
    made = Toy(door.base, declared={"segments": ["desk"]})
    made.write_reference(rows(-10, 1500).assign(desk=lambda d: np.where(d["amount"] > 8, "big", "small")))
    day = rows(0).assign(desk=lambda d: np.where(d["amount"] > 8, "big", "small"))
    made.write_log(day, "2024-first")
    made.write_labels(day, "2024-first")
    assert door.run(made.declare(), 0) is None
    profiled = door.query("select segment, column_name, n from monitoring.column_profile_current")
    assert set(profiled["segment"]) == {"*", "desk=big", "desk=small"}
    assert "desk" not in set(profiled["column_name"])
    big = profiled[(profiled["segment"] == "desk=big") & (profiled["column_name"] == "x")]
    assert big["n"].tolist() == [(day["desk"] == "big").sum()]
    for view in ("drift_current", "quality_current"):
        measured = door.query(f"select distinct segment, column_name from monitoring.{view}")
        assert "desk=big" in set(measured["segment"]) or view == "quality_current"
        assert "desk" not in set(measured["column_name"]), view
    assert performance(door, 0, "accuracy", "desk=small")["value"] > 0.5
