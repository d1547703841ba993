"""Verdicts on whole windows, from files to the view: freshness, coverage by age, maturity, the outcome's own drift."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import text

from monitoring_pipeline.stages import freshness_watch, window_folds, window_verdicts
from monitoring_pipeline.stages.context import StageContext
from monitoring_pipeline.stages.judging import open_judgement
from monitoring_pipeline_tests.stages.story import ROWS, Story, judge, run
from monitoring_pipeline_tests.toy import START, day

TRUTH = {"path": "../truth/*.parquet", "outcome": "y", "label_time": "known"}
HOUR = timedelta(hours=1)


def execute(story: Story, sql: str, **values: Any) -> None:
    with story.warehouse.transaction() as conn:
        conn.execute(text(sql), values)


def as_if_live(story: Story, delay: timedelta = 2 * HOUR) -> None:
    """As if each window had been taken in so long after its end."""
    execute(story, "update monitoring.prediction_window set rows_since = window_end + :d where n_rows > 0", d=delay)


def verdicts(story: Story, kind: str) -> pd.DataFrame:
    return story.query("select * from monitoring.window_verdict_current where kind = :k order by window_start", k=kind)


def test_rows_that_stay_away_open_an_incident_that_is_resolved_when_they_come(story: Story) -> None:
    story.write_reference()
    for n in range(34):
        if n < 30:
            story.write(n)
    stages = story.monitor()
    run(stages, range(30))
    as_if_live(story)
    waited = day(30)
    assert freshness_watch.look(stages, waited.end + 3 * HOUR) == [] and story.incidents() == []
    for late in (10 * HOUR, 11 * HOUR):
        freshness_watch.look(stages, waited.end + late)
    (one,) = story.incidents()
    assert (one.kind, one.state, one.severity, one.change) == ("freshness", "open", "critical", "outage")
    assert "no row had come 10.0 hours after the end of the window; usually they come within 2.0 hours" in one.summary
    assert len(story.history()) == 1, "an alarm that goes on is told once"
    (row,) = verdicts(story, "freshness").itertuples()
    assert row.clock == pd.Timestamp(waited.end + 10 * HOUR) and row.reason == "no row has come yet"
    with story.warehouse.transaction() as conn:
        late = freshness_watch.late_now(conn, waited.end + 10 * HOUR)
        assert late["toy"].value == 10 * 3_600, "as `status` would say it then"
        assert freshness_watch.late_now(conn, waited.end + HOUR) == {}
    looked = freshness_watch.watch([stages], {}, waited.end + 13 * HOUR)
    assert looked == {"toy": 2} == freshness_watch.watch([stages], looked, waited.end + 14 * HOUR)

    for n in range(30, 34):
        story.write(n)
    run(stages, range(30, 34))
    as_if_live(story)
    execute(
        story, "update monitoring.prediction_window set rows_since = window_end + interval '20 hours'"
        " where window_start = :w", w=waited.start,
    )  # fmt: skip
    judge(stages, range(34))
    (one,) = story.incidents()
    assert one.state == "resolved" and one.last_window == pd.Timestamp(waited.start)
    (row,) = verdicts(story, "freshness").itertuples()
    assert (row.reason, row.value, row.status) == ("rows came late", 20 * 3_600, "alarm")
    history = story.history()
    judge(stages, range(34))
    assert story.history() == history


def test_an_empty_window_is_no_outage_while_its_rows_may_still_come(story: Story) -> None:
    story.write_reference()
    for n in range(30):
        story.write(n)
    stages = story.monitor()
    run(stages, range(31))
    as_if_live(story)

    def volume(now: datetime) -> str:
        def fold(conn: Any) -> None:
            window_verdicts.judge_again(conn, stages.monitor, lambda: open_judgement(conn, stages), now)

        stages.warehouse.run(fold)
        found = verdicts(story, "volume")
        return str(found[found["window_start"] == story.start(30)]["status"].squeeze() if len(found) else "")

    assert "alarm" not in volume(day(30).end + HOUR)
    assert volume(day(30).end + 30 * HOUR) == "alarm"


def labelled(story: Story, days: range, **declared: Any) -> StageContext:
    story.write_reference()
    for n in days:
        story.toy.write_labels(story.write(n), f"{START + timedelta(days=n)}")
    stages = story.monitor(ground_truth=TRUTH, **declared)
    run(stages, days)
    return stages


def test_labels_that_come_later_than_usual_alarm_at_their_age(story: Story) -> None:
    stages = labelled(story, range(22))
    as_if_live(story)
    execute(
        story,
        "insert into monitoring.label_batch select (jsonb_populate_record(b, jsonb_build_object('batch', 100 + n,"
        " 'taken_in_at', w.window_end + case when n > 18 then interval '60 hours' else interval '20 hours' end))).*"
        " from monitoring.label_batch b, lateral (select *, row_number() over (order by window_start) as n"
        " from monitoring.prediction_window) w",
    )
    execute(
        story,
        "update monitoring.label_batch_window l set batch = 100 + n from (select window_start as at, row_number()"
        " over (order by window_start) as n from monitoring.prediction_window) w where w.at = l.window_start",
    )
    judge(stages, range(22))
    found = verdicts(story, "coverage").set_index(["subject", "window_start"])
    assert set(found.index.get_level_values("subject")) == {"", "1d", "3d"}
    young = found.loc["1d"]
    alarmed = young[young["status"] == "alarm"]
    assert alarmed.index.tolist() == [story.start(n) for n in range(18, 22)]
    assert alarmed["value"].tolist() == [0] * 4 and alarmed["expected"].tolist() == pytest.approx([1] * 4, abs=0.01)
    assert set(found.loc["3d"]["status"]) == {"quiet", "abstained"} == set(found.loc[""]["status"])
    (one,) = (one for one in story.incidents() if one.kind == "coverage")
    assert "0.0% of the rows have an outcome where" in one.summary and "1d after the end" in one.summary


def test_a_window_is_mature_when_its_missing_labels_cannot_matter(story: Story) -> None:
    story.write_reference()
    rows = {n: story.write(n) for n in range(3)}
    rarer = 0.04  # of the labelled rows; most labels that lack may be of the rarer class
    for n, lost in ((0, 0), (1, 5), (2, 40)):
        of_day = rows[n].assign(y=(np.arange(len(rows[n])) < rarer * len(rows[n])).astype(int))
        story.toy.write_labels(of_day.iloc[: len(of_day) - lost], f"{START + timedelta(days=n)}")
    stages = story.monitor(ground_truth=TRUTH, labels={"max_delay": "36500d"})
    run(stages, range(3))
    found = story.query(
        "select window_start, mature, coverage from monitoring.performance_current"
        " where metric = 'accuracy' and kind = 'realized'"
        " and segment = '*' order by window_start"
    )
    assert found["coverage"].tolist() == [1, 0.98, 0.84] and found["mature"].tolist() == [True, False, False]
    told = verdicts(story, "performance")
    assert told["mature"].tolist() == [True, False, False]
    stages = story.monitor(ground_truth=TRUTH, labels={"max_delay": "1h"})
    judge(stages, range(3))
    assert verdicts(story, "performance")["mature"].all()


OF_WINDOWS = (
    "select window_start, kind, model_version, segment, subject, status, contrast, horizon, effect, p_value, q_value,"
    " value, expected, source, reason, cause, mature from monitoring.window_verdict where monitor = :m"
    " and kind <> 'freshness' order by 1, 2, 3, 4, 5"
)


def told(story: Story, name: str) -> list[tuple[str, ...]]:
    found = story.query(OF_WINDOWS, m=name)
    return [tuple(map(str, row)) for row in found.itertuples(index=False)]


def states(story: Story, name: str) -> list[tuple[Any, ...]]:
    found = story.query(
        "select kind, window_start, made_from, series, md5(state) as state from monitoring.window_fold_state"
        " where monitor = :m order by 1, 2",
        m=name,
    )
    return [tuple(row) for row in found.itertuples(index=False)]


def test_a_day_is_judged_from_the_states_of_those_before_it(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    story.write_reference()
    for n in range(40):
        rows = story.toy.rows(n, 2 * ROWS)
        if n >= 34:
            rows["y"] = 1 - rows["y"]
        story.write(n, rows.iloc[: ROWS if n == 31 else None])
        story.toy.write_labels(rows, f"{START + timedelta(days=n)}")
    declared = {"ground_truth": TRUTH, "segments": ["region"]}
    run(story.monitor("whole", **declared), range(40))
    pieces = story.monitor("pieces", **declared)
    run(pieces, range(36))
    begun = []
    begin = window_folds.begin
    monkeypatch.setattr(window_folds, "begin", lambda *given: begun.append(begin(*given)) or begun[-1])
    run(pieces, [36])
    assert [(fold.kind, fold.first) for fold in begun] == [("volume", 36), ("coverage", 36), ("performance", 36)]
    run(pieces, [37, 38])
    run(pieces, [39])
    assert told(story, "pieces") == told(story, "whole") and story.said("pieces") == story.said("whole")
    assert {"alarm", "quiet", "abstained"} <= {row[5] for row in told(story, "pieces")}

    kept = states(story, "pieces")
    execute(story, "delete from monitoring.window_fold_state where window_start > :w", w=day(20).start)
    execute(story, "update monitoring.window_fold_state set made_from = 'other' where kind = 'volume'")
    execute(story, "update monitoring.window_fold set inputs = 'other'")
    begun.clear()
    judge(pieces, [39])
    assert [(fold.kind, fold.first) for fold in begun] == [("volume", 0), ("coverage", 21), ("performance", 21)]
    assert states(story, "pieces") == kept and told(story, "pieces") == told(story, "whole")

    late = story.toy.rows(5, 3 * ROWS).iloc[2 * ROWS :].assign(id=lambda rows: "late-" + rows["id"])
    story.toy.write_log(late.drop(columns=["returning", "y"]), "late")
    story.toy.write_labels(late.assign(y=1), "late")
    begun.clear()
    run(pieces, [5])
    assert {fold.first for fold in begun} == {5}
    run(story.monitor("fresh", **declared), range(40))
    assert told(story, "pieces") == told(story, "fresh") != told(story, "whole")


def test_another_reference_is_calibrated_anew(story: Story) -> None:
    made = "select md5(calibration) as made, made_from from monitoring.performance_calibration where monitor = 'toy'"
    labelled(story, range(4))
    (first,) = story.query(made).itertuples(index=False)
    judge(story.monitor(ground_truth=TRUTH, alarms={"budget": 2}), range(4))
    assert [tuple(row) for row in story.query(made).itertuples(index=False)] == [tuple(first)], "as it was"
    days = [story.toy.rows(START - timedelta(days=n), ROWS) for n in range(30, 0, -1)]
    story.toy.write_reference(pd.concat(days).assign(y=lambda rows: 1 - rows["y"]))
    judge(story.monitor(ground_truth=TRUTH), range(4))
    (second,) = story.query(made).itertuples(index=False)
    assert second.made != first.made and second.made_from != first.made_from
    run(story.monitor("fresh", ground_truth=TRUTH), range(4))
    (fresh,) = story.query(made.replace("'toy'", "'fresh'")).itertuples(index=False)
    assert fresh.made == second.made


@pytest.mark.slow
def test_outcomes_that_change_are_label_drift_once_they_are_mature(story: Story) -> None:
    story.write_reference()
    changed = range(16, 20)
    for n in range(24):
        rows = story.write(n)
        if n in changed:
            rows = rows.assign(y=np.where(np.random.default_rng(n).random(len(rows)) < 0.7, 1, rows["y"]))
        if n != changed[-1]:
            story.toy.write_labels(rows, f"{START + timedelta(days=n)}")
        else:
            late = rows
    declared = {"ground_truth": TRUTH, "labels": {"max_delay": "36500d"}}
    stages = story.monitor("pieces", **declared)
    run(stages, range(24))
    assert story.alarms("pieces")["*", "y"] == list(changed[:-1])
    columns = story.alarms("pieces").keys() - {("*", "y")}
    row = story.query(
        "select * from monitoring.column_verdict_current where column_name = 'y' and window_start = :w",
        w=story.start(changed[0]),
    ).iloc[0]
    assert (row["role"], row["moved"]) == ("target", "shape") and row["q_value"] <= row["level"]
    (one,) = (one for one in story.incidents("pieces") if "y" in one.columns)
    assert one.change == "label drift" or one.kind == "performance"
    assert "the distribution of y has another shape" in one.summary or one.kind == "performance"

    story.toy.write_labels(late, "late")
    run(stages, [changed[-1]])
    assert story.alarms("pieces")["*", "y"][: len(changed)] == list(changed)
    run(story.monitor("whole", **declared), range(24))
    assert story.said("pieces") == story.said("whole")
    assert story.alarms("pieces").keys() - {("*", "y")} == columns, "labels change nothing of the other columns"
