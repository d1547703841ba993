"""Weeks, months and trailing rows: the same as all of their rows counted at once, whatever the order of runs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from monitoring_pipeline.stages.rollup_spans import period_of, spans
from monitoring_pipeline.windows import Window
from monitoring_pipeline_tests.stages.story import ROWS, UNUSED, Story, run
from monitoring_pipeline_tests.toy import START, write

TRUTH = {"path": "../truth/*.parquet", "outcome": "y", "label_time": "known"}
WEEK = range(3, 10)  # Monday to Sunday
DAYS = range(14)
LABELLED = {"ground_truth": TRUTH, "segments": ["region"]}
NOT_ALIKE = ("freshness_seconds", "drifted_columns_share")  # of the window's end; of verdicts
VIEWS = ("rollup_current", "rollup_drift_current", "rollup_quality_current", "rollup_performance_current",
         "rollup_verdict_current")  # fmt: skip


def write_labelled(story: Story, days: Any = DAYS, unlabelled: Any = ()) -> dict[int, pd.DataFrame]:
    story.write_reference(days=70)
    rows = {day: story.write(day) for day in days}
    for day, of_day in rows.items():
        if day not in unlabelled:
            story.toy.write_labels(of_day, f"{START + timedelta(days=day)}")
    return rows


def values(story: Story, view: str, name: str, keys: list[str], **where: Any) -> pd.Series:
    """The values of a view by ``keys``, without what is undefined."""
    condition = "".join(f" and {column} = :{column}" for column in where)
    found = story.query(f"select * from monitoring.{view} where monitor = :m{condition}", m=name, **where)
    return found.dropna(subset="value").set_index(keys)["value"].sort_index()


def test_a_week_is_the_same_as_all_of_its_rows_at_once(story: Story) -> None:
    rows = write_labelled(story)
    run(story.monitor("merged", **LABELLED, baselines=["training"], rollups=["week"]), DAYS)
    whole = pd.concat(rows[day].drop(columns=[*UNUSED]) for day in WEEK)
    at_once = whole.assign(at=pd.Timestamp(START) + (whole["at"] - whole["at"].dt.normalize()))
    write(at_once, story.toy.base / "flat" / "all.parquet")
    run(story.monitor("fresh", **LABELLED, baselines=["training"], predictions={"path": "../flat/*.parquet"}), [0])
    week = {"window_start": story.start(WEEK[0]), "window_size": "week"}
    for view, keys in {
        "drift_current": ["baseline", "segment", "column_name", "role", "method"],
        "quality_current": ["segment", "column_name", "metric"],
        "performance_current": ["segment", "metric"],
    }.items():
        merged = values(story, f"rollup_{view}", "merged", keys, **week)
        if view == "drift_current":
            merged = merged.xs("training", drop_level=False)
        of_kind = {"kind": "realized"} if view == "performance_current" else {}
        fresh = values(story, view, "fresh", keys, **of_kind)
        fresh = fresh[
            [key for key in fresh.index if "freshness_seconds" not in key and "drifted_columns_share" not in key]
        ]
        merged = merged[[key for key in merged.index if "freshness_seconds" not in key]]
        assert list(merged.index) == list(fresh.index), view
        np.testing.assert_allclose(merged.to_numpy(), fresh.to_numpy(), rtol=1e-9, atol=1e-12, err_msg=view)

    head = story.query("select * from monitoring.rollup_current where monitor = 'merged' order by window_start")
    assert head["n_windows"].tolist() == [3, 7, 4] and head["partial"].tolist() == [True, False, True]
    assert head["n_rows"].tolist() == [3 * ROWS, 7 * ROWS, 4 * ROWS]
    before = values(story, "rollup_drift_current", "merged", ["column_name", "method"], baseline="previous", **week)
    assert len(before) > 20, "the week before has three days, and is compared with"


def test_rollups_are_judged_on_blocks_of_their_length_and_open_no_incidents(story: Story) -> None:
    story.write_reference(days=70)
    for day in DAYS:
        rows = story.write(day, shift=0.5 if day in WEEK else 0.0)
        story.toy.write_labels(rows, f"{START + timedelta(days=day)}")
    run(story.monitor(**LABELLED, rollups=["week", "quarter"], alarms={"budget": 0}), DAYS)
    assert story.incidents() == []
    run(story.monitor(**LABELLED, rollups=["week", "quarter"], thresholds={"drift": {"psi": 9}}), DAYS)
    found = story.query("select * from monitoring.rollup_verdict_current where segment = '*' and kind = 'drift'")
    week = found[(found["window_start"] == story.start(WEEK[0])) & (found["window_size"] == "week")]
    alarmed = week[week["status"] == "alarm"]
    assert {"x", "score"} <= set(alarmed["column_name"]) <= {"x", "score", "predicted"}
    assert set(week["threshold_source"]) == {"calibrated-short"} and week["moved"].isin(["location", None]).any()
    x = alarmed.set_index("column_name").loc["x"]
    assert x["effect"] == pytest.approx(0.5, abs=0.1) and x["level"] == pytest.approx(0.05)
    quarter = found[found["window_size"] == "quarter"]
    assert set(quarter["status"]) == {"abstained"} or quarter["reason"].isna().all()
    incidents = [list(one.columns) for one in story.incidents()]
    assert not any(column == "week" for columns in incidents for column in columns)
    of_model = story.query("select * from monitoring.rollup_verdict_current where kind = 'performance'")
    assert set(of_model["subject"]) == {""} and set(of_model["status"]) <= {"quiet", "abstained", "alarm"}


def said(story: Story, name: str) -> dict[str, list[tuple[str, ...]]]:
    found = {}
    for view in VIEWS:
        frame = story.query(f"select * from monitoring.{view} where monitor = :m", m=name)
        dropped = ("monitor", "computed_at", "judged_at", "as_known_at", "run_id", "config_version")
        kept = frame.drop(columns=[c for c in dropped if c in frame])
        rounded = kept.map(lambda v: float(f"{v:.9g}") if isinstance(v, float) else v)
        found[view] = sorted(tuple(map(str, row)) for row in rounded.itertuples(index=False))
    return found


@pytest.mark.slow
def test_late_labels_refresh_and_no_order_of_runs_changes_them(story: Story) -> None:
    rows = write_labelled(story, unlabelled=WEEK[-2:])
    declared: dict[str, Any] = LABELLED | {"rollups": ["week", {"rows": 700}], "labels": {"max_delay": "36500d"}}
    stages = story.monitor("pieces", **declared)
    for days in ([9, 10, 11, 12, 13], [3, 4, 5], [0, 1, 2], [6], [7], [8]):
        run(stages, days)
    run(story.monitor("whole", **declared), DAYS)
    assert said(story, "pieces") == said(story, "whole")
    trailing = story.query(
        "select * from monitoring.rollup_current where window_size = '700 rows' and monitor = 'whole'"
    )
    assert trailing.sort_values("window_end")["n_windows"].tolist() == [1, 2, *[3] * (len(DAYS) - 2)]
    assert trailing["partial"].sum() == 2, "the first two hold fewer rows"
    lacking = (
        "select coverage, mature from monitoring.rollup_performance_current where monitor = 'pieces'"
        " and window_size = 'week' and window_start = :w and segment = '*' and metric = 'roc_auc'"
    )
    before = story.query(lacking, w=story.start(WEEK[0])).iloc[0]
    assert before["coverage"] == pytest.approx(5 / 7) and not before["mature"]

    for day in WEEK[-2:]:
        story.toy.write_labels(rows[day], f"{START + timedelta(days=day)}")
    run(stages, [WEEK[-1]])
    run(stages, [WEEK[-2]])
    after = story.query(lacking, w=story.start(WEEK[0])).iloc[0]
    assert after["coverage"] == 1 and after["mature"]
    run(story.monitor("late", **declared), DAYS)
    assert said(story, "pieces") == said(story, "late")
    made = story.query("select max(computed_at) as at from monitoring.rollup")["at"].item()
    run(stages, DAYS)
    assert story.query("select max(computed_at) as at from monitoring.rollup")["at"].item() == made, "nothing is new"
    run(story.monitor("pieces", **declared | {"rollups": []}), [0])
    assert story.query("select count(*) as n from monitoring.rollup where monitor = 'pieces'")["n"].item() == 0


@pytest.mark.parametrize(
    ("size", "first", "end"),
    [
        ("week", datetime(2024, 12, 30, tzinfo=UTC), datetime(2025, 1, 6, tzinfo=UTC)),
        ("month", datetime(2025, 1, 1, tzinfo=UTC), datetime(2025, 2, 1, tzinfo=UTC)),
        ("quarter", datetime(2025, 1, 1, tzinfo=UTC), datetime(2025, 4, 1, tzinfo=UTC)),
    ],
)
def test_periods_of_the_calendar(size: str, first: datetime, end: datetime) -> None:
    assert period_of(datetime(2025, 1, 2, 3, 4, tzinfo=UTC), size) == Window(first, end)
    assert period_of(datetime(2024, 12, 31, 23, tzinfo=UTC), "quarter").end == datetime(2025, 1, 1, tzinfo=UTC)


def test_a_period_without_rows_and_a_gap(story: Story) -> None:
    monitor = story.toy.declare(rollups=["week", {"rows": 10}])
    days = [Window.at(datetime(2024, 3, 4, tzinfo=UTC) + timedelta(days=n), "day") for n in range(14)]
    taken = [(day, 0 if n < 7 else 6) for n, day in enumerate(days) if n != 9]
    found = spans(monitor, taken)
    weeks = [one for one in found if one.size == "week"]
    assert [(one.window.start.day, one.partial, len(one.windows)) for one in weeks] == [(11, True, 6)]
    assert len(weeks[0].before) == 7, "the empty week before is known to be empty"
    trailing = [one for one in found if one.size == "10 rows"]
    assert [one.partial for one in trailing] == [True, False, True, False, False, False]
