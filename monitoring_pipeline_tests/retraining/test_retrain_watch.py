"""Which monitors a tick looks at, and what it finds to do: all from rows, one bad monitor aside."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from monitoring_pipeline.retraining.context import RetrainContext
from monitoring_pipeline.stages import retrain_watch
from monitoring_pipeline.stages.retrain_watch import look
from monitoring_pipeline.warehouse import attempt_store, retrain_decisions
from monitoring_pipeline_tests.retraining.flipped import with_policy
from monitoring_pipeline_tests.stages.story import Story

FAILED = text("""
insert into monitoring.retrain_attempt (monitor, decision_id, challenger_version, state, as_of, state_since, error)
values ('toy', :decision, :version, 'failed', :at, :at, 'test')
""")


def evaluations(ctx: RetrainContext) -> int:
    found = ctx.warehouse.run(lambda conn: retrain_decisions.decisions(conn, ctx.monitor.name))
    return sum(row.n_evaluations for row in found)


def test_a_policy_is_looked_at_again_only_when_something_is_new(flipped: Story) -> None:
    ctx = with_policy(flipped, when={"new_labels": {"rows": 10**6}})
    first = look([ctx])
    assert first.work == {} and "new labelled rows of 1,000,000 needed" in first.said["toy"]
    assert look([ctx]).said == {} and evaluations(ctx) == 1
    changed = with_policy(flipped, when={"new_labels": {"rows": 10**7}})
    assert "10,000,000" in look([changed]).said["toy"]
    assert look([changed], datetime.now(UTC) + timedelta(days=1)).said, "labels may have come of age"
    with flipped.warehouse.transaction() as conn:
        conn.execute(text("update monitoring.judgement set judged_at = clock_timestamp()"))
    assert look([changed]).said and not look([changed]).said
    assert evaluations(ctx) == 4


def test_a_guard_that_lets_go_and_a_due_schedule_are_looked_at(flipped: Story) -> None:
    declared = with_policy(flipped, when={"any": [{"all": [{"schedule": "0 0 1 1 *"}]}, {"performance": {}}]})
    last = flipped.warehouse.run(lambda conn: retrain_decisions.last_looks(conn, ["toy"]))["toy"]
    looked = datetime(2026, 6, 1, tzinfo=UTC)
    now = looked + timedelta(hours=2)
    seen = replace(
        last, judged_at=looked, evaluated_at=looked,
        policy_version=retrain_watch.policy_version(declared.monitor.retrain),
    )  # fmt: skip
    assert not retrain_watch.is_due(declared, seen, now)
    free: dict[str, Any] = {"guards": [{"guard": "cooldown", "free_at": (now - timedelta(minutes=1)).isoformat()}]}
    assert retrain_watch.is_due(declared, replace(seen, evidence=free), now)
    new_year = datetime(2026, 12, 31, 23, 30, tzinfo=UTC)
    assert retrain_watch.is_due(declared, replace(seen, evaluated_at=new_year), new_year + timedelta(hours=1))


def test_what_was_decided_is_work_until_it_ends(flipped: Story) -> None:
    ctx = with_policy(flipped, when={"performance": {}})
    (found,) = look([ctx]).work.values()
    assert (found.state, found.trigger) == ("decided", "performance")
    # A restarted process, which remembers nothing, finds the same.
    assert look([ctx]).work == {"toy": found}
    with flipped.warehouse.transaction() as conn:
        attempt_store.set_outcome(conn, found.decision_id, "failed", None)
    assert look([ctx]).work == {}


def test_one_bad_monitor_does_not_stop_the_others(flipped: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    good = with_policy(flipped, when={"performance": {}})
    bad = replace(good, monitor=good.monitor.model_copy(update={"name": "bad"}))
    with flipped.warehouse.transaction() as conn:
        conn.execute(
            text("""insert into monitoring.monitor (monitor, task, window_size, starts_on, has_ground_truth,
                    label_coverage, label_max_delay, config_version)
                    values ('bad', 'binary', 'day', '2024-03-01', true, 0.9, '7 days', 'x')""")
        )
        conn.execute(
            text("""insert into monitoring.judgement (monitor, config_version, policy_version, code_version)
                    values ('bad', 'x', 'x', 'x')""")
        )
    found = look([bad, good])
    assert set(found.work) == {"toy"}
    assert found.errors["bad"].startswith("bad: no window is judged yet; run")

    def broken(ctx: RetrainContext) -> None:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr(retrain_watch, "evaluate", broken)
    assert look([bad]).errors["bad"] == "unexpected ZeroDivisionError: a defect"
    with flipped.warehouse.transaction() as conn:
        conn.execute(text("delete from monitoring.judgement where monitor = 'bad'"))
        conn.execute(text("delete from monitoring.monitor where monitor = 'bad'"))


def test_a_decision_whose_attempt_failed_is_tried_again_after_a_pause(flipped: Story) -> None:
    ctx = with_policy(flipped, when={"performance": {}})
    (work,) = look([ctx]).work.values()
    now = datetime.now(UTC)
    for pause in (timedelta(hours=1), timedelta(hours=4)):
        with flipped.warehouse.transaction() as conn:
            named = {"decision": work.decision_id, "version": f"tried-{pause}", "at": now}
            conn.execute(text("insert into monitoring.known_version values ('toy', :version)"), named)
            conn.execute(FAILED, named)
        assert look([ctx], now + pause - timedelta(seconds=1)).work == {}
        now += pause
        assert look([ctx], now).work["toy"].state == "failed"
    with flipped.warehouse.transaction() as conn:  # a person does not wait
        assert attempt_store.waiting_decision(conn, "toy") is not None
