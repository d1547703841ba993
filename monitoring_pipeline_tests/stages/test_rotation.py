"""A new model version gets a reference of its own; nothing that was said of the old one changes."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sqlalchemy import text

from monitoring_pipeline.profiles.document import from_document
from monitoring_pipeline.retraining import artifacts
from monitoring_pipeline.retraining.context import Attempt, RetrainContext
from monitoring_pipeline.retraining.held_out import held_out_days
from monitoring_pipeline.retraining.model import Model
from monitoring_pipeline.retraining.training_set import training_rows
from monitoring_pipeline.serving.reference_series import load_reference
from monitoring_pipeline.stages.context import StageContext
from monitoring_pipeline.stages.reference import profile_reference
from monitoring_pipeline.stages.rotation import Rotated, has_reference, make_reference
from monitoring_pipeline.warehouse import model_versions, profile_store
from monitoring_pipeline.warehouse.model_versions import ModelVersion
from monitoring_pipeline_tests import toy
from monitoring_pipeline_tests.retraining.shop import ATTEMPT, DECISION, KNOWN
from monitoring_pipeline_tests.stages.story import Story, judge, run
from monitoring_pipeline_tests.toy import START

ROWS, REFERENCE_DAYS, SWAP, DAYS = 150, 20, 14, 20
SHIFTED = range(SWAP - 3, SWAP)
PUBLIC = ("drift_current", "quality_current", "performance_current", "column_verdict_current", "rollup_drift_current",
          "rollup_quality_current", "rollup_performance_current", "rollup_verdict_current")  # fmt: skip
DECLARED: dict[str, Any] = {
    "ground_truth": {"path": "../truth/*.parquet", "outcome": "y", "label_time": "known"},
    "labels": {"max_delay": "1d"},
    "rollups": ["week"],
    "retrain": {
        "enabled": True,
        "estimator": {"class": "sklearn.linear_model.LogisticRegression"},
        "promote": {"compare_on": "3d"},
    },
}
PROMOTION = text("""
insert into monitoring.promotion (monitor, model_version, previous_version, kind, by_whom, reason, as_of)
values (:monitor, 'v2', 'v1', 'promotion', 'policy', 'test', :as_of)
""")


def features(frame: pd.DataFrame) -> np.ndarray:
    return frame[["x", "amount"]].fillna(0.0).to_numpy()


def fitted(monitor) -> Model:
    rng = np.random.default_rng(0)
    x = pd.DataFrame(rng.normal(size=(400, 2)), columns=["x", "amount"])
    estimator = LogisticRegression().fit(features(x), (x["x"] + rng.normal(size=400) > 0).astype(int))
    return Model(
        make_pipeline(FunctionTransformer(features), estimator), "binary", monitor.schema_.features, ("0", "1"), 0.4
    )


@pytest.fixture
def eventful(story: Story) -> Story:
    """Days of v1 with a shift at their end, from SWAP on days of v2; labels know the next day."""
    story.toy.write_reference(pd.concat([day_rows(story, -n) for n in range(REFERENCE_DAYS, 0, -1)]))
    for day in range(DAYS):
        rows = day_rows(story, day)
        rows = rows if day < SWAP else rows.assign(version="v2", score=rows["score"] ** 2)
        story.toy.write_log(rows, f"{START + timedelta(days=day)}")
        story.toy.write_labels(rows, f"{START + timedelta(days=day)}")
    return story


def day_rows(story: Story, day: int) -> pd.DataFrame:
    return story.toy.rows(START + timedelta(days=day), ROWS, 1.2 if day in SHIFTED else 0.0)


def rotated(
    story: Story, stages: StageContext, fitted_until: int = SWAP - 3
) -> tuple[RetrainContext, Attempt, ModelVersion, Rotated]:
    """An attempt as of the swap whose challenger v2 is registered, with its reference made."""
    monitor = stages.monitor
    ctx = RetrainContext(monitor, stages.warehouse, stages.settings, "retraining")
    stored = artifacts.save(fitted(monitor), stages.settings, monitor.name, trust_pickle=True)
    as_of = toy.day(SWAP).start
    with stages.warehouse.transaction() as conn:
        named = {"monitor": monitor.name, "version": "v2"}
        decision = conn.execute(DECISION, {"monitor": monitor.name, "at": as_of, "evidence": "{}"}).scalar()
        conn.execute(KNOWN, named)
        attempt_id = conn.execute(ATTEMPT, {**named, "decision": decision, "champion": "v1", "cut": as_of}).scalar()
        version = ModelVersion(
            "v2", "challenger", train_end=toy.day(fitted_until).start, artifact_uri=stored.uri,
            artifact_sha256=stored.sha256, artifact_format=stored.format,
        )  # fmt: skip
        model_versions.register_version(conn, monitor.name, version, run_id="test")
    assert decision is not None and attempt_id is not None
    attempt = Attempt(attempt_id, monitor.name, decision, "v2", "v1", "trained", 0, as_of, "new_labels")
    return ctx, attempt, version, make_reference(ctx, attempt, version)


def promote(stages: StageContext) -> None:
    with stages.warehouse.transaction() as conn:
        conn.execute(PROMOTION, {"monitor": stages.monitor.name, "as_of": toy.day(SWAP).start})


def declared(story: Story, name: str = "toy") -> StageContext:
    trusting = DECLARED["retrain"] | {"training": {"trust_pickle": True}}
    return story.monitor(name, **DECLARED | {"retrain": trusting})


def everything_of_v1(story: Story) -> dict[str, list[str]]:
    """All rows of the old windows with when and by which run they were made; where judged, with their transaction."""
    before = {"m": "toy", "swap": toy.day(SWAP).start}
    found = {
        view: story.query(f"select * from monitoring.{view} where monitor = :m and window_end <= :swap", **before)
        for view in PUBLIC
    }
    found["judged"] = story.query(
        "select v.xmin::text, v.* from monitoring.column_verdict v where monitor = :m and window_start < :swap",
        **before,
    )
    return {name: sorted(map(str, frame.itertuples(index=False))) for name, frame in found.items()}


def stale(story: Story) -> list[tuple]:
    found = story.query("select window_start, stage, reason from monitoring.stale_window where monitor = 'toy'")
    return sorted(map(tuple, found.itertuples(index=False)))


@pytest.mark.slow
def test_windows_of_each_version_are_compared_with_its_own_reference(eventful: Story) -> None:
    stages = declared(eventful)
    for day in range(SWAP):
        run(stages, [day])
    before, stale_before = everything_of_v1(eventful), stale(eventful)
    (shifted,) = [one for one in eventful.incidents() if list(one.columns)[:1] == ["x"]]
    assert shifted.state == "open" and set(shifted.evidence["model_versions"]) == {"v1"}

    ctx, attempt, version, made = rotated(eventful, stages)
    held_out = training_rows(ctx, attempt).held_out
    assert made.rows.startswith("held-out") and made.n_rows == len(held_out) and made.changed
    days = held_out_days(toy.day(0).start - timedelta(days=REFERENCE_DAYS), toy.day(SWAP - 3).start)
    assert set(held_out["event_time"].dt.date) == set(days) and (made.first, made.last) == (min(days), max(days))
    assert not make_reference(ctx, attempt, version).changed
    again = profile_reference(stages)
    assert (again.changed, again.model_versions) == (False, ("v1",)), "the declared source is as it was"
    assert load_reference(made.document).model_version == "v2"
    assert stale(eventful) == stale_before

    promote(stages)
    for day in range(SWAP, DAYS):
        run(stages, [day])
    judge(stages, range(DAYS))
    assert everything_of_v1(eventful) == before, "not even written again"
    sizes = eventful.query(
        "select distinct model_version, n_reference from monitoring.drift_current"
        " where monitor = 'toy' and column_name = 'channel' and method = 'psi' order by 1"
    )
    assert sizes.values.tolist() == [["v1", ROWS * REFERENCE_DAYS], ["v2", len(held_out)]]
    blocks = eventful.query(
        "select count(distinct window_start) as n from monitoring.profile"
        " where monitor = 'toy' and scope = 'block' and model_version = 'v2'"
    )
    assert blocks["n"].item() == len(days)

    closed = next(one for one in eventful.incidents() if one.incident_id == shifted.incident_id)
    assert (closed.state, closed.reason) == ("resolved", "model version v1 was replaced by v2")
    assert closed.resolved_at == pd.Timestamp(attempt.as_of)
    assert "Model version v1 was replaced by v2 on 2024-03-15." in closed.summary
    assert [one for one in eventful.incidents() if one.state == "open" and "v1" in one.evidence["model_versions"]] == []

    other = declared(eventful, "again")
    run(other, range(SWAP))
    rotated(eventful, other)
    promote(other)
    run(other, range(DAYS))
    assert eventful.said("again") == eventful.said("toy"), "as a range and window by window"


def test_a_reference_holds_what_the_new_model_says_of_the_held_out_rows(eventful: Story) -> None:
    stages = declared(eventful)
    run(stages, range(SWAP))
    ctx, attempt, _, made = rotated(eventful, stages)
    held_out = training_rows(ctx, attempt).held_out
    scores = fitted(stages.monitor).estimator.predict_proba(held_out)[:, 1]
    with stages.warehouse.transaction() as conn:
        profiles = profile_store.load_reference_rows(conn, "toy")
    ((profile, labelled),) = [(p, q) for p, q in profiles if p.model_version == "v2" and p.segment == "*"]
    score = profile.column("score", "score")
    assert score.mean == pytest.approx(scores.mean()) and score.n == len(held_out)
    called = profile.column("predicted", "prediction")
    assert dict(zip(called.layout.categories, called.counts.tolist(), strict=False))["1"] == (scores >= 0.4).sum()
    assert labelled is not None and labelled.outcome.n_labelled == len(held_out)
    assert from_document_rows(made) == len(held_out)


def test_where_all_rows_were_fitted_on_the_days_of_the_shadow_become_the_reference(eventful: Story) -> None:
    stages = declared(eventful)
    run(stages, range(DAYS - 1))
    few = stages.monitor.retrain.training.model_copy(update={"window": "sliding"})
    short = stages.monitor.retrain.model_copy(update={"training": few, "train_on": timedelta(days=3)})
    stages = replace(stages, monitor=stages.monitor.model_copy(update={"retrain": short}))
    ctx, attempt, version, made = rotated(eventful, stages, fitted_until=SWAP)
    assert (made.n_rows, made.changed, has_reference(ctx, "v2")) == (0, False, False)
    assert from_document_rows(made) == ROWS * REFERENCE_DAYS, "the declared one stands for it"
    after_shadow = replace(attempt, shadow_until=toy.day(SWAP + 3).start)
    made = make_reference(ctx, after_shadow, version)
    assert (made.first, made.last) == (START + timedelta(days=SWAP), START + timedelta(days=SWAP + 1))
    assert (made.rows, made.n_rows) == ("rows after the training range", 2 * ROWS) and has_reference(ctx, "v2")


def from_document_rows(made: Rotated) -> int:
    return from_document(json.loads(made.document.read_text())).profile.n_rows
