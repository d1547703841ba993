"""Stories of the ledger: what comes late, what fails, and what is therefore out of date."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

from monitoring_pipeline.monitors import Monitor, Window
from monitoring_pipeline.records import Contract
from monitoring_pipeline.stages.baselines import shifted, usual_windows, windows_before
from monitoring_pipeline.stages.catalogue import BY_NAME, STAGES
from monitoring_pipeline.stages.declaring import declare
from monitoring_pipeline.stages.inputs import Inputs, earlier, output_version, references_read
from monitoring_pipeline.warehouse import ledger, profile_store
from monitoring_pipeline.warehouse.database import Warehouse
from monitoring_pipeline.warehouse.fleet import stale_windows

from . import samples as s

DAYS = [s.window(i) for i in range(3)]
ALL = tuple(stage.name for stage in STAGES)
ON_DATA = ("profile", "ground_truth", "quality", "drift", "performance", "estimation")
ON_POLICY = ("verdicts", "incidents")
AFTER_POLICY = (*ON_POLICY, "rollups")  # without a rollup declared, these read no policy
READ_STAGES = {
    "verdicts": ("quality", "drift", "performance", "estimation"),
    "incidents": ("verdicts",),
    "rollups": ("profile", "ground_truth", "verdicts"),
}
ON_LABELS = ("ground_truth", "quality", "drift", "performance")


@pytest.fixture
def declared(any_warehouse: Warehouse) -> Warehouse:
    with any_warehouse.transaction() as conn:
        declare(conn, s.monitor())
    return any_warehouse


def take_in(conn: Connection, windows: Sequence[Window], data_version: str = "d1") -> None:
    revisions = ledger.source_revisions(conn, s.NAME, windows)
    for window in windows:
        ledger.record_ingested(conn, s.NAME, s.taken(window, data_version), revisions[window.start], "run-1")
    compute(conn, windows, ["ingestion"])


def compute(
    conn: Connection, windows: Sequence[Window], stages: Sequence[str] = ALL, monitor: Monitor | None = None
) -> None:
    """What a run does: every stage, from what there is now, noting what it read."""
    monitor = monitor or s.monitor()
    versions = ledger.ingested(conn, s.NAME, windows)
    for stage in stages:
        for window in windows:
            read = inputs_of(conn, monitor, window, stage)
            named = {"config": BY_NAME[stage].config(monitor)}
            ledger.complete_stage(
                conn, s.NAME, window, stage, data_version=versions[window.start].data_version,
                label_batch=int(read["labels"] or 0) if "labels" in read else None,
                config_version=monitor.config_version, code_version="0.1.0", run_id="run-1",
                inputs=read | named, output_version=output_version(stage, read),
            )  # fmt: skip


def inputs_of(conn: Connection, monitor: Monitor, window: Window, stage: str) -> Inputs:
    """Versions of what a stage reads, as the stages themselves record them."""
    taken = ledger.ingested(conn, s.NAME)
    past = [shifted(window, -by) for by in windows_before("previous", window)]
    states = ledger.stage_states(conn, s.NAME, [window, *past])

    def output(of: str, start: datetime) -> str | None:
        state = states.get((start, of))
        return None if state is None or state.completed_at is None else state.output_version

    read: Inputs = {}
    for kind in BY_NAME[stage].reads:
        if kind == "sources":
            read[kind] = str(ledger.source_revisions(conn, s.NAME, [window])[window.start])
        elif kind == "data":
            read[kind] = taken[window.start].data_version
        elif kind == "labels":
            read[kind] = str(ledger.latest_batch(conn, s.NAME, [window])[window.start])
        elif kind == "reference":
            read |= references_read(monitor, ["1"], profile_store.reference_versions(conn, s.NAME))
        elif kind == "stage":
            of = READ_STAGES.get(stage, ("profile",))
            read |= {f"stage:{one}": output(one, window.start) for one in of}
        elif kind == "rows":
            for one in usual_windows(window):
                before = taken.get(one.start)
                read[earlier("rows", window.start - one.start)] = before.data_version if before else None
        elif kind == "profile" and stage == "drift" and "previous" in monitor.baselines:
            for by in windows_before("previous", window):
                joined = states.get((window.start - by, "ground_truth"))
                read[earlier("profile", by)] = output("profile", window.start - by)
                read[earlier("labels", by)] = joined.inputs["labels"] if joined and joined.completed_at else None
                if read[earlier("profile", by)] is not None:
                    break
        elif kind == "aged":
            read[kind] = str(datetime.now(UTC) >= window.end + monitor.labels.max_delay).lower()
    return read


def stale(conn: Connection, **options: Any) -> set[tuple[int, str, str]]:
    found = stale_windows(conn, [s.NAME], **options)[s.NAME]
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
        assert stale(conn) == {(d, stage, "data") for d in (0, 1) for stage in ON_DATA}
    with settled.transaction() as conn:
        compute(conn, DAYS[:2])
        assert stale(conn) == {(2, "drift", "baseline")}, "the day after is compared with a day that changed"
    with settled.transaction() as conn:
        compute(conn, DAYS[2:])
        assert stale(conn) == set()


def test_without_the_previous_baseline_the_day_after_does_not_mind(settled: Warehouse) -> None:
    alone = s.monitor(baselines=("training",))
    with settled.transaction() as conn:
        declare(conn, alone)
        take_in(conn, DAYS[:1], "d2")
    with settled.transaction() as conn:
        compute(conn, DAYS[:1], monitor=alone)
        # The second day's comparison still is the one with the day before, which has changed.
        assert stale(conn) == {(1, "drift", "baseline"), (2, "drift", "config")}
        compute(conn, DAYS[1:], monitor=alone)
        take_in(conn, DAYS[:1], "d3")
    with settled.transaction() as conn:
        compute(conn, DAYS[:1], monitor=alone)
        assert stale(conn) == set()


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
        assert ledger.files_of_windows(conn, s.NAME, "predictions", [DAYS[1]]) == {DAYS[1].start: ["day1"]}
        assert ledger.unreadable_files(conn, s.NAME) == {"day1": "truncated"}


def test_late_labels_make_just_their_windows_stale(settled: Warehouse) -> None:
    with settled.transaction() as conn:
        ledger.record_files(conn, s.NAME, "ground_truth", [s.file("labels-a", []), s.file("labels-b", [])])
        assert ledger.unread_label_files(conn, s.NAME) == ["labels-a", "labels-b"]
        assert ledger.next_batch(conn, s.NAME) == 1
        ledger.record_batch(conn, s.NAME, s.batch(1, [DAYS[0], DAYS[2]]), ["labels-a"], "run-2")
        assert ledger.unread_label_files(conn, s.NAME) == ["labels-b"]
        assert ledger.latest_batch(conn, s.NAME, DAYS) == {DAYS[0].start: 1, DAYS[1].start: 0, DAYS[2].start: 1}
        assert stale(conn) == {(d, stage, "labels") for d in (0, 2) for stage in ON_LABELS}
        compute(conn, [DAYS[0]], (*ON_LABELS, "verdicts", "incidents", "rollups"))
        the_rest = {(2, stage, "labels") for stage in ON_LABELS}
        after = {(1, "drift", "baseline")}
        assert stale(conn) == the_rest | after, "the day after is compared with a day that has other outcomes"
        assert ledger.next_batch(conn, s.NAME) == 2
        ledger.record_batch(conn, s.NAME, s.batch(2, [DAYS[0]]), ["labels-b"], "run-3")
        assert stale(conn) == the_rest | after | {(0, stage, "labels") for stage in ON_LABELS}
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
        rest = ("quality", "drift", "estimation", "verdicts", "incidents", "rollups")
        assert stale(conn) == {(0, stage, "data") for stage in rest}


def test_a_changed_threshold_makes_verdicts_and_incidents_stale_and_nothing_else(settled: Warehouse) -> None:
    changed = s.monitor(thresholds={"drift": {"psi": 0.1}})
    with settled.transaction() as conn:
        declare(conn, changed)
        assert stale(conn) == {(d, stage, "policy") for d in range(3) for stage in ON_POLICY}
        compute(conn, DAYS, AFTER_POLICY, monitor=changed)
        assert stale(conn) == set()
        kept = conn.execute(text("select count(*) from monitoring.monitor_declaration")).scalar()
    assert kept == 2


def test_a_new_reference_makes_what_was_counted_by_the_old_one_stale(settled: Warehouse) -> None:
    with settled.transaction() as conn:
        profile_store.save_reference(conn, s.reference(), "r1", None)
        assert stale(conn) == {(d, stage, "reference") for d in range(3) for stage in ON_DATA}
    with settled.transaction() as conn:
        compute(conn, DAYS)
        assert stale(conn) == set()


def test_a_poisoned_day_is_tried_three_times_then_given_up_until_something_changes(settled: Warehouse) -> None:
    bad = DAYS[1]
    with settled.transaction() as conn:
        ledger.record_files(conn, s.NAME, "predictions", [s.file("poison", [bad])])
    for attempt in range(3):
        with settled.transaction() as conn:
            (found,) = stale_windows(conn, [s.NAME])[s.NAME]
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
        assert [w.attempts for w in stale_windows(conn, [s.NAME])[s.NAME]] == [0], "a mended file is tried again"
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
        assert stale(conn) == {(0, stage, "labels") for stage in ON_LABELS}
        ledger.fail_stage(conn, s.NAME, DAYS[0], "performance", "boom", label_batch=2, run_id=None)
        attempts = {w.stage: w.attempts for w in stale_windows(conn, [s.NAME])[s.NAME]}
        assert attempts == dict.fromkeys(ON_LABELS, 0) | {"performance": 1}


def test_a_changed_segmentation_makes_what_is_counted_by_it_stale(settled: Warehouse) -> None:
    cut = s.monitor(segments=["plan"])
    with settled.transaction() as conn:
        declare(conn, cut)
        assert stale(conn) == {(d, stage, "config") for d in range(3) for stage in ("profile", "ground_truth")}


def test_a_window_that_comes_of_age_is_judged_again(settled: Warehouse) -> None:
    patient = s.monitor(labels={"max_delay": "9999d"})
    with settled.transaction() as conn:
        declare(conn, patient)
        compute(conn, DAYS, ("estimation", *AFTER_POLICY), monitor=patient)
        assert stale(conn) == set()
        conn.execute(text("update monitoring.monitor set label_max_delay = now() - :end"), {"end": DAYS[1].end})
        assert stale(conn) == {(0, "verdicts", "maturity"), (1, "verdicts", "maturity")}


def test_what_was_looked_for_and_not_found_counts_when_it_appears(declared: Warehouse) -> None:
    """The second day was empty when the third was compared with the first."""
    with declared.transaction() as conn:
        take_in(conn, [DAYS[0], DAYS[2]])
        compute(conn, [DAYS[0], DAYS[2]])
        assert stale(conn) == set()
        take_in(conn, [DAYS[0]], "d2")
        compute(conn, [DAYS[0]])
        assert stale(conn) == {(2, "drift", "baseline")}, "looked back over the empty day"
        compute(conn, [DAYS[2]])
        take_in(conn, [DAYS[1]])
        compute(conn, [DAYS[1]])
        assert stale(conn) == {(2, "drift", "baseline")}, "there is a nearer day now"
        compute(conn, [DAYS[2]])
        take_in(conn, [DAYS[0]], "d3")
        compute(conn, [DAYS[0]])
        assert stale(conn) == {(1, "drift", "baseline")}, "the first day is no longer what the third is compared with"


def test_stage_input_says_what_differs(settled: Warehouse) -> None:
    with settled.transaction() as conn:
        take_in(conn, DAYS[1:2], "d2")
        differs = conn.execute(
            text("select stage, input, recorded, now from monitoring.stage_input where recorded is distinct from now")
        ).all()
    assert {tuple(row) for row in differs} == {(stage, "data", "d1", "d2") for stage in ON_DATA}


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
