"""The log of the retrained model: every flight is answered by the version of its time, and nothing else changes."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from monitoring_pipeline.cli.demo_backtest import policy_file
from monitoring_pipeline.demo.flights import BOOLEAN, CATEGORICAL, FEATURES
from monitoring_pipeline.demo.retrained import (
    MonthCompared,
    Served,
    as_fitted,
    by_month,
    evaluation_days,
    forget,
    retrained_data,
    static_data,
    write_until,
)
from monitoring_pipeline.demo.retraining import train_with_history
from monitoring_pipeline.demo.retraining_report import Retraining, RetrainingReport, render
from monitoring_pipeline.monitors.loading import load_monitor
from monitoring_pipeline.monitors.policy import RETRAIN_PARTS, with_policy
from monitoring_pipeline.resources import data_dir
from monitoring_pipeline.retraining import TrainingSet, TrainRequest
from monitoring_pipeline.warehouse.backtest_store import Replayed

from .conftest import Demo

START, SWAP = date(2013, 4, 1), datetime(2013, 4, 8, tzinfo=UTC)


def by_distance(rows: pd.DataFrame) -> pd.DataFrame:
    score = (rows["distance"] / 5000).clip(0, 1)
    return pd.DataFrame({"prediction": (score > 0.3).astype(float), "score": score}, index=rows.index)


def read(directory: Path) -> pd.DataFrame:
    files = sorted((directory / "predictions").glob("date=*/*.parquet"))
    return pd.concat([pd.read_parquet(path, partitioning=None) for path in files], ignore_index=True)


@pytest.fixture
def written(demo: Demo) -> Demo:
    forget(demo.home)
    first, swapped = Served(SWAP - timedelta(days=7), "", None), Served(SWAP, "r1", by_distance)
    assert write_until(demo.home, SWAP.date(), [first]) == 7
    assert write_until(demo.home, date(2013, 4, 15), [first, swapped]) == 7
    assert write_until(demo.home, date(2013, 4, 15), [first, swapped]) == 0, "what is written stays"
    return demo


def test_each_row_is_answered_by_the_version_of_its_time(written: Demo) -> None:
    now, was = read(retrained_data(written.home)), read(static_data(written.home))
    was = was[was["event_time"] < "2013-04-15"].iloc[: len(now)]
    old = (now["event_time"] < SWAP).to_numpy()
    pd.testing.assert_frame_equal(now[old], was[old])
    assert set(now[~old]["model_version"]) == {"r1"} and set(now[old]["model_version"]) == {"2013-q1"}
    np.testing.assert_allclose(now[~old]["score"], now[~old]["distance"] / 5000)
    untouched = [c for c in now if c not in ("model_version", "prediction", "score")]
    pd.testing.assert_frame_equal(now[untouched], was[untouched])
    days = {path.parent.name for path in (retrained_data(written.home) / "ground_truth").glob("date=*/*.parquet")}
    assert max(days) == "date=2013-04-14", "labels arrive when they arrive"


def test_months_are_compared_on_the_same_flights(written: Demo, flights: pd.DataFrame) -> None:
    (april,) = by_month(written.home)
    truth = flights.set_index("prediction_id")["late15"]
    log = read(retrained_data(written.home)).dropna(subset=["prediction_id"]).drop_duplicates("prediction_id")
    known = log.assign(late=truth.reindex(log["prediction_id"]).to_numpy()).dropna(subset=["late"])
    assert april.n == pytest.approx(len(known), rel=0.002) and april.static > 0.6
    assert april.retrained == pytest.approx(roc_auc_score(known["late"], known["score"]), abs=0.005)


@pytest.mark.slow
def test_the_trainer_starts_from_the_first_quarter(demo: Demo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MONITORING_HOME", str(demo.home))
    rows = as_fitted(demo.reference("late15").head(600))
    features = rows[list(FEATURES)]
    given = TrainingSet(features, rows["late15"], rows["event_time"], (), tuple(CATEGORICAL), tuple(BOOLEAN))
    made = train_with_history(given, TrainRequest("late15_retrained", "binary", 0, "roc_auc"))
    later = as_fitted(demo.reference("late15").tail(3000))
    score = made.model.predict_proba(later[list(FEATURES)])[:, 1]
    assert roc_auc_score(later["late15"], score) > 0.7, "600 rows alone do not get there"
    assert made.threshold is not None and 0 < made.threshold < 1


def test_every_two_weeks_and_the_last_day() -> None:
    assert evaluation_days(START, date(2013, 4, 30)) == [date(2013, 4, 15), date(2013, 4, 29), date(2013, 4, 30)]
    assert evaluation_days(START, date(2013, 4, 15)) == [date(2013, 4, 15)]
    assert evaluation_days(START, date(2013, 4, 3)) == [date(2013, 4, 3)]


def test_the_report_says_what_was_gained_and_lost() -> None:
    months = [MonthCompared(date(2013, 4, 1), 0.7, 0.72, 100), MonthCompared(date(2013, 5, 1), 0.75, 0.745, 90)]
    one = Retraining(date(2013, 4, 29), "new_labels", "Retrain: enough labels.", "2013-04-29-1", "promoted", "It won.")
    assert render(RetrainingReport("m", 5, [one], 12.4, months)) == (
        "m: the policy was asked 5 times; 1 retrainings, 1 promoted, 12 s of training\n"
        "  2013-04-29  2013-04-29-1 promoted (new_labels)\n"
        "    Retrain: enough labels.\n"
        "    It won.\n"
        "  roc_auc by month, the same flights: static, retrained, difference\n"
        "    2013-04  0.700  0.720  +0.020       100 outcomes\n"
        "    2013-05  0.750  0.745  -0.005        90 outcomes\n"
        "    mean difference +0.0075; worst month 0.700 static, 0.720 retrained; worse in 2013-05"
    )
    assert "no outcomes yet" in render(RetrainingReport("m", 0, [], 0.0, []))


def test_the_report_says_in_a_sentence_what_another_policy_would_have_done() -> None:
    found = Replayed("other.yaml", SWAP, "roc_auc", 2, 1, 0.73056, 0.73012, -0.00044, -0.0024)
    said = render(RetrainingReport("m", 5, [], 0.0, [], found)).split("no outcomes yet\n")[1]
    assert " ".join(said.split()) == (
        "backtest of other.yaml: 2 retrainings (1 promoted) instead of 0; mean monthly roc_auc 0.7301 instead of 0.7306"
        " (-0.0004), the month that gained least -0.0024"
    )
    undefined = replace(found, gain=None, mean_happened=None, mean_replayed=None, least_gain=None)
    assert render(RetrainingReport("m", 5, [], 0.0, [], undefined)).endswith("2 retrainings (1 promoted) instead of 0")


def test_the_policy_that_is_replayed_is_the_shipped_one_but_for_its_cooldown() -> None:
    shipped = load_monitor(data_dir("monitors") / "late15_retrained.yaml")
    other = with_policy(shipped, policy_file(), RETRAIN_PARTS)
    assert (shipped.retrain.cooldown, other.retrain.cooldown) == (timedelta(days=28), timedelta(days=112))
    assert other == shipped.model_copy(update={"retrain": other.retrain})
    assert other.retrain == shipped.retrain.model_copy(update={"cooldown": timedelta(days=112)})


@pytest.mark.parametrize("name", ["late15", "arr_delay", "late15_retrained"])
def test_every_monitor_of_the_demo_merges_weeks_and_months(name: str) -> None:
    assert load_monitor(data_dir("monitors") / f"{name}.yaml").rollups == ("week", "month")
