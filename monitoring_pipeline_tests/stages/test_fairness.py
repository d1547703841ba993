"""Groups of protected columns, from the declaration to the incident."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import confusion_matrix

from monitoring_pipeline.errors import SourceError
from monitoring_pipeline.lake.inspection import check_sources
from monitoring_pipeline.stages.context import StageContext
from monitoring_pipeline_tests.stages.story import Story, run
from monitoring_pipeline_tests.toy import START, write

TRUTH = {"path": "../truth/*.parquet", "outcome": "y", "label_time": "known"}
LABEL_FREE = ["groups", "selection_rate", "demographic_parity_difference", "demographic_parity_ratio"]
SCORES = {
    "prediction_id": "id", "event_time": "at", "model_version": "version", "score": "score",
    "numerical": ["x", "amount"], "categorical": ["channel", "region"],
}  # fmt: skip
ODD = "o\"; d'rop"
N = 900


def people(rows: pd.DataFrame, hurt: float = 0.0) -> pd.DataFrame:
    """A column that is no feature: ``a`` and ``b``, a few with quotes in their name, a few without a value. A share of
    those in ``b`` is not selected."""
    rng = np.random.default_rng(len(rows))
    group = rng.choice(np.array(["a", "b", ODD, None], dtype=object), len(rows), p=[0.5, 0.38, 0.02, 0.1])
    lost = (group == "b") & (rng.random(len(rows)) < hurt)
    return rows.assign(tribe=group, predicted=rows["predicted"].mask(lost, 0))


def prepared(story: Story, hurt: float = 0.0, days: int = 2, **changes: Any) -> tuple[StageContext, list[pd.DataFrame]]:
    story.toy.write_reference(
        people(pd.concat([story.toy.rows(START - timedelta(days=n), N) for n in range(8, 0, -1)]))
    )
    rows = [people(story.toy.rows(day, N), hurt) for day in range(days)]
    for day, one in enumerate(rows):
        story.toy.write_log(one[[c for c in one if c not in ("returning", "y")]], f"day-{day}")
    declared = {"protected": ["tribe"], "ground_truth": TRUTH} | changes
    return story.monitor(**declared), rows


def current(story: Story, **where: Any) -> pd.DataFrame:
    found = story.query("select * from monitoring.fairness_current order by window_start, group_name, metric")
    for column, value in where.items():
        found = found[found[column] == value]
    return found


def by_group(rows: pd.DataFrame) -> dict[str, tuple[float, float, float, int]]:
    """Selection rate, true and false positive rate, rows of each group."""
    found = {}
    for name, of in rows.assign(tribe=rows["tribe"].fillna("∅")).groupby("tribe"):
        (tn, fp), (fn, tp) = confusion_matrix(of["y"], of["predicted"], labels=[0, 1])
        found[str(name)] = of["predicted"].mean(), tp / (tp + fn), fp / (fp + tn), len(of)
    return found


def test_parity_of_predictions_comes_first_and_the_rest_with_late_labels(story: Story) -> None:
    stages, rows = prepared(story)
    run(stages, range(2))
    before = current(story)
    assert set(before.loc[before["value"].notna(), "metric"]) <= set(LABEL_FREE)
    assert set(before["group_name"]) == {"a", "b", ODD, "∅", "*"} and set(before["reference_group"]) == {"a"}
    story.toy.write_labels(rows[0], "late")
    run(stages, range(2))
    after = current(story, window_start=story.start(0))
    said = by_group(rows[0])
    value = after.set_index(["group_name", "metric"])["value"]
    for name, (selected, tpr, fpr, n) in said.items():
        assert value[name, "selection_rate"] == pytest.approx(selected, abs=1e-12)
        assert value[name, "true_positive_rate"] == pytest.approx(tpr, abs=1e-12)
        assert value[name, "false_positive_rate"] == pytest.approx(fpr, abs=1e-12)
        assert after.set_index(["group_name", "metric"]).loc[(name, "selection_rate"), "n_group"] == n
    large = {name: one for name, one in said.items() if name != ODD}  # it has fewer than 30 rows
    spread = [max(of) - min(of) for of in list(zip(*large.values(), strict=True))[:3]]
    assert value["*", "demographic_parity_difference"] == pytest.approx(spread[0], abs=1e-12)
    assert value["*", "equalized_odds_difference"] == pytest.approx(max(spread[1:]), abs=1e-12)
    assert value["b", "demographic_parity_difference"] == pytest.approx(said["b"][0] - said["a"][0], abs=1e-12)
    assert current(story, window_start=story.start(1)).equals(before[before["window_start"] == story.start(1)])
    assert after["violated"].isna().all() and after["run_id"].notna().all()
    superseded = story.query("select count(*) as n from monitoring.measurement where family = 'fairness'"
                             " and superseded_at is not null")  # fmt: skip
    assert superseded["n"].tolist() == [5]


def test_a_pinned_threshold_makes_an_incident_that_names_the_group_and_a_fresh_run_agrees(story: Story) -> None:
    pinned = {"fairness": {"demographic_parity_difference": 0.15, "equalized_odds_difference": 0.15}}
    stages, rows = prepared(story, hurt=0.9, thresholds=pinned)
    run(stages, range(2))
    (incident,) = [one for one in story.incidents() if one.kind == "fairness"]
    assert incident.columns == ["tribe"] and incident.change == "unequal treatment"
    assert "demographic_parity_difference of tribe is" in incident.summary and " in b (n " in incident.summary
    violated = current(story, violated=True)
    assert set(violated["metric"]) == {"demographic_parity_difference"}, "the others have no outcomes yet"
    assert set(violated["group_name"]) == {"b", "*"} and set(violated["threshold_source"]) == {"declared"}
    for day, one in enumerate(rows):
        story.toy.write_labels(one, f"late-{day}")
    run(stages, range(2))
    assert set(current(story, violated=True)["metric"]) == set(pinned["fairness"])
    fresh = story.monitor("fresh", protected=["tribe"], ground_truth=TRUTH, thresholds=pinned)
    run(fresh, range(2))
    views = ("fairness_current", "incident_current")
    assert said(story, "fresh", views) == said(story, "toy", views)
    changed = story.query("select count(*) as n from monitoring.computation")["n"].iloc[0]
    run(fresh, range(2))
    assert story.query("select count(*) as n from monitoring.computation")["n"].iloc[0] == changed


def said(story: Story, name: str, views: tuple[str, ...]) -> dict[str, Any]:
    found = story.said(name, views)
    return {view: [tuple(c for c in row if "run of" not in c) for row in rows] for view, rows in found.items()}


def test_where_no_column_is_protected_there_is_no_row_and_one_that_is_no_longer_loses_its_rows(story: Story) -> None:
    stages, _ = prepared(story, days=1)
    run(stages, range(1))
    assert set(current(story)["protected_column"]) == {"tribe"}
    run(story.monitor(ground_truth=TRUTH, protected=[]), range(1))
    assert current(story).empty
    run(story.monitor("plain", ground_truth=TRUTH), range(1))
    assert current(story).empty


def test_a_reference_group_that_is_not_there_is_an_error_that_names_those_that_are(story: Story) -> None:
    with pytest.raises(SourceError, match=r"protected\.0\.reference.*'tribe' is 'c'; write one of ∅, a, b"):
        prepared(story, protected=[{"column": "tribe", "reference": "c"}])
    declared = story.toy.declare(schema=SCORES, protected=["trib", {"column": "tribe", "reference": "c"}])
    found = {str(one.location): one.message for one in check_sources(declared, story.settings) if "trib" in one.message}
    assert "no row whose 'tribe' is 'c'; write one of" in found["('protected',)"]
    said = [one for one in check_sources(declared, story.settings) if "no column 'trib'" in one.message]
    assert {one.location for one in said} == {("protected",)}


def test_scores_alone_one_class_and_many_groups(story: Story) -> None:
    """A model that logs scores is cut at 0.5; labels of one class leave rates undefined; groups past 20 are counted."""
    rows = story.toy.rows(0, N)
    many = np.array([f"g{i}" for i in np.random.default_rng(3).integers(0, 30, N)])
    kept = ["id", "at", "version", "x", "amount", "channel", "region", "score"]
    story.toy.write_reference(rows.assign(tribe=many)[[*kept, "y", "tribe"]])
    story.toy.write_log(rows.assign(tribe=many)[[*kept, "tribe"]], "day-0")
    write(pd.DataFrame({"id": rows["id"], "y": 0, "known": rows["at"]}), story.toy.base / "truth" / "one.parquet")
    stages = story.monitor(schema=SCORES, protected=[{"column": "tribe", "min_rows": 2}], ground_truth=TRUTH)
    run(stages, range(1))
    found = current(story).set_index(["group_name", "metric"])
    assert len({group for group, _ in found.index} - {"*"}) == 20
    assert found.loc[("*", "groups"), "detail"] == "10 smaller groups are not compared"
    assert found.xs("true_positive_rate", level="metric")["value"].isna().all()
    assert found.xs("false_positive_rate", level="metric")["value"].notna().all()
    edges = found.xs("selection_rate", level="metric")["value"]
    assert edges["g1"] == pytest.approx((rows["score"][many == "g1"] > 0.5).mean(), abs=0.1)
