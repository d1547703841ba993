"""Labelled rows and two models' answers as paired arrays, for each task."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

from monitoring_pipeline.retraining import judged_rows
from monitoring_pipeline.retraining.comparison import PairedRows
from monitoring_pipeline.retraining.comparison.paired import difference_in
from monitoring_pipeline.retraining.judged_rows import paired
from monitoring_pipeline_tests.toy import CLASSES, Task, Toy


def labelled(toy: Toy, days: int = 3) -> pd.DataFrame:
    """Rows of some days, under the columns of labelled rows."""
    rows = pd.concat([toy.rows(day, 60) for day in range(days)], ignore_index=True)
    names = {"y": "outcome", "predicted": "prediction", "at": "event_time"} | {f"p_{c}": f"score[{c}]" for c in CLASSES}
    frame = rows.rename(columns=names).assign(event_time=rows["at"].dt.tz_localize("UTC"))
    return frame.assign(returning=frame["returning"].astype(float))


def answers(frame: pd.DataFrame) -> pd.DataFrame:
    said = [c for c in frame if c in ("prediction", "score") or c.startswith("score[")]
    return frame[said]


def shuffled(frame: pd.DataFrame) -> pd.DataFrame:
    """Of the same rows, another model's answers: those of other rows."""
    return answers(frame).sample(frac=1, random_state=0).set_axis(frame.index)


def rows_of(tmp_path: Path, task: Task) -> tuple[pd.DataFrame, pd.DataFrame, PairedRows]:
    toy = Toy(tmp_path, task)
    monitor = toy.declare(segments=["region", ["region", "returning"], "x"])
    frame = labelled(toy)
    other = shuffled(frame)
    return frame, other, paired(monitor, frame, answers(frame), other)


def values(metric: str, rows: PairedRows) -> tuple[float, float]:
    found = difference_in(metric, rows, 0.95)
    return found.champion, found.challenger


def test_binary(tmp_path: Path) -> None:
    frame, other, rows = rows_of(tmp_path, "binary")
    expected = [metrics.roc_auc_score(frame["outcome"], one["score"]) for one in (frame, other)]
    assert values("roc_auc", rows) == pytest.approx(expected)
    assert values("f1", rows) == pytest.approx(
        [metrics.f1_score(frame["outcome"], o["prediction"]) for o in (frame, other)]
    )
    assert rows.n_days == 3 and np.bincount(rows.day).tolist() == [60, 60, 60]


def test_segments_are_those_of_the_profiles(tmp_path: Path) -> None:
    frame, _, rows = rows_of(tmp_path, "binary")
    assert set(rows.segments) == {"region", "region,returning"}  # a number makes no segment here
    assert set(rows.segments["region"]) == {"region=north", "region=south"}
    both = rows.segments["region,returning"]
    assert both[0] == f"region={frame['region'][0]},returning={'true' if frame['returning'][0] else 'false'}"


def test_groups_are_those_of_the_fairness_guard(tmp_path: Path) -> None:
    toy = Toy(tmp_path, "binary")
    fairness = {"columns": ["returning", "branch"], "metric": "selection_rate", "margin": 0.1}
    monitor = toy.declare(segments=["branch"], retrain={"promote": {"fairness": fairness}})
    frame = labelled(toy).assign(branch=["east", None, "west"] * 60)
    rows = paired(monitor, frame, answers(frame), answers(frame))
    assert rows.groups["branch"].tolist() == ["branch=east", "branch=\u2205", "branch=west"] * 60
    flags = frame["returning"].map({1.0: "true", 0.0: "false"}).fillna("\u2205")
    assert rows.groups["returning"].tolist() == [f"returning={one}" for one in flags]


def test_of_many_segments_the_largest_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judged_rows, "MOST_SEGMENTS", 1)
    frame, _, rows = rows_of(tmp_path, "binary")
    largest = frame["region"].value_counts().index[0]
    assert set(rows.segments["region"]) == {f"region={largest}", ""}


def test_regression(tmp_path: Path) -> None:
    frame, other, rows = rows_of(tmp_path, "regression")
    expected = [metrics.mean_absolute_error(frame["outcome"], one["prediction"]) for one in (frame, other)]
    assert values("mae", rows) == pytest.approx(expected)


def test_several_classes(tmp_path: Path) -> None:
    frame, other, rows = rows_of(tmp_path, "multiclass")
    assert rows.classes == CLASSES
    expected = [metrics.f1_score(frame["outcome"], one["prediction"], average="macro") for one in (frame, other)]
    assert values("f1_macro", rows) == pytest.approx(expected)
    scores = [one[[f"score[{c}]" for c in CLASSES]].to_numpy() for one in (frame, other)]
    assert values("log_loss", rows) == pytest.approx(
        [metrics.log_loss(frame["outcome"], s, labels=list(CLASSES)) for s in scores]
    )


def test_a_class_that_nobody_declared_is_scored_zero(tmp_path: Path) -> None:
    toy = Toy(tmp_path, "multiclass")
    monitor, frame = toy.declare(), labelled(toy)
    frame.loc[0, "outcome"] = "newt"
    rows = paired(monitor, frame, answers(frame), shuffled(frame))
    assert rows.classes == (*CLASSES, "newt") and rows.outcome[0] == 3
    assert rows.champion.scores is not None and rows.champion.scores[0, 3] == 0
    assert values("accuracy", rows)[0] == metrics.accuracy_score(frame["outcome"], frame["prediction"])
