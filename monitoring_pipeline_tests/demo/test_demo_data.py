"""What the demo leaves on disk is what a service and a label feed would have left, and always the same."""

from __future__ import annotations

import hashlib
import os
import shutil
from datetime import date, timedelta
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from sklearn.metrics import mean_absolute_error, roc_auc_score

from monitoring_pipeline.demo import building, models, preparation, replay
from monitoring_pipeline.demo.flights import FEATURES
from monitoring_pipeline.demo.retrained import NAME
from monitoring_pipeline.demo.service_model import load_service_model
from monitoring_pipeline.errors import UserError
from monitoring_pipeline.monitors.loading import load_monitors
from monitoring_pipeline.resources import data_dir

from .conftest import Demo

MONITORS = ("late15", "arr_delay")


def digests(home: Path) -> dict[str, str]:
    files = (path for path in (home / "demo" / "data").rglob("*") if path.is_file())
    return {str(path.relative_to(home)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_declared_monitors_are_those_that_are_written() -> None:
    monitors = load_monitors(data_dir("monitors"))
    assert [monitor.name for monitor in monitors] == sorted([*MONITORS, NAME])
    for monitor in monitors:
        assert set(monitor.schema_.features) == set(FEATURES)
        assert monitor.start == models.TRAIN_END.date()
        assert monitor.end == preparation.FULL_END


@pytest.mark.parametrize("name", MONITORS)
def test_the_log_covers_the_period_a_file_a_day(demo: Demo, name: str) -> None:
    days = [path.parent.name.removeprefix("date=") for path in demo.files(name, "predictions")]
    first, n_days = date(2013, 4, 1), 61
    assert days == [str(first + timedelta(days=i)) for i in range(n_days)]
    log = demo.rows(name, "predictions")
    assert log["event_time"].min() >= pd.Timestamp("2013-04-01", tz="UTC")
    assert log["event_time"].max() < pd.Timestamp("2013-06-01", tz="UTC")
    assert set(log["model_version"]) == {models.VERSION}
    outputs = {"prediction", "score"} if name == "late15" else {"prediction"}
    assert set(log.columns) == {"prediction_id", "event_time", "model_version", *FEATURES, *outputs}


def test_every_flight_is_logged_and_the_dirt_is_there(demo: Demo, flights: pd.DataFrame) -> None:
    log = demo.rows("late15", "predictions")
    flown = flights[(flights["event_time"] >= "2013-04-01") & (flights["event_time"] < "2013-06-01")]
    assert not set(log["prediction_id"]) - set(flown["prediction_id"])
    repeated = log["prediction_id"].duplicated()
    assert 0.0005 < repeated.mean() < 0.002
    twice = log[log["prediction_id"].isin(log.loc[repeated, "prediction_id"])]
    assert twice.drop_duplicates().shape[0] == twice["prediction_id"].nunique()  # a retry logs the same row again


def test_retries_lie_inside_a_file_and_across_files(demo: Demo) -> None:
    inside = across = 0
    seen: set[str] = set()
    for path in demo.files("late15", "predictions"):
        ids = pd.read_parquet(path, columns=["prediction_id"], partitioning=None)["prediction_id"]
        inside += int(ids.duplicated().sum())
        across += len(set(ids) & seen)
        seen |= set(ids)
    assert inside > 5
    assert across > 5


def test_a_stuck_spool_writes_its_rows_two_days_later(demo: Demo) -> None:
    path = next(p for p in demo.files("late15", "predictions") if p.parent.name == "date=2013-04-25")
    days = pd.read_parquet(path, partitioning=None)["event_time"].dt.date.value_counts()
    assert days[date(2013, 4, 23)] > 50  # the 23rd day of the replay
    late = demo.rows("late15", "predictions")
    evening = late[(late["event_time"] >= "2013-04-23 21:00") & (late["event_time"] < "2013-04-24")]
    own = next(p for p in demo.files("late15", "predictions") if p.parent.name == "date=2013-04-23")
    assert not set(evening["prediction_id"]) & set(pd.read_parquet(own, partitioning=None)["prediction_id"])


@pytest.mark.parametrize("name", MONITORS)
def test_outcomes_arrive_by_day_and_the_last_one_is_the_true_one(demo: Demo, flights: pd.DataFrame, name: str) -> None:
    labels = demo.rows(name, "ground_truth").sort_values("label_time", kind="stable")
    for path in demo.files(name, "ground_truth")[:3]:
        arrived = pd.read_parquet(path, partitioning=None)["label_time"].dt.date
        assert set(arrived.astype(str)) == {path.parent.name.removeprefix("date=")}
    foreign = labels["prediction_id"].str.startswith("X-")
    assert 0 < foreign.mean() < 0.002
    own = labels[~foreign]
    corrected = own["prediction_id"].duplicated()
    assert 0.0005 < corrected.mean() < 0.004
    last = own.drop_duplicates("prediction_id", keep="last").set_index("prediction_id")[name]
    truth = flights.set_index("prediction_id")[name].loc[last.index]
    settled = last.index[: len(last) - 2000]  # a correction of the last day is not there yet
    assert (last[settled] == truth[settled]).all()


def test_outcomes_come_after_their_predictions(demo: Demo) -> None:
    log = demo.rows("late15", "predictions").drop_duplicates("prediction_id").set_index("prediction_id")
    labels = demo.rows("late15", "ground_truth").set_index("prediction_id")
    joined = labels.join(log["event_time"], how="inner")
    assert len(joined) > 50_000
    assert (joined["label_time"] > joined["event_time"]).all()


def test_the_reference_was_not_fitted_on(demo: Demo, flights: pd.DataFrame) -> None:
    fitted = models.training_rows(flights)
    for name, card in zip(MONITORS, demo.prepared.cards, strict=True):
        reference = demo.reference(name)
        assert not set(reference["prediction_id"]) & set(fitted["prediction_id"])
        assert not set(reference["event_time"].dt.date) & set(fitted["event_time"].dt.date)  # whole days
        assert reference["event_time"].max() < pd.Timestamp("2013-04-01", tz="UTC")
        assert reference[name].notna().all()
        assert (len(reference), len(fitted)) == (card.n_reference, card.n_fitted)
        assert set(reference["event_time"].dt.weekday) == set(range(7))


def test_the_models_are_as_good_as_they_are_known_to_be(demo: Demo, flights: pd.DataFrame) -> None:
    truth = flights.dropna(subset=["label_time"]).set_index("prediction_id")
    log = demo.rows("late15", "predictions").drop_duplicates("prediction_id").set_index("prediction_id")
    joined = log[["score", "prediction", "event_time"]].join(truth["late15"], how="inner")
    for _, month in joined.groupby(joined["event_time"].dt.month):
        assert 0.67 < roc_auc_score(month["late15"], month["score"]) < 0.78
    reference = demo.reference("late15")
    assert 0.71 < roc_auc_score(reference["late15"], reference["score"]) < 0.75
    assert reference["prediction"].mean() == pytest.approx(reference["late15"].mean(), abs=0.05)
    delays = demo.reference("arr_delay")
    assert 20 < mean_absolute_error(delays["arr_delay"], delays["prediction"]) < 25


def test_the_cards_hold_what_is_recorded_of_a_version(demo: Demo) -> None:
    late15, arr_delay = demo.prepared.cards
    reference = demo.reference("late15")
    assert late15.training_metrics["roc_auc"] == pytest.approx(roc_auc_score(reference["late15"], reference["score"]))
    assert (late15.role, late15.model_version, late15.monitor) == ("champion", "2013-q1", "late15")
    assert late15.train_end == models.TRAIN_END
    for card in (late15, arr_delay):
        assert hashlib.sha256(Path(card.artifact_uri).read_bytes()).hexdigest() == card.artifact_sha256


def test_the_marker_is_read_back_as_it_was_written(demo: Demo) -> None:
    assert preparation.read_prepared(demo.home, fast=True) == demo.prepared
    assert preparation.read_prepared(demo.home) is None  # the short replay is no full one


def test_a_file_that_went_missing_is_noticed(demo: Demo, tmp_path: Path) -> None:
    shutil.copytree(demo.home / "demo", tmp_path / "demo")
    assert preparation.read_prepared(tmp_path, fast=True) is not None
    next((tmp_path / "demo" / "data").rglob("*.parquet")).unlink()
    assert preparation.read_prepared(tmp_path, fast=True) is None


@pytest.mark.slow
def test_prepared_elsewhere_by_one_thread_the_bytes_are_the_same(
    demo: Demo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    preparation.prepare(tmp_path, fast=True)
    assert digests(tmp_path) == digests(demo.home)


def test_a_file_that_holds_its_bytes_already_keeps_its_time(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.parquet"
    replay._write(pa.table({"x": [1, 2]}), path)
    os.utime(path, (1, 1))
    replay._write(pa.table({"x": [1, 2]}), path)
    assert path.stat().st_mtime == 1
    replay._write(pa.table({"x": [1, 3]}), path)
    assert path.stat().st_mtime > 1
    assert [p.name for p in path.parent.iterdir()] == ["b.parquet"]


def test_files_of_an_earlier_version_are_removed(tmp_path: Path) -> None:
    kept, stray = tmp_path / "a" / "kept.parquet", tmp_path / "a" / "stray.parquet"
    kept.parent.mkdir()
    kept.touch()
    stray.touch()
    building._remove_others(tmp_path, {kept})
    assert [p.name for p in kept.parent.iterdir()] == ["kept.parquet"]


@pytest.mark.parametrize("name", MONITORS)
def test_the_service_answers_as_the_log_says(demo: Demo, name: models.Name) -> None:
    service = load_service_model(demo.home, name)
    logged = pd.read_parquet(demo.files(name, "predictions")[0], partitioning=None).head(20)
    requests = logged[list(service.features)].astype("object").where(logged[list(service.features)].notna(), None)
    answers = service.predict(requests.to_dict("records"))
    assert [answer.prediction for answer in answers] == logged["prediction"].tolist()
    assert [answer.score for answer in answers] == (logged["score"].tolist() if name == "late15" else [None] * 20)
    steps = dict(service.pipeline.named_steps["prepare"].named_transformers_)
    assert steps["numerical"].statistics_.shape == (18,)  # the imputer is in the pipeline


def test_the_service_takes_what_is_missing_and_unknown(demo: Demo) -> None:
    service = load_service_model(demo.home)
    alone, unknown = service.predict([{}, {"carrier": "??", "dest": None, "congestion_delay": 300.0}])
    assert alone.score is not None and 0 < alone.score < 1
    assert unknown.score is not None and unknown.score > alone.score
    with pytest.raises(ValueError, match="is not a number"):
        service.predict([{"distance": "far"}])


def test_a_changed_artifact_is_not_loaded(demo: Demo, tmp_path: Path) -> None:
    card = demo.prepared.cards[0]
    changed = tmp_path / "model.joblib"
    changed.write_bytes(Path(card.artifact_uri).read_bytes() + b" ")
    with pytest.raises(UserError, match="the file was changed and is not loaded"):
        models.load(changed, card.artifact_sha256)
    with pytest.raises(UserError, match="cannot be read"):
        models.load(tmp_path / "none", card.artifact_sha256)


def test_a_demo_that_was_never_prepared(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="run `monitoring-pipeline demo` first"):
        load_service_model(tmp_path)
