"""``retrain NAME``: what came of it in a sentence, as JSON, and by the exit code."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from monitoring_pipeline.cli.app import app
from monitoring_pipeline.errors import UserError
from monitoring_pipeline_tests.retraining.flipped import end_of, with_policy
from monitoring_pipeline_tests.stages.story import Story

JUDGED = {"compare_on": "6d", "least_days": 5, "least_rows": 500, "shadow": "never", "calibration": False}


@pytest.fixture
def shop(flipped: Story, monkeypatch: pytest.MonkeyPatch) -> Story:
    """The days of the story before a user's environment."""
    monkeypatch.setenv("DATABASE_URL", flipped.url)
    monkeypatch.setenv("MONITORING_HOME", str(flipped.settings.home))
    monkeypatch.setenv("MONITORS_DIR", str(flipped.settings.monitors_dir))
    return flipped


def retrain(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["retrain", "toy", *arguments], catch_exceptions=False)


def outcomes(story: Story) -> list[Any]:
    return story.query("select outcome from monitoring.retrain_decision_current order by decision_id")[
        "outcome"
    ].tolist()


def test_a_person_s_retraining_is_carried_out_and_told(shop: Story) -> None:
    # Trained on what held before the flip mostly: the challenger is as wrong as the champion.
    with_policy(shop, promote=JUDGED | {"rule": "better"})
    done = retrain("--reason", "a new feature", "--json")
    assert done.exit_code == 0, done.output
    said = json.loads(done.output)
    assert said["decision"]["trigger"] == "person" and "a new feature" in said["decision"]["reason"]
    assert said["attempt"]["state"] == "kept" and "rule better asks for" in said["attempt"]["reason"]
    # As labels stood two days after the flip, where the days to compare on came before it; told in words.
    again = retrain("--as-of", f"{end_of(9):%Y-%m-%d}")
    versions = shop.query("select challenger_version from monitoring.retrain_decision_current order by decision_id")
    assert again.exit_code == 0
    assert f"{versions.iat[1, 0]} is the new champion: roc_auc 0.7" in again.output, "numbered after other tests' names"
    assert "toy: Retrain: a person asked for it. Without a request it would have waited: the last" in again.output
    assert outcomes(shop) == ["kept", "promoted"]


def test_a_training_that_fails_is_an_exit_code_of_one(shop: Story) -> None:
    with_policy(shop, guards={"min_labels": 10**6}, promote=JUDGED)
    done = retrain()
    assert done.exit_code == 1
    assert "could not be made, and the champion stays: toy: the training set has" in done.output
    with_policy(shop, estimator=None)
    with pytest.raises(UserError, match="declares nothing to train; write"):
        retrain()
    with pytest.raises(UserError, match="no window that ended by 2020-01-01 00:00 UTC is judged yet"):
        with_policy(shop)
        retrain("--as-of", "2020-01-01")
    assert CliRunner().invoke(app, ["retrain"]).exit_code == 2
    assert retrain("--as-of", "yesterday").exit_code == 2
