"""Verdicts on columns, from files to the view: where they alarm, what moved, and that no order of work changes them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from monitoring_pipeline_tests.stages.story import (
    DAYS,
    ECHO,
    EMPTY,
    LOSSY,
    NOVEL,
    ROWS,
    SHIFTED,
    Story,
    judge,
    run,
)

FOLLOWERS = ("score", "predicted")  # they are made of x
TABLES = ("column_verdict", "judged_window", "verdict", "incident", "drift_null")


def moved(story: Story, column: str, days: list[int], name: str = "toy") -> set[str]:
    found = story.query(
        "select distinct moved from monitoring.column_verdict_current where monitor = :m and column_name = :c"
        " and status = 'alarm' and window_start = any (cast(:w as timestamptz[]))",
        m=name, c=column, w=[story.start(day) for day in days],
    )  # fmt: skip
    return set(found["moved"])


def assert_repeated(story: Story, name: str = "toy") -> None:
    """What no threshold is pinned for says the same in both views."""
    found = story.query(
        "select d.method, d.drifted, d.threshold, d.threshold_source, c.status, c.threshold_source as source"
        " from monitoring.drift_current d join monitoring.column_verdict_current c using (monitor, model_version,"
        " window_start, segment, column_name, role) where monitor = :m and d.threshold_source <> 'declared'"
        " and c.threshold_source <> 'declared' and d.value is not null",
        m=name,
    )
    assert len(found) and found["threshold"].isna().all()
    assert (found["threshold_source"] == found["source"]).all()
    assert (found["drifted"] == found["status"].map({"alarm": True, "notice": False, "quiet": False})).all()


def contents(story: Story) -> dict[str, str]:
    """A digest of all rows of the tables of verdicts and incidents."""
    digest = "select md5(string_agg(t::text, '|' order by t::text)) from monitoring.{} t"
    return {table: story.query(digest.format(table)).iat[0, 0] for table in TABLES}


def test_columns_alarm_where_something_happened_and_say_what_moved(eventful: Story) -> None:
    run(eventful.monitor(), range(DAYS))
    alarms = {column: days for (_, column), days in eventful.alarms().items()}
    assert set(alarms) == {"x", "amount", "channel", *FOLLOWERS}, "and region nowhere"
    for column, happened in {"x": SHIFTED, "amount": [LOSSY], "channel": NOVEL}.items():
        assert set(happened) <= set(alarms[column])
        assert min(alarms[column]) == min(happened) and max(alarms[column]) <= max(happened) + ECHO, column
    assert moved(eventful, "x", list(SHIFTED)) == {"location"}
    assert moved(eventful, "amount", [LOSSY]) == {"missing"}
    assert moved(eventful, "channel", list(NOVEL)) == {"unseen"}

    rows = eventful.query("select * from monitoring.column_verdict_current order by window_start, column_name")
    assert len(rows) == (DAYS - 1) * 6 and eventful.start(EMPTY) not in set(rows["window_start"])
    assert set(rows["threshold_source"]) == {"calibrated"} and rows["reason"].isna().all()
    assert rows["level"].unique() == pytest.approx([0.5 / 30])
    assert (rows["drifted"] == (rows["status"] == "alarm")).all()
    assert (rows["status"] == "alarm").equals(rows["q_value"] <= rows["level"])
    first = rows[(rows["window_start"] == eventful.start(SHIFTED[0])) & (rows["column_name"] == "x")].iloc[0]
    values = eventful.toy.rows(SHIFTED[0], ROWS, 1.0)["x"]
    assert first["effect"] == pytest.approx(values.mean(), abs=0.15) and first["horizon"] in (1, 2)
    assert first["n_current"] == values.notna().sum()
    assert_repeated(eventful)
    spent = eventful.query("select * from monitoring.alarm_budget_current order by month")
    assert spent["n_windows"].tolist() == [31, 13] and spent["n_alarms"].sum() == (rows["status"] == "alarm").sum()
    assert spent["expected_false_alarms"].tolist() == pytest.approx([30 * 0.5 / 30, 13 * 0.5 / 30]), "no rows, no level"


ORDERS = {
    "one by one": [list(range(DAYS - 12)), *([day] for day in range(DAYS - 12, DAYS))],
    "newest first": [list(range(day, min(day + 4, DAYS))) for day in reversed(range(0, DAYS, 4))],
    "in pieces": [list(range(20, 30)), list(range(5)), [DAYS - 1], list(range(30, DAYS)), list(range(3, 25))],
}


@pytest.mark.slow
@pytest.mark.parametrize("order", ORDERS)
def test_any_order_of_windows_and_late_rows_end_as_one_range_does(eventful: Story, order: str) -> None:
    run(eventful.monitor("whole"), range(DAYS))
    pieces = eventful.monitor("pieces")
    for days in ORDERS[order]:
        run(pieces, days)
    assert eventful.said("pieces") == eventful.said("whole")
    assert_repeated(eventful, "pieces")

    late = eventful.toy.rows(2, 2 * ROWS, 2.5).iloc[ROWS:]
    eventful.toy.write_log(late.drop(columns=["returning", "y"]).assign(id="late-" + late["id"]), "late")
    before = eventful.said("pieces")
    run(pieces, [2])
    run(eventful.monitor("fresh"), range(DAYS))
    after = eventful.said("pieces")
    assert after == eventful.said("fresh") and after != before
    assert_repeated(eventful, "pieces")
    assert 2 in eventful.alarms("pieces")["*", "x"]


def test_judging_twice_changes_nothing(eventful: Story) -> None:
    stages = eventful.monitor()
    run(stages, range(DAYS))
    before = contents(eventful)
    judge(stages, range(DAYS))
    judge(stages, [3, 30])
    run(stages, range(DAYS))
    assert contents(eventful) == before


def test_another_budget_judges_all_windows_again(eventful: Story) -> None:
    run(eventful.monitor(), range(DAYS))
    before = eventful.said()
    judge(eventful.monitor(alarms={"budget": 0}), [DAYS - 1])
    assert eventful.alarms() == {} and eventful.alarms(status="notice") == {}
    levels = eventful.query("select distinct level from monitoring.column_verdict_current")
    assert levels["level"].tolist() == [0.0], "all windows, whichever was asked for"
    assert {one.state for one in eventful.incidents()} == {"retracted"}
    assert_repeated(eventful)
    judge(eventful.monitor(), range(DAYS))
    assert eventful.said() == before


def test_a_pinned_threshold_decides_its_column_and_no_other(eventful: Story) -> None:
    pinned = {"columns": {"x": {"drift": {"psi": 1000.0}}, "region": {"drift": {"psi": 0.0, "chi_square": 0.9}}}}
    run(eventful.monitor(thresholds=pinned), range(25))
    sources = eventful.query(
        "select column_name, string_agg(distinct threshold_source, ',') as source, bool_or(drifted) as drifted"
        " from monitoring.column_verdict_current group by 1"
    )
    told = {row.column_name: (row.source, row.drifted) for row in sources.itertuples()}
    assert told["x"] == ("declared", False), "PSI 1000 is never reached, however clearly x moved"
    assert told["score"] == told["predicted"] == ("calibrated", True)
    assert told["amount"] == ("calibrated", False) and told["region"][0] == "declared"
    assert all("x" not in one.columns for one in eventful.incidents())
    psi = eventful.query(
        "select distinct threshold, threshold_source, drifted from monitoring.drift_current"
        " where column_name = 'x' and method = 'psi'"
    )
    assert [tuple(row) for row in psi.itertuples(index=False)] == [(1000.0, "declared", False)]

    # Late rows of an early day judge the days after it again: what is pinned stays.
    late = eventful.toy.rows(2, 2 * ROWS, 2.5).iloc[ROWS:]
    eventful.toy.write_log(late.drop(columns=["returning", "y"]).assign(id="late-" + late["id"]), "late")
    run(eventful.monitor(thresholds=pinned), [2])
    assert ("*", "x") not in eventful.alarms()
    # And what is no longer pinned is decided by the calibrated verdict again.
    judge(eventful.monitor(), range(25))
    assert set(eventful.alarms()["*", "x"]) >= {2, *SHIFTED}
    left = eventful.query("select distinct threshold_source from monitoring.column_verdict_current")
    assert left["threshold_source"].tolist() == ["calibrated"]
    assert_repeated(eventful)


def test_a_pinned_share_of_new_categories_leaves_the_other_categories_judged(eventful: Story) -> None:
    run(eventful.monitor(thresholds={"unseen_share": 0.9, "columns": {"x": {"drift": {"psi": 0.5}}}}), range(DAYS))
    assert set(NOVEL) <= set(eventful.alarms()["*", "channel"])


def test_two_versions_in_a_window_are_judged_apart(story: Story) -> None:
    story.write_reference()
    for day in range(16):
        rows = story.toy.rows(day, 2 * ROWS)
        second = np.arange(len(rows)) % 2 == 1
        if day >= 10:
            rows.loc[second, "x"] += 1.5
        if day >= 5:
            rows["version"] = np.where(second, "v2", "v1")
        story.write(day, rows)
    run(story.monitor(), range(16))
    found = story.query(
        "select model_version, status, min(window_start) as first, max(window_start) as last"
        " from monitoring.column_verdict_current where column_name = 'x' group by 1, 2 order by 1, 2"
    )
    assert [tuple(row) for row in found.itertuples(index=False)] == [
        ("v1", "quiet", story.start(0), story.start(15)),
        ("v2", "alarm", story.start(10), story.start(15)),
        ("v2", "quiet", story.start(5), story.start(9)),
    ]
    (incident,) = story.incidents()
    assert incident.columns == ["x"] and incident.evidence["model_versions"] == ["v2"]


def test_a_segment_that_appears_and_vanishes_is_judged_while_it_is_there(story: Story) -> None:
    story.write_reference()
    for day in range(30):
        rows = story.toy.rows(day, 2 * ROWS)
        if not 8 <= day < 20:
            rows = rows[rows["region"] == "north"]
        elif day >= 14:
            rows.loc[rows["region"] == "south", "x"] += 1.5
        story.write(day, rows)
    segmented = {"segments": ["region"], "thresholds": {"columns": {"region": {"drift": {"psi": 99.0}}}}}
    run(story.monitor("whole", **segmented), range(30))
    found = story.query(
        "select segment, min(window_start) as first, max(window_start) as last"
        " from monitoring.column_verdict_current group by 1 order by 1"
    )
    assert [tuple(row) for row in found.itertuples(index=False)] == [
        ("*", story.start(0), story.start(29)),
        ("region=north", story.start(0), story.start(29)),
        ("region=south", story.start(8), story.start(19)),
    ]
    alarms = story.alarms("whole")
    assert alarms["region=south", "x"] == list(range(14, 20)) and ("region=north", "x") not in alarms
    pieces = story.monitor("pieces", **segmented)
    for days in ([25, 26, 27, 28, 29], [12, 13], range(12), range(14, 25)):
        run(pieces, days)
    assert story.said("pieces") == story.said("whole")


def test_too_few_values_are_not_judged_and_the_view_says_so(story: Story) -> None:
    story.write_reference()
    story.write(0, story.toy.rows(0, 30, shift=3.0))
    story.write(1, story.toy.rows(1, ROWS).assign(amount=np.nan))
    run(story.monitor(), range(2))
    rows = story.query("select * from monitoring.column_verdict_current order by window_start, column_name")
    few = rows[rows["window_start"] == story.start(0)]
    assert set(few["status"]) == {"abstained"} and few["drifted"].isna().all() and few["p_value"].isna().all()
    assert set(few["reason"]) == {"too few values to judge"} and few["threshold_source"].eq("calibrated").all()
    lost = rows[(rows["window_start"] == story.start(1)) & (rows["column_name"] == "amount")].iloc[0]
    assert (lost["status"], lost["moved"], lost["n_current"]) == ("alarm", "missing", 0)


def test_a_reference_without_times_is_replaced_by_what_the_windows_teach(story: Story) -> None:
    story.write_reference(timed=False)
    for day in range(35):
        story.write(day, shift=1.0 if day == 30 else 0.0)
    run(story.monitor("whole"), range(35))
    found = story.query(
        "select distinct window_start, threshold_source as source from monitoring.column_verdict_current"
        " where monitor = 'whole' and column_name = 'x' order by 1"
    )
    sources = found["source"].tolist()
    learnt = sources.index("learnt")
    assert 10 <= learnt <= 21 and set(sources[:learnt]) == {"provisional"} and set(sources[learnt:]) == {"learnt"}
    assert story.start(learnt).weekday() == 3, "learnt anew at the start of a week, counted from 1970"
    assert min(story.alarms("whole")["*", "x"]) == 30
    pieces = story.monitor("pieces")
    for days in ([34], range(20, 34), *([day] for day in range(20))):
        run(pieces, days)
    assert story.said("pieces") == story.said("whole")


def test_a_reference_of_few_days_says_so(story: Story) -> None:
    story.write_reference(days=8)
    for day in range(3):
        story.write(day, shift=2.0 if day == 2 else 0.0)
    run(story.monitor(), range(3))
    sources = story.query("select distinct threshold_source from monitoring.column_verdict_current")
    assert sources["threshold_source"].tolist() == ["calibrated-short"]
    assert story.alarms()["*", "x"] == [2]


def test_another_reference_judges_all_windows_again(story: Story) -> None:
    story.write_reference()
    for day in range(6):
        story.write(day)
    run(story.monitor(), range(6))
    assert ("*", "x") not in story.alarms()
    days = [story.toy.rows(story.start(-n).date(), ROWS, 1.0) for n in range(42, 0, -1)]
    story.toy.write_reference(pd.concat(days))
    run(story.monitor(), range(6))
    assert story.alarms()["*", "x"] == list(range(6))
