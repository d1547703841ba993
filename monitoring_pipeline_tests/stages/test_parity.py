"""Served features against the same features computed again, from the declaration to the incident."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from monitoring_pipeline.monitors import Monitor
from monitoring_pipeline.stages import parity
from monitoring_pipeline.stages.context import StageContext
from monitoring_pipeline_tests import toy
from monitoring_pipeline_tests.stages.story import Story, run
from monitoring_pipeline_tests.toy import FEATURES

ASKED: list[pd.DataFrame] = []
SOURCE: dict[str, Any] = {}
"""What the functions below recompute from; a test sets it."""


def recompute(asked: pd.DataFrame) -> pd.DataFrame:
    ASKED.append(asked)
    rows = SOURCE["rows"]
    known = rows[rows["id"].isin(asked["prediction_id"])].sample(frac=1, random_state=1)
    return known.rename(columns={"id": "prediction_id"})


def raising(asked: pd.DataFrame) -> pd.DataFrame:
    if (asked["event_time"].dt.date == toy.day(1).start.date()).any():
        raise RuntimeError("the feature store is away")
    return recompute(asked)


def useless(asked: pd.DataFrame) -> pd.DataFrame:
    return asked


SCHEMA = {
    "prediction_id": "id", "event_time": "at", "model_version": "version", "prediction": "predicted", "score": "score",
    **FEATURES,
}  # fmt: skip


def prepared(story: Story, days: int = 2, **declared: Any) -> StageContext:
    story.write_reference(days=12)
    rows = [story.toy.rows(day, 60) for day in range(days)]
    for day, one in enumerate(rows):
        story.toy.write_log(one.drop(columns="y"), f"day-{day}")
    SOURCE["rows"] = pd.concat(rows)
    ASKED.clear()
    stages = story.monitor(schema=SCHEMA, parity=declared)
    run(stages, range(days))
    return stages


def measured(story: Story, stages: StageContext, days: int = 2) -> pd.DataFrame:
    found = parity.measure(stages, [toy.day(day) for day in range(days)])
    assert [error for error in found.values() if error] == []
    return current(story)


def current(story: Story) -> pd.DataFrame:
    return story.query("select * from monitoring.parity_current order by window_start, column_name")


def here(name: str) -> str:
    return f"{__name__}:{name}"


def test_equal_features_differ_nowhere_and_a_second_run_changes_nothing(story: Story) -> None:
    stages = prepared(story, function=here("recompute"), sample=25)
    found = measured(story, stages)
    features = [*FEATURES["numerical"], *FEATURES["categorical"], *FEATURES["boolean"]]
    assert sorted(set(found["column_name"])) == sorted([*features, "*"])
    assert set(found["n_compared"]) == {25} and set(found["n_differing"]) == {0} == set(found["n_unmatched"])
    assert all(len(asked) == 25 and list(asked) == ["prediction_id", "event_time"] for asked in ASKED)
    again = measured(story, stages)
    assert again.drop(columns="computed_at").equals(found.drop(columns="computed_at"))
    assert [one for one in story.incidents() if one.kind == "quality"] == []


def test_what_was_served_otherwise_is_counted_named_and_an_incident(story: Story) -> None:
    stages = prepared(story, function=here("recompute"), tolerance=1e-3)
    rows = SOURCE["rows"].reset_index(drop=True)
    wrong = rows.index % 4 == 0
    rows.loc[wrong, "amount"] *= 1.01
    rows["x"] += 1e-5
    rows["channel"] = rows["channel"].mask(rows["channel"] == "shop", "Shop")
    SOURCE["rows"] = rows.iloc[:-10].drop(columns="returning")
    found = measured(story, stages).set_index(["window_start", "column_name"])
    first, second = (found.loc[start] for start in found.index.levels[0])
    assert first.loc["amount", "n_differing"] == wrong[:60].sum() and first.loc["x", "n_differing"] == 0
    assert first.loc["channel", "n_differing"] == (rows["channel"][:60] == "Shop").sum()
    assert first.loc["*", "n_differing"] == (wrong | (rows["channel"] == "Shop"))[:60].sum()
    assert "returning" not in first.index
    assert second.loc["*", ["n_compared", "n_unmatched"]].tolist() == [50, 10]
    assert "recomputed 'Shop'" in first.loc["channel", "example"]
    (incident,) = [one for one in story.incidents() if "parity" in str(one.evidence)]
    assert (incident.kind, incident.change) == ("quality", "training-serving skew")
    assert {"amount", "channel"} <= set(incident.columns)
    assert "differ from the values computed again" in incident.summary

    stages = story.monitor(schema=SCHEMA, parity={"function": here("recompute"), "tolerance": 1e-3, "allowed": 1.0})
    measured(story, stages)
    assert [one.state for one in story.incidents() if "parity" in str(one.evidence)] == ["retracted"]


def test_a_table_in_files(story: Story) -> None:
    stages = prepared(story, path="../features/*.parquet")
    rows = SOURCE["rows"].assign(returning=SOURCE["rows"]["returning"].astype(int))
    for name, some in (("a", rows.iloc[:70]), ("b", rows.iloc[70:].assign(region="west"))):
        toy.write(some, stages.monitor.base_dir.parent / "features" / f"{name}.parquet")
    found = measured(story, stages).set_index(["window_start", "column_name"])["n_differing"]
    assert found.xs("region", level=1).tolist() == [0, 50] and found.xs("returning", level=1).tolist() == [0, 0]


def test_a_window_that_cannot_be_compared_fails_alone(story: Story) -> None:
    stages = prepared(story, days=3, function=here("raising"))
    found = parity.measure(stages, [toy.day(day) for day in range(4)])
    assert found[toy.day(0)] is None is found[toy.day(2)]
    assert "RuntimeError: the feature store is away" in (found[toy.day(1)] or "")
    assert "not ingested" in (found[toy.day(3)] or "")
    assert current(story)["window_start"].nunique() == 2


@pytest.mark.parametrize(
    ("declared", "says"),
    [
        ({"function": here("useless")}, "none of the recomputed columns is a feature"),
        ({"function": "nowhere:recompute"}, "'nowhere' cannot be imported"),
        ({"function": here("SOURCE")}, "is not a function"),
        ({"path": "../nothing/*.parquet"}, "no file matches ../nothing"),
    ],
)
def test_what_is_wrong_is_said(story: Story, declared: dict[str, Any], says: str) -> None:
    stages = prepared(story, days=1, **declared)
    assert says in (parity.measure(stages, [toy.day(0)])[toy.day(0)] or "")


def test_a_monitor_declares_one_way(story: Story) -> None:
    with pytest.raises(Exception, match="either `function` or `path`"):
        story.monitor(parity={})
    declared: Monitor = story.toy.declare(parity={"path": "x.parquet"})
    assert declared.parity is not None and declared.parity.sample == 1000
