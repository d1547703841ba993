"""Decisions about retraining, from files to rows: history replayed day by day, waits folded, evidence used once."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pandas as pd
import pytest

from monitoring_pipeline.errors import UserError
from monitoring_pipeline.retraining.context import RetrainContext
from monitoring_pipeline.stages.declaring import declare
from monitoring_pipeline.stages.retrain_decisions import ask, evaluate
from monitoring_pipeline.warehouse import retrain_decisions
from monitoring_pipeline.warehouse.attempt_store import set_outcome
from monitoring_pipeline.warehouse.model_versions import know_version
from monitoring_pipeline.warehouse.retrain_decisions import DecisionRow
from monitoring_pipeline_tests import toy
from monitoring_pipeline_tests.retraining.flipped import (
    DAYS,
    EASY,
    FLIPPED,
    LAG,
    end_of,
    replay,
    with_policy,
)
from monitoring_pipeline_tests.stages.story import ROWS, Story, run


def rows_of(ctx: RetrainContext) -> Sequence[DecisionRow]:
    return ctx.warehouse.run(lambda conn: retrain_decisions.decisions(conn, ctx.monitor.name))


def finish(ctx: RetrainContext, row: DecisionRow, outcome: str) -> None:
    ctx.warehouse.run(lambda conn: set_outcome(conn, row.decision_id, outcome, None))


def test_history_is_replayed_as_it_was_known(flipped: Story) -> None:
    ctx = with_policy(flipped, when={"performance": {}})
    replay(ctx, range(2, DAYS))
    first, fired, *later = rows_of(ctx)
    # The flip shows when all labels of its first day have arrived, and not before.
    assert (first.decision, first.trigger, first.n_evaluations) == ("wait", "none", FLIPPED + LAG - 2)
    assert first.as_of == end_of(FLIPPED + LAG - 1)
    assert (fired.decision, fired.trigger, fired.as_of) == ("retrain", "performance", end_of(FLIPPED + LAG))
    assert fired.evidence["keys"] == [f"performance:realized@{toy.day(FLIPPED).start.isoformat()}"]
    assert fired.evidence["first_window"] == toy.day(FLIPPED).start.isoformat()
    (busy,) = later
    assert busy.decision == "wait" and busy.n_evaluations == DAYS - FLIPPED - LAG - 1
    assert busy.evidence["guards"][0]["guard"] == "open attempt"
    seen = flipped.query("select * from monitoring.retrain_decision_current order by decision_id")
    assert (
        seen["reason"].tolist()[1].startswith("Retrain: performance is degraded in 1 of the newest mature window (roc")
    )
    assert seen["policy_version"].nunique() == 1 and seen["last_evaluated_at"].is_monotonic_increasing


def test_evidence_fires_once_and_new_windows_fire_again(flipped: Story) -> None:
    ctx = with_policy(flipped, when={"performance": {}}, cooldown="3d")
    (fired,) = replay(ctx, [FLIPPED + 2])
    finish(ctx, fired, "failed")
    assert {row.decision for row in replay(ctx, [FLIPPED + 2] * 2)} == {"wait"}
    held, again = replay(ctx, [FLIPPED + 4, FLIPPED + 5])
    assert "cooldown is 3d: free on 2024-03-15 00:00 UTC" in held.reason and again.decision == "retrain"
    finish(ctx, again, "kept")
    # The clock goes back: nothing fires, nothing breaks.
    back = evaluate(ctx, end_of(FLIPPED + 3))
    assert back.decision == "wait" and "speaks of 2024-03-15 00:00 UTC, later than now" in back.reason
    assert [row.outcome for row in rows_of(ctx) if row.decision == "retrain"] == ["failed", "kept"]


def test_two_that_look_at_once_take_one_decision(flipped: Story) -> None:
    ctx = with_policy(flipped, when={"performance": {}})
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: evaluate(ctx, end_of(FLIPPED + 2)), range(4)))
    assert sorted(row.decision for row in answers) == ["retrain", "wait", "wait", "wait"]
    fired, busy = rows_of(ctx)
    assert fired.decision == "retrain" and busy.n_evaluations == 3


def test_new_labels_drift_and_schedule_read_their_rows(flipped: Story) -> None:
    labels = with_policy(flipped, when={"new_labels": {"rows": 4 * ROWS}})
    waits, fires = replay(labels, [4, 5])  # complete: days 0 to 2, then to 3
    assert f"{3 * ROWS:,} new labelled rows of {4 * ROWS:,} needed" in waits.reason
    assert fires.reason == f"Retrain: {4 * ROWS:,} new labelled rows of {4 * ROWS:,} needed."
    finish(labels, fires, "kept")
    assert evaluate(labels, end_of(6)).trigger == "none"
    mondays = with_policy(flipped, when={"schedule": "0 0 * * 1"}, cooldown="0s")
    assert evaluate(mondays, end_of(9)).reason == "Retrain: schedule `0 0 * * 1` was due at 2024-03-11 00:00 UTC."
    share = with_policy(flipped, when={"new_labels": {"share": 0.25}})
    reference = 42 * ROWS  # it stands in for the rows that the champion was trained on
    assert f"of {reference // 4:,} needed" in evaluate(share, end_of(9)).reason


def test_a_person_asks_and_is_told_what_was_passed_over(flipped: Story) -> None:
    ctx = with_policy(flipped, guards={"min_labels": 10**6})
    row = ask(ctx, "a new feature")
    assert (row.decision, row.trigger, row.as_of) == ("retrain", "person", end_of(DAYS - 1))
    assert row.reason.startswith(
        "Retrain: a new feature. Without a request it would have waited: 12,900 mature labelled"
    )
    second = ask(ctx)
    assert second.decision == "wait" and "is decided and not begun" in second.reason
    with flipped.warehouse.transaction() as conn:
        know_version(conn, "toy", "c1")
        set_outcome(conn, row.decision_id, "promoted", "c1")
    third = ask(ctx, as_of=end_of(5))
    assert (third.decision, third.as_of) == ("retrain", end_of(5))
    found = flipped.query(
        "select outcome, challenger_version from monitoring.retrain_decision_current order by decision_id"
    )
    assert found.iloc[0].tolist() == ["promoted", "c1"]


def test_without_a_judged_window_it_says_what_to_run(story: Story) -> None:
    story.write_reference()
    ctx = with_policy(story)
    story.warehouse.run(lambda conn: declare(conn, ctx.monitor))
    with pytest.raises(UserError, match="toy: no window is judged yet; run `monitoring-pipeline run toy` first"):
        evaluate(ctx)


def test_drift_of_a_chosen_column_is_seen_in_its_windows(story: Story) -> None:
    story.write_reference()
    for day in range(10):
        story.write(day, shift=2.0 if day in (4, 5) else 0.0)
    stages = story.monitor(alarms={"drift": {"horizons": [1]}})
    run(stages, range(10))
    changes = {"retrain": {**EASY, "guards": {"min_labels": 1}, "when": {"drift": {"columns": ["x"]}}}}
    stages = story.monitor(**changes, alarms={"drift": {"horizons": [1]}})
    ctx = RetrainContext(stages.monitor, stages.warehouse, stages.settings, "test")
    decisions = {day: evaluate(ctx, end_of(day)) for day in (3, 4, 7)}
    assert [row.trigger for row in decisions.values()] == ["none", "drift", "none"]
    assert "no mature" not in decisions[4].reason
    assert decisions[4].decision == "wait", "there is no ground truth: no labels to learn from"
    assert "0 mature labelled rows to train on, 1 are needed" in decisions[4].reason
    assert "of x" in decisions[4].reason and pd.Timestamp(decisions[4].evidence["first_window"]) == toy.day(4).start
