"""Stories of the ledger: what comes late, what fails, and what is therefore out of date."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

from monitoring_pipeline.monitors import Window
from monitoring_pipeline.records import STAGES, Contract, Stage
from monitoring_pipeline.warehouse import ledger, profile_store
from monitoring_pipeline.warehouse.database import Warehouse

from . import samples as s

DAYS = [s.window(i) for i in range(3)]


@pytest.fixture
def declared(any_warehouse: Warehouse) -> Warehouse:
    with any_warehouse.transaction() as conn:
        ledger.declare_monitor(conn, s.monitor())
    return any_warehouse


def take_in(conn: Connection, windows: Sequence[Window], data_version: str = "d1") -> None:
    revisions = ledger.source_revisions(conn, s.NAME, windows)
    for window in windows:
        ledger.record_ingested(conn, s.NAME, s.taken(window, data_version), revisions[window.start], "run-1")


def compute(
    conn: Connection, windows: Sequence[Window], stages: Sequence[Stage] = STAGES, config: str | None = None
) -> None:
    """What a run does: every stage, from what there is now."""
    versions = ledger.ingested(conn, s.NAME, windows)
    batches = ledger.latest_batch(conn, s.NAME, windows)
    for stage in stages:
        for window in windows:
            on_labels = stage in ("performance", "ground_truth")
            ledger.complete_stage(
                conn, s.NAME, window, stage, data_version=versions[window.start].data_version,
                label_batch=batches[window.start] if on_labels else None,
                config_version=config or s.monitor().config_version, code_version="0.1.0", run_id="run-1",
            )  # fmt: skip


def stale(conn: Connection, **options: Any) -> set[tuple[int, str, str]]:
    found = ledger.stale_windows(conn, s.NAME, **options)
    return {((w.window.start - s.T0).days, w.stage, w.reason) for w in found}


@pytest.fixture
def settled(declared: Warehouse) -> Warehouse:
    """Three days, one file each, everything computed."""
    with declared.transaction() as conn:
        ledger.record_files(conn, s.NAME, "predictions", [s.file(f"day{i}", [d]) for i, d in enumerate(DAYS)])
        take_in(conn, DAYS)
    with declared.transaction() as conn:
        compute(conn, DAYS)
        assert stale(conn) == set()
    return declared


def test_rows_that_come_after_ingestion_make_their_windows_stale(settled: Warehouse) -> None:
    with settled.transaction() as conn:
        ledger.record_files(conn, s.NAME, "predictions", [s.file("late", DAYS[:2])])
        assert stale(conn) == {(0, "ingestion", "source"), (1, "ingestion", "source")}
        take_in(conn, DAYS[:2], "d2")
        assert stale(conn) == {(d, st, "data") for d in (0, 1) for st in ("profile", "drift", "quality", "performance")}
    with settled.transaction() as conn:
        compute(conn, DAYS[:2])
        assert stale(conn) == {(2, "drift", "baseline")}, "the day after is compared with a day that changed"
    with settled.transaction() as conn:
        compute(conn, DAYS[2:])
        assert stale(conn) == set()


def test_without_the_previous_baseline_the_day_after_does_not_mind(settled: Warehouse) -> None:
    alone = s.monitor(baselines=("training",))
    with settled.transaction() as conn:
        ledger.declare_monitor(conn, alone)
        take_in(conn, DAYS[:1], "d2")
    with settled.transaction() as conn:
        compute(conn, DAYS[:1], config=alone.config_version)
        assert {(d, r) for d, _, r in stale(conn)} == {(1, "config"), (2, "config")}


def test_a_file_that_moved_its_rows_elsewhere_touches_both_windows(settled: Warehouse) -> None:
    with settled.transaction() as conn:
        ledger.record_files(conn, s.NAME, "predictions", [s.file("day0", [DAYS[2]], size=11)])
        assert stale(conn) == {(0, "ingestion", "source"), (2, "ingestion", "source")}
        assert ledger.files_of_windows(conn, s.NAME, "predictions", DAYS) == {
            DAYS[0].start: [], DAYS[1].start: ["day1"], DAYS[2].start: ["day0", "day2"],
        }  # fmt: skip
        assert ledger.windows_with_sources(conn, s.NAME) == DAYS[1:]


def test_a_file_seen_again_unchanged_touches_nothing(settled: Warehouse) -> None:
    with settled.transaction() as conn:
        ledger.record_files(conn, s.NAME, "predictions", [s.file("day0", [DAYS[0]])])
        assert stale(conn) == set()
        assert ledger.known_files(conn, s.NAME, "predictions")["day0"] == s.file("day0", []).version
        assert ledger.known_files(conn, s.NAME, "ground_truth") == {}


def test_a_file_that_became_unreadable_keeps_its_windows_and_says_why(settled: Warehouse) -> None:
    with settled.transaction() as conn:
        ledger.record_files(conn, s.NAME, "predictions", [s.file("day1", [], size=3, error="truncated")])
        assert stale(conn) == {(1, "ingestion", "source")}
        assert ledger.files_of_window(conn, s.NAME, "predictions", DAYS[1]) == ["day1"]
        assert ledger.unreadable_files(conn, s.NAME) == {"day1": "truncated"}


def test_late_labels_make_just_their_windows_stale(settled: Warehouse) -> None:
    with settled.transaction() as conn:
        ledger.record_files(conn, s.NAME, "ground_truth", [s.file("labels-a", []), s.file("labels-b", [])])
        assert ledger.unread_label_files(conn, s.NAME) == ["labels-a", "labels-b"]
        assert ledger.next_batch(conn, s.NAME) == 1
        ledger.record_batch(conn, s.NAME, s.batch(1, [DAYS[0], DAYS[2]]), ["labels-a"], "run-2")
        assert ledger.unread_label_files(conn, s.NAME) == ["labels-b"]
        assert ledger.latest_batch(conn, s.NAME, DAYS) == {DAYS[0].start: 1, DAYS[1].start: 0, DAYS[2].start: 1}
        assert stale(conn) == {(0, "performance", "labels"), (2, "performance", "labels")}
        compute(conn, [DAYS[0]], ["performance"])
        assert stale(conn) == {(2, "performance", "labels")}
        assert ledger.next_batch(conn, s.NAME) == 2
        ledger.record_batch(conn, s.NAME, s.batch(2, [DAYS[0]]), ["labels-b"], "run-3")
        assert stale(conn) == {(0, "performance", "labels"), (2, "performance", "labels")}
        assert ledger.label_files(conn, s.NAME, DAYS[:2]) == {
            DAYS[0].start: ["lake/labels-1-01.parquet", "lake/labels-2-01.parquet"], DAYS[1].start: [],
        }  # fmt: skip


def test_a_label_file_that_grew_is_read_again(settled: Warehouse) -> None:
    with settled.transaction() as conn:
        ledger.record_files(conn, s.NAME, "ground_truth", [s.file("labels", [])])
        ledger.record_batch(conn, s.NAME, s.batch(1, DAYS[:1]), ["labels"], None)
        assert ledger.unread_label_files(conn, s.NAME) == []
        ledger.record_files(conn, s.NAME, "ground_truth", [s.file("labels", [], size=99)])
        assert ledger.unread_label_files(conn, s.NAME) == ["labels"]
        ledger.record_files(conn, s.NAME, "ground_truth", [s.file("labels", [], size=5, error="broken in row 3")])
        assert ledger.unread_label_files(conn, s.NAME) == [], (
            "what cannot be read is reported, not read again and again"
        )


def test_labels_before_predictions_wait_until_windows_come_in(declared: Warehouse) -> None:
    with declared.transaction() as conn:
        assert not ledger.pending_may_match(conn, s.NAME)
        ledger.record_batch(conn, s.NAME, s.batch(1, [], n_unknown=7), [], None)
        assert ledger.pending_label_files(conn, s.NAME) == ["lake/pending-1.parquet"]
        assert not ledger.pending_may_match(conn, s.NAME)
        take_in(conn, DAYS[:1])
        assert ledger.pending_may_match(conn, s.NAME)
        ledger.record_batch(conn, s.NAME, s.batch(2, DAYS[:1]), [], None)
        assert ledger.pending_label_files(conn, s.NAME) == []
        assert not ledger.pending_may_match(conn, s.NAME)
        unknown = conn.execute(
            text("select batch, n_unknown, n_matched_ever from monitoring.label_batch_current")
        ).all()
    assert unknown == [(2, 0, 10)]


def test_a_run_killed_between_stages_leaves_the_rest_stale(declared: Warehouse) -> None:
    with declared.transaction() as conn:
        take_in(conn, DAYS[:1])
        compute(conn, DAYS[:1], ["ingestion", "profile"])
        assert stale(conn) == {(0, "drift", "data"), (0, "quality", "data")}


def test_a_changed_declaration_makes_metrics_stale_as_config(settled: Warehouse) -> None:
    changed = s.monitor(thresholds={"drift": {"psi": 0.1}})
    with settled.transaction() as conn:
        ledger.declare_monitor(conn, changed)
        assert stale(conn) == {(d, st, "config") for d in range(3) for st in ("drift", "quality", "performance")}
        compute(conn, DAYS, config=changed.config_version)
        assert stale(conn) == set()
        kept = conn.execute(text("select count(*) from monitoring.monitor_declaration")).scalar()
    assert kept == 2


def test_a_new_reference_makes_what_was_counted_by_the_old_one_stale(settled: Warehouse) -> None:
    with settled.transaction() as conn:
        profile_store.save_reference(conn, s.reference(), "r1", None)
        stages = ("profile", "drift", "quality", "performance")
        assert stale(conn) == {(d, st, "reference") for d in range(3) for st in stages}
    with settled.transaction() as conn:
        compute(conn, DAYS)
        assert stale(conn) == set()


def test_a_poisoned_day_is_tried_three_times_then_given_up_until_something_changes(settled: Warehouse) -> None:
    bad = DAYS[1]
    with settled.transaction() as conn:
        ledger.record_files(conn, s.NAME, "predictions", [s.file("poison", [bad])])
    for attempt in range(3):
        with settled.transaction() as conn:
            (found,) = ledger.stale_windows(conn, s.NAME)
            assert (found.window, found.attempts) == (bad, attempt)
            ledger.fail_stage(
                conn, s.NAME, bad, "ingestion", "row 7: no such date", label_batch=None, run_id=f"run-{attempt}"
            )
    with settled.transaction() as conn:
        assert stale(conn) == set()
        assert stale(conn, max_attempts=4) == {(1, "ingestion", "source")}
        state = ledger.stage_states(conn, s.NAME, [bad])[bad.start, "ingestion"]
        assert (state.attempts, state.last_error, state.data_version) == (3, "row 7: no such date", "d1")
        status = conn.execute(
            text("select stale, last_error from monitoring.window_status where window_start = :w"), {"w": bad.start}
        ).one()
        assert status == (True, "ingestion: row 7: no such date")
        ledger.record_files(conn, s.NAME, "predictions", [s.file("poison", [bad], size=12)])
        assert [w.attempts for w in ledger.stale_windows(conn, s.NAME)] == [0], "a mended file is tried again"
        take_in(conn, [bad], "d2")
        compute(conn, [bad])
        assert ledger.stage_states(conn, s.NAME, [bad])[bad.start, "ingestion"].last_error is None


def test_a_window_that_never_came_in_is_tried_again_and_shown(declared: Warehouse) -> None:
    with declared.transaction() as conn:
        ledger.record_files(conn, s.NAME, "predictions", [s.file("day0", DAYS[:1])])
        assert stale(conn) == set(), "what nobody asked for is not stale"
        ledger.fail_stage(conn, s.NAME, DAYS[0], "ingestion", "truncated", label_batch=None, run_id=None)
        assert stale(conn) == {(0, "ingestion", "failed")}
        row = conn.execute(text("select n_rows, coverage, stale, last_error from monitoring.window_status")).one()
    assert row == (None, None, True, "ingestion: truncated")


def test_failures_on_labels_count_per_batch(settled: Warehouse) -> None:
    with settled.transaction() as conn:
        ledger.record_batch(conn, s.NAME, s.batch(1, DAYS[:1]), [], None)
        for _ in range(3):
            ledger.fail_stage(conn, s.NAME, DAYS[0], "performance", "boom", label_batch=1, run_id=None)
        assert stale(conn) == set()
        ledger.record_batch(conn, s.NAME, s.batch(2, DAYS[:1]), [], None)
        assert stale(conn) == {(0, "performance", "labels")}
        ledger.fail_stage(conn, s.NAME, DAYS[0], "performance", "boom", label_batch=2, run_id=None)
        assert [w.attempts for w in ledger.stale_windows(conn, s.NAME)] == [1]


def test_coverage_is_the_labelled_share(settled: Warehouse) -> None:
    with settled.transaction() as conn:
        profile_store.save_layout(conn, s.layout())
        for version, n in (("1", 30), ("2", 10)):
            kept = s.labelled(DAYS[0], 1, n_labelled=n, version=version)
            other = s.labelled(DAYS[0], 1, n_labelled=5, version=version, segment="plan=basic")
            profile_store.save_labelled(conn, s.NAME, DAYS[0], [kept, other])
        shown = conn.execute(
            text("select n_labelled, coverage, stale from monitoring.window_status order by window_start")
        ).all()
    assert shown == [(10, 0.1, False), (0, 0.0, False), (0, 0.0, False)]


def test_what_was_taken_in_reads_back(declared: Warehouse) -> None:
    with declared.transaction() as conn:
        kept = s.taken(DAYS[0])
        assert ledger.record_ingested(conn, s.NAME, kept, 1, "run-1") is True
        assert ledger.record_ingested(conn, s.NAME, kept, 1, "run-2") is False
        assert ledger.ingested(conn, s.NAME) == {DAYS[0].start: kept}
        changed = replace(
            kept, n_rows=99, data_version="d2", quarantine={}, n_quarantined=0, contract=Contract(), last_event=None
        )
        assert ledger.record_ingested(conn, s.NAME, changed, 2, "run-3") is True
        assert ledger.ingested(conn, s.NAME, DAYS) == {DAYS[0].start: changed}
        assert ledger.ingested(conn, s.NAME, []) == {}


def test_nonsense_in_the_ledger_is_refused(declared: Warehouse) -> None:
    kept = s.taken(DAYS[0])
    for nonsense in (
        replace(kept, n_rows=-1),
        replace(kept, data_version=""),
        replace(kept, last_event=DAYS[0].end),
    ):
        with pytest.raises(IntegrityError), declared.transaction() as conn:
            ledger.record_ingested(conn, s.NAME, nonsense, 1, None)
    with pytest.raises(IntegrityError), declared.transaction() as conn:
        ledger.record_batch(conn, s.NAME, s.batch(1, [s.window(50)]), [], None)  # labels of a window nobody took in
    for statement in (
        "update monitoring.monitor set task = 'poetry'",
        "update monitoring.monitor set label_coverage = 1.5",
        "insert into monitoring.window_stage (monitor, window_start, window_end, stage)"
        " values ('churn', now(), now(), 'drift')",
    ):
        with pytest.raises(IntegrityError), declared.transaction() as conn:
            conn.execute(text(statement))


def test_two_runs_of_a_window_take_turns(declared: Warehouse) -> None:
    free = text("select pg_try_advisory_xact_lock(hashtextextended(:window, 0))")
    of = {"window": f"monitoring:{s.NAME}:{DAYS[0].start.isoformat()}"}
    with declared.transaction() as first:
        ledger.lock_window(first, s.NAME, DAYS[0])
        with declared.transaction() as second:
            assert second.execute(free, of).scalar() is False
            ledger.lock_window(second, s.NAME, DAYS[1])
    with declared.transaction() as third:
        assert third.execute(free, of).scalar() is True
