"""The four stages of continuous learning, each from decision to champion: on demand anew, on schedule anew, on schedule
continued, triggered by a combination. History is replayed; models are really trained."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd
import pytest

from monitoring_pipeline.retraining.context import Attempt, RetrainContext
from monitoring_pipeline.stages.retrain_decisions import ask, evaluate
from monitoring_pipeline.stages.retraining import carry_out
from monitoring_pipeline_tests.retraining.flipped import FLIPPED, LAG, end_of, with_policy
from monitoring_pipeline_tests.stages.story import ROWS, Story
from monitoring_pipeline_tests.toy import day

pytestmark = pytest.mark.slow

EVERYTHING_PASSES = {"compare_on": "5d", "least_days": 5, "least_rows": 500, "margin": 0.6, "shadow": "never",
                     "segments": False, "calibration": False}  # fmt: skip
EVERY_FIVE_DAYS = {"when": {"schedule": "0 0 */5 * *"}, "cooldown": "0s", "promote": EVERYTHING_PASSES}


def lived_through(ctx: RetrainContext, days: Iterable[int]) -> list[Attempt]:
    """The policy asked at the end of each day, and what it decided carried out; the attempts that ended then."""
    found = []
    for number in days:
        evaluate(ctx, end_of(number))
        attempt = carry_out(ctx, now=end_of(number))
        if attempt is not None and attempt.ended:
            found.append(attempt)
    return found


def versions(story: Story) -> pd.DataFrame:
    """Trained here, the oldest first."""
    return story.query(
        "select * from monitoring.model_version_current where attempt_id is not null order by labels_known_at"
    )


def decisions(story: Story) -> list[tuple[Any, ...]]:
    found = story.query(
        "select trigger, outcome from monitoring.retrain_decision_current where decision = 'retrain'"
        " order by decision_id"
    )
    return [tuple(row) for row in found.itertuples(index=False)]


def test_on_demand_anew(flipped: Story) -> None:
    ctx = with_policy(flipped, promote=EVERYTHING_PASSES)
    assert carry_out(ctx) is None, "nobody asked"
    ask(ctx, "a first model of our own", end_of(FLIPPED))
    attempt = carry_out(ctx, now=end_of(FLIPPED))
    assert attempt is not None and attempt.state == "promoted" and attempt.challenger_version == "2024-03-10-1"
    assert decisions(flipped) == [("person", "promoted")]
    (version,) = versions(flipped).itertuples()
    assert (version.role, version.parent_version) == ("champion", None)
    assert version.train_end == end_of(FLIPPED - LAG) - pd.Timedelta(days=5)


def test_on_schedule_anew(flipped: Story) -> None:
    ctx = with_policy(flipped, **EVERY_FIVE_DAYS, training={"window": "sliding"}, train_on="6d")
    done = lived_through(ctx, [7, 8, 9, 10])  # the 6th is made up for when there are rows to fit on; then the 11th
    assert [one.as_of for one in done] == [end_of(8), end_of(9)]
    assert [trigger for trigger, _ in decisions(flipped)] == ["schedule", "schedule"]
    found = versions(flipped)
    assert found["parent_version"].isna().all() and found["model_version"].is_unique
    span = found["train_end"] - found["train_start"]
    assert (span == pd.Timedelta(days=6)).all() and (found["train_end"].diff().dropna() == pd.Timedelta(days=1)).all()


def test_on_schedule_continued(flipped: Story) -> None:
    sgd = {"class": "sklearn.linear_model.SGDClassifier", "parameters": {"loss": "log_loss"}}
    ctx = with_policy(flipped, **EVERY_FIVE_DAYS, estimator=sgd, training={"mode": "stateful"})
    done = lived_through(ctx, [9, 14])
    assert [one.state for one in done] == ["promoted", "promoted"]
    first, second = versions(flipped).itertuples()
    assert pd.isna(first.parent_version) and second.parent_version == first.model_version
    assert second.train_start == first.train_end and second.train_end > first.train_end
    assert second.n_rows == 4 * ROWS < first.n_rows, "only days that the champion has not seen, one held out"


def test_triggered_by_a_combination(flipped: Story) -> None:
    when = {"all": [{"any": [{"performance": {}}, {"drift": {}}]}, {"new_labels": {"rows": 100}}]}
    shadow = {"least_days": 2, "least_rows": 200, "shadow_for": "5d", "segments": False, "calibration": False}
    ctx = with_policy(
        flipped, when=when, training={"window": "since_change"}, guards={"min_labels": 200}, promote=shadow,
        cooldown="3d",
    )  # fmt: skip
    fires = FLIPPED + LAG
    assert lived_through(ctx, range(FLIPPED - 2, fires + 1)) == []
    (shadowing,) = flipped.query("select * from monitoring.retrain_attempt_current").itertuples()
    assert (shadowing.state, shadowing.as_of) == ("shadowing", end_of(fires))
    assert decisions(flipped) == [("performance+new_labels", "shadowing")]
    waits = evaluate(ctx, end_of(fires + 1))
    assert waits.decision == "wait" and "is in state shadowing" in waits.reason

    (done,) = lived_through(ctx, [fires + 5 + LAG])
    assert done.state == "promoted" and decisions(flipped) == [("performance+new_labels", "promoted")]
    (version,) = versions(flipped).itertuples()
    assert version.train_start == day(FLIPPED).start and version.n_rows == ROWS
    (headline,) = flipped.query("select * from monitoring.model_comparison_current").itertuples()
    assert headline.verdict == "better" and headline.challenger_value > 0.65 > 0.4 > headline.champion_value
