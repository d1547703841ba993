"""What a challenger is trained on, and that nothing of it was unknown at the cut."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from monitoring_pipeline.errors import RetrainError, SourceError
from monitoring_pipeline.retraining.training_set import labelled_rows, mature_windows, training_rows
from monitoring_pipeline.settings import Settings
from monitoring_pipeline.warehouse.database import Warehouse
from monitoring_pipeline_tests.toy import START, Toy

from .shop import RETRAIN, Shop, at, flipped, same


@pytest.fixture
def shop(warehouse: Warehouse, settings: Settings, tmp_path: Path) -> Shop:
    return Shop(warehouse, settings, Toy(tmp_path))


def test_rows_are_those_the_toy_wrote_with_their_outcomes(shop: Shop) -> None:
    shop.open(range(5))
    rows = labelled_rows(shop.ctx, at(1), at(3), at(20))
    written = pd.concat([shop.toy.rows(day, shop.n_rows) for day in (1, 2)]).sort_values(["at", "id"])
    assert rows["prediction_id"].tolist() == written["id"].tolist()
    assert rows["outcome"].tolist() == written["y"].tolist()
    assert rows["prediction"].tolist() == written["predicted"].tolist()
    np.testing.assert_array_equal(rows["score"], written["score"])
    np.testing.assert_array_equal(rows["x"], written["x"])
    assert rows["channel"].tolist() == written["channel"].tolist()
    assert rows["returning"].tolist() == written["returning"].astype(float).tolist()
    assert (rows["label_time"] - rows["event_time"] == timedelta(hours=20)).all()


def test_no_planted_label_of_the_future_enters(shop: Shop) -> None:
    """Late first labels, corrections and whole later days are there; the set is as if they were not."""
    shop.open(range(8))
    before = training_rows(shop.ctx, shop.attempt(6.0))
    cut = at(6.0)
    third, last = shop.toy.rows(3, shop.n_rows), shop.toy.rows(5, shop.n_rows)
    shop.write_labels("corrected", third, cut, flipped(third["y"]))  # known at the cut itself: too late
    shop.write_labels("later", third, cut + timedelta(days=3), flipped(third["y"]))
    shop.write_labels("leak", last, cut + timedelta(microseconds=1), flipped(last["y"]))
    shop.take_in(range(8))
    after = training_rows(shop.ctx, shop.attempt(6.0, name="again", trigger="manual"))
    assert (after.fitted["label_time"].dropna() < cut).all() and (after.fitted["event_time"] < cut).all()
    assert same(before.fitted, after.fitted) and before.data_version == after.data_version
    everything = labelled_rows(shop.ctx, at(0), at(30), at(30))
    moved = everything[everything["prediction_id"].isin(third["id"])]
    assert moved["outcome"].tolist() == flipped(third.sort_values(["at", "id"])["y"]).tolist()


def test_a_correction_that_was_known_counts(shop: Shop) -> None:
    shop.open(range(8))
    third = shop.toy.rows(3, shop.n_rows)
    shop.write_labels("corrected", third, at(5.9), flipped(third["y"]))
    shop.take_in(range(8))
    rows = labelled_rows(shop.ctx, at(3), at(4), at(6))
    assert rows["outcome"].tolist() == flipped(third.sort_values(["at", "id"])["y"]).tolist()
    assert len(labelled_rows(shop.ctx, at(3), at(4), at(5.9))) == shop.n_rows
    assert labelled_rows(shop.ctx, at(3), at(4), at(5.9))["label_batch"].max() == 1


def test_rows_after_the_cut_may_be_in_any_order_and_say_anything(shop: Shop) -> None:
    shop.open(range(8))
    before = training_rows(shop.ctx, shop.attempt(6.0))
    rng = np.random.default_rng(3)
    for day in (6, 7):
        rows = shop.toy.rows(day, shop.n_rows)
        shuffled = rows.assign(x=rng.permutation(rows["x"]) + 100, channel="new", y=flipped(rows["y"]))
        shop.toy.write_log(shuffled.sample(frac=1, random_state=1), f"day-{day:03d}")
        shop.toy.write_labels(shuffled, f"day-{day:03d}")
    shop.take_in(range(8))
    after = training_rows(shop.ctx, shop.attempt(6.0, name="again"))
    assert same(before.fitted, after.fitted) and before.data_version == after.data_version


def test_labels_without_a_time_count_once_their_window_is_old(shop: Shop) -> None:
    truth = {"path": "../truth/*.parquet", "outcome": "y"}
    shop.open(range(6), ground_truth=truth)
    assert labelled_rows(shop.ctx, at(0), at(6), at(5))["event_time"].max() < at(3)
    assert len(labelled_rows(shop.ctx, at(0), at(6), at(5))) == 3 * shop.n_rows


def test_a_young_window_is_mature_by_the_labels_known_then(shop: Shop) -> None:
    """Day 4 ends at 5.0 and its last label is known 20 hours later; the window passes max_delay at 7.0."""
    shop.open(range(6))
    days = [len(mature_windows(shop.ctx, at(moment))) for moment in (5.0, 5.4, 5.9, 7.0)]
    assert days == [4, 4, 5, 6]


def test_ranges_of_each_kind_of_window(shop: Shop) -> None:
    shop.open(range(12), reference_days=4)

    def range_of(trigger: str = "new_labels", evidence: str = "{}", **training: object) -> tuple[object, ...]:
        shop.monitor = shop.toy.declare(retrain=RETRAIN | {"train_on": "3d", "training": training})
        made = training_rows(
            shop.ctx, shop.attempt(12.0, trigger, evidence, name=f"v{trigger}{len(training)}{training}")
        )
        assert made.fitted["event_time"].min() >= made.start and made.fitted["event_time"].max() < made.end
        return tuple(round((moment - at(0)) / timedelta(days=1), 6) for moment in (made.start, made.end)), len(
            made.fitted
        )

    n = shop.n_rows
    assert range_of(window="expanding") == ((-4, 9), 13 * n), "mature to day 11, two days kept for the comparison"
    assert range_of(window="sliding") == ((6, 9), 3 * n)
    assert range_of("performance", window="sliding") == ((8, 11), 3 * n), "the newest days hold what changed"
    assert range_of(window="chosen", **{"from": START + timedelta(days=1), "to": START + timedelta(days=4)}) == (
        (1, 4), 3 * n,
    )  # fmt: skip
    evidence = (
        f'{{"incidents": [{{"first_window": "{at(7).isoformat()}"}}, {{"first_window": "{at(9).isoformat()}"}}]}}'
    )
    assert range_of("concept", evidence, window="since_change") == ((7, 11), 4 * n)
    with pytest.raises(RetrainError, match="rests on none"):
        range_of("schedule", window="since_change")


def test_every_fifth_day_is_held_out(shop: Shop) -> None:
    shop.open(range(4), reference_days=30)
    made = training_rows(shop.ctx, shop.attempt(4.0))
    held, fitted = (set(frame["event_time"].dt.date) for frame in (made.held_out, made.fitted))
    assert len(held) >= 5 and not held & fitted and {day.toordinal() % 5 for day in held} == {0}


def test_a_reference_without_times_is_trained_on_before_the_log(shop: Shop) -> None:
    shop.open(range(5))
    shop.toy.write_reference(shop.toy.rows(START - timedelta(days=3), 33).drop(columns="at"))
    made = training_rows(shop.ctx, shop.attempt(5.0))
    assert made.fitted["event_time"].isna().sum() == 33 and made.fitted["event_time"].isna()[:33].all()
    assert made.start == at(0)


def test_a_feature_may_be_called_outcome(shop: Shop) -> None:
    shop.toy.declared["schema"] = {**shop.toy.declaration()["schema"], "numerical": ["outcome"], "categorical": [],
                                   "boolean": []}  # fmt: skip
    original = shop.toy.rows
    shop.toy.rows = lambda *a, **k: original(*a, **k).rename(columns={"x": "outcome"})  # type: ignore[method-assign]
    shop.open(range(4))
    made = training_rows(shop.ctx, shop.attempt(4.0, "performance")).training_set
    assert list(made.features) == ["outcome"] and set(made.outcome) == {0, 1}
    assert not set(made.features["outcome"].dropna()) & {0.0, 1.0}


def test_nothing_to_train_on_is_said(shop: Shop) -> None:
    shop.open(range(3))
    with pytest.raises(RetrainError, match=r"no window is mature at 2024-03-01 12:00 UTC.*labels\.coverage"):
        training_rows(shop.ctx, shop.attempt(0.5))
    shop.toy.declare(retrain=RETRAIN | {"promote": {"compare_on": "40d"}})
    shop.monitor = shop.toy.declare()
    with pytest.raises(RetrainError, match=r"no labelled row.*promote\.compare_on"):
        training_rows(shop.ctx, shop.attempt(3.0, name="short", trigger="manual"))


def test_a_file_that_is_gone_from_the_lake_is_named(shop: Shop) -> None:
    shop.open(range(3))
    gone = next((shop.settings.home / "lake" / "toy" / "predictions").glob("*01T*/*.parquet"))
    gone.unlink()
    with pytest.raises(SourceError, match=gone.name):
        labelled_rows(shop.ctx, at(0), at(3), at(9))
