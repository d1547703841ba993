"""Rows and labels come late, twice, for nobody, or before what they belong to."""

from __future__ import annotations

import pandas as pd

from monitoring_pipeline_tests import toy
from monitoring_pipeline_tests.front_door import FrontDoor, asked
from monitoring_pipeline_tests.toy import ready

JUDGED = ("estimated_performance", "verdicts", "incidents", "rollups")
AFTER_LABELS = ("ground_truth", "quality", "drift", "performance", *JUDGED)
AFTER_DRIFT = ("drift", "performance", *JUDGED)
EVERYTHING = (
    "predictions",
    "profile",
    "ground_truth",
    "quality",
    "drift",
    "performance",
    *JUDGED,
)


def test_four_late_days_become_two_range_runs(door: FrontDoor) -> None:
    it, monitor = ready(door.base, 8, labelled=False)
    assert door.run(monitor, 0, 7) is None
    assert door.ask(monitor, "new_labels") == door.ask(monitor, "stale_windows") == []
    # Half of the labels of the second, third, sixth and seventh day come with the first batch …
    late = pd.concat([it.rows(d) for d in (1, 2, 5, 6)])
    it.write_labels(late.iloc[::2], "first")
    (intake,) = door.ask(monitor, "new_labels")
    assert asked([intake]) == [("2024-03-08", "2024-03-08", AFTER_LABELS)]
    assert door.do(monitor, intake)

    requests = door.ask(monitor, "stale_windows")
    assert asked(requests) == [
        ("2024-03-02", "2024-03-03", AFTER_LABELS),
        ("2024-03-06", "2024-03-07", AFTER_LABELS),
    ]
    assert {r.tags["monitoring/from_stage"] for r in requests} == {"ground_truth"}
    assert all(door.do(monitor, request) for request in requests)
    # The days after are compared with days whose outcomes changed.
    requests = door.ask(monitor, "stale_windows")
    assert asked(requests) == [("2024-03-04", "2024-03-04", AFTER_DRIFT), ("2024-03-08", "2024-03-08", AFTER_DRIFT)]
    assert all(door.do(monitor, request) for request in requests)
    assert door.ask(monitor, "stale_windows") == door.ask(monitor, "new_labels") == []

    # … the other half with the second: figures get a second revision, and the first stays.
    it.write_labels(late.iloc[1::2], "second")
    for request in door.ask(monitor, "new_labels") + door.ask(monitor, "stale_windows"):
        assert door.do(monitor, request)
    requests = door.ask(monitor, "stale_windows")
    assert len(requests) == 2 and all(door.do(monitor, request) for request in requests)
    requests = door.ask(monitor, "stale_windows")
    assert len(requests) == 2 and all(door.do(monitor, request) for request in requests)
    assert door.ask(monitor, "stale_windows") == []
    history = door.query(
        "select value, n_labelled, as_known_at, superseded_at from monitoring.performance_history"
        " where window_start = :w and metric = 'accuracy' and kind = 'realized' and segment = '*' order by as_known_at",
        w=toy.day(2).start,
    )
    assert history["n_labelled"].tolist() == [0, toy.N_ROWS // 2, toy.N_ROWS][-len(history) :]
    assert history["as_known_at"].is_monotonic_increasing and history["as_known_at"].is_unique
    assert history["superseded_at"].tolist()[:-1] == history["as_known_at"].tolist()[1:]
    day = it.rows(2)
    current = door.query(
        "select value, n_labelled from monitoring.performance_current"
        " where window_start = :w and metric = 'accuracy' and kind = 'realized' and segment = '*'",
        w=toy.day(2).start,
    )
    assert current["n_labelled"].tolist() == [toy.N_ROWS]
    assert abs(current["value"].item() - (day["y"] == day["predicted"]).mean()) < 1e-12


def test_late_rows_make_their_window_and_the_next_one_s_comparison_stale(door: FrontDoor) -> None:
    it, monitor = ready(door.base, 4)
    assert door.run(monitor, 0, 3) is None
    more = it.rows(1, 420).iloc[300:]
    it.write_log(more.assign(id="late-" + more["id"]), "straggler")

    requests = door.ask(monitor, "stale_windows")
    assert asked(requests) == [("2024-03-02", "2024-03-02", EVERYTHING)]
    assert door.do(monitor, requests[0])
    n_rows = "select n_rows from monitoring.window_status order by window_start"
    assert door.query(n_rows)["n_rows"].tolist() == [300, 420, 300, 300]
    # The third day was held against the second: that comparison is now out of date.
    (follow_up,) = door.ask(monitor, "stale_windows")
    assert asked([follow_up])[0][:2] == ("2024-03-03", "2024-03-03")
    assert door.do(monitor, follow_up)
    n_reference = door.query(
        "select distinct n_reference from monitoring.drift_current where window_start = :w and baseline = 'previous'"
        " and segment = '*' and column_name = 'amount' and method = 'psi'",
        w=toy.day(2).start,
    )
    assert n_reference["n_reference"].tolist() == [420]
    assert door.ask(monitor, "stale_windows") == []


def test_days_that_came_while_the_daemon_was_down_are_filled_in(door: FrontDoor) -> None:
    it, monitor = ready(door.base, 2)
    assert door.run(monitor, 0, 1) is None
    it.write_days([2, 3, 4])
    assert door.ask(monitor, "stale_windows") == []  # newer than all: the hourly ingestion's business
    assert door.run(monitor, 4) is None
    (request,) = door.ask(monitor, "stale_windows")
    assert asked([request]) == [("2024-03-03", "2024-03-04", EVERYTHING)]
    assert door.do(monitor, request)
    for request in door.ask(monitor, "stale_windows"):
        assert door.do(monitor, request)
    assert door.ask(monitor, "stale_windows") == []


def test_labels_for_nobody_twice_and_too_early_are_counted(door: FrontDoor) -> None:
    it, monitor = ready(door.base, 1, labelled=False)
    today, tomorrow = it.rows(0), it.rows(1)
    strangers = today.head(7).assign(id=[f"nobody-{i}" for i in range(7)])
    corrected = today.head(5).assign(y=1 - today["y"].head(5))
    it.write_labels(pd.concat([today, strangers, tomorrow]), "everything")
    it.write_labels(corrected, "second thoughts", pd.Timedelta(days=2))
    assert door.run(monitor, 0) is None

    batch = door.query("select * from monitoring.label_batch_current").iloc[0]
    assert batch["n_rows"] == 300 + 7 + 300 + 5
    assert (batch["n_matched"], batch["n_unknown"], batch["n_duplicates"]) == (300, 307, 5)
    truth = today["y"].where(~today["id"].isin(corrected["id"]), 1 - today["y"])
    accuracy = (
        "select value from monitoring.performance_current"
        " where metric = 'accuracy' and kind = 'realized' and segment = '*'"
    )
    assert abs(door.query(accuracy).iat[0, 0] - (truth == today["predicted"]).mean()) < 1e-12

    # The predictions that those labels were waiting for arrive: nothing has to be delivered twice.
    it.write_log(tomorrow, "2024-03-02")
    assert door.run(monitor, 1) is None
    coverage = door.query("select coverage from monitoring.window_status order by window_start")
    assert coverage["coverage"].tolist() == [1.0, 1.0]
    assert door.query("select n_unknown from monitoring.label_batch_current").iat[0, 0] == 7


def test_a_label_file_delivered_again_makes_nothing_stale(door: FrontDoor) -> None:
    it, monitor = ready(door.base, 2)
    assert door.run(monitor, 0, 1) is None
    it.write_labels(pd.concat([it.rows(0), it.rows(1)]), "all of it again")
    for request in door.ask(monitor, "new_labels"):
        assert door.do(monitor, request)
    assert door.ask(monitor, "stale_windows") == door.ask(monitor, "new_labels") == []
