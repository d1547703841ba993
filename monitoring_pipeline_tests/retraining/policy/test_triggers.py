"""Each trigger fires on what it is declared to fire on, says so in words, and names the rows."""

from __future__ import annotations

from dataclasses import replace

import pytest

from monitoring_pipeline.retraining.policy import decide
from monitoring_pipeline.retraining.policy.facts import ChampionFact, MovedWindow
from monitoring_pipeline_tests.retraining.policy.facts_of import at, facts, incident, past, policy, window

PERFORMANCE = policy(when={"performance": {}})
DRIFT = policy(when={"drift": {"columns": ["x"]}})


def test_degraded_performance_fires_where_labels_are_mature() -> None:
    seen = facts(10, degraded=[9])
    assert decide(PERFORMANCE, seen, at(10)).answer == "wait"  # the newest window waits for labels
    found = decide(PERFORMANCE, facts(11, degraded=[9]), at(11))
    assert (found.answer, found.trigger) == ("retrain", "performance")
    assert (
        found.reason == "Retrain: performance is degraded in 1 of the newest mature window (roc_auc 0.6 on 2024-03-10)."
    )
    assert found.keys == ("performance:realized@2024-03-10T00:00:00+00:00",)
    assert found.since == at(9)


@pytest.mark.parametrize(("degraded", "fires"), [([5, 7], True), ([6], False), ([4, 8], False), ([6, 7, 8], True)])
def test_persistence_counts_the_newest_mature_windows(degraded: list[int], fires: bool) -> None:
    two_of_three = policy(when={"performance": {}}, guards={"min_labels": 1, "persistence": {"windows": 2, "of": 3}})
    found = decide(two_of_three, facts(9, degraded), at(9))  # mature: up to day 7
    assert (found.answer == "retrain") == fires
    if not fires:
        assert "of the last 3 mature windows, 2 are needed" in found.reason


@pytest.mark.parametrize(("margin", "fires"), [(0.0, True), (0.05, True), (0.1, False), (0.2, False)])
def test_estimated_performance_needs_no_labels_and_must_pass_the_margin(margin: float, fires: bool) -> None:
    seen = facts(5, degraded=[4])
    seen = replace(seen, performance=tuple(replace(one, kind="estimated") for one in seen.performance))
    declared = policy(when={"performance": {"kind": "estimated", "margin": margin}})
    assert (decide(declared, seen, at(5)).answer == "retrain") == fires


def test_drift_of_a_chosen_column_fires() -> None:
    seen = facts(6, alarms={5: ["x"]}, incidents=(incident(5, 5, "x", "amount"),))
    found = decide(DRIFT, seen, at(6))
    assert found.trigger == "drift"
    assert found.keys == ("incident:i1@2024-03-06T00:00:00+00:00",)
    assert "warning incident i1 (feature drift of x, amount, since 2024-03-06)" in found.reason


@pytest.mark.parametrize(
    "changed",
    [
        {"columns": ("amount",)}, {"severity": "info"}, {"is_open": False}, {"kind": "quality"},
        {"change": "data fault"}, {"change": "outage"}, {"last": at(3), "first": at(3)},
    ],
)  # fmt: skip
def test_drift_elsewhere_or_of_another_kind_does_not_fire(changed: dict) -> None:
    seen = facts(6, alarms={5: ["x"]}, incidents=(replace(incident(5, 5, "x"), **changed),))
    assert decide(DRIFT, seen, at(6)).answer == "wait"


def test_a_fault_in_the_data_retrains_only_when_its_kind_is_named() -> None:
    fault = incident(5, 5, "x", kind="quality", change="data fault")
    seen = facts(6, alarms={5: ["x"]}, incidents=(replace(fault, kind="drift"),))
    assert "is to be mended in the data, not learnt" in decide(DRIFT, seen, at(6)).reason
    named = policy(when={"drift": {"kinds": ["drift", "quality"]}})
    assert decide(named, replace(seen, incidents=(fault,)), at(6)).answer == "retrain"


def test_season_alone_never_retrains_unless_asked() -> None:
    seen = facts(6, incidents=())
    windows = (*seen.windows[:-1], MovedWindow(window(5), notices=frozenset({"x"})))
    seen = replace(seen, windows=windows)
    found = decide(DRIFT, seen, at(6))
    assert found.answer == "wait" and "moved as earlier weeks led to expect" in found.reason
    asked = policy(when={"drift": {"columns": ["x"]}}, guards={"min_labels": 1, "seasonal": True})
    assert decide(asked, seen, at(6)).answer == "retrain"
    other = policy(when={"drift": {"columns": ["y"]}}, guards={"min_labels": 1, "seasonal": True})
    assert decide(other, seen, at(6)).answer == "wait"


def test_a_changed_concept_fires_and_tells_since_when() -> None:
    concept = policy(when={"concept": {}})
    changed = incident(3, 8, kind="performance", severity="critical", change="concept drift")
    found = decide(concept, facts(9, incidents=(changed,)), at(9))
    assert (found.trigger, found.since) == ("concept", at(3))
    harder = replace(changed, change="harder mix")
    assert decide(concept, facts(9, incidents=(harder,)), at(9)).answer == "wait"


def test_new_labels_are_counted_since_the_champion_s_cut() -> None:
    declared = policy(when={"new_labels": {"share": 0.25}})  # of 10,000 rows: 2,500, so three days of 1,000
    champion = ChampionFact("v2", at(10), 10_000)
    assert decide(declared, facts(13, champion=champion), at(13)).answer == "wait"
    found = decide(declared, facts(14, champion=champion), at(14))
    assert found.reason == "Retrain: 3,000 new labelled rows of 2,500 needed."
    assert (
        "2,000 new labelled rows of 4,000 needed"
        in decide(policy(when={"new_labels": {"rows": 4000}}), facts(13, champion=champion), at(13)).reason
    )
    by_hand = ChampionFact("v2", at(10), 10_000, counts_from=at(11))
    assert decide(declared, facts(14, champion=by_hand), at(14)).answer == "wait"
    assert decide(declared, facts(15, champion=by_hand), at(15)).answer == "retrain"


def test_a_challenger_that_was_kept_out_has_used_up_its_labels() -> None:
    declared = policy(when={"new_labels": {"rows": 3000}})
    kept = facts(9, retrainings=(past(6, "kept"),))
    assert decide(declared, kept, at(9)).answer == "wait"
    assert decide(declared, facts(10, retrainings=(past(6, "kept"),)), at(10)).answer == "retrain"
    # A training that failed has learnt nothing.
    assert decide(declared, facts(9, retrainings=(past(6, "failed"),)), at(9)).answer == "retrain"


def test_a_share_of_unknown_rows_says_what_to_write() -> None:
    declared = policy(when={"new_labels": {"share": 0.25}})
    for champion in (None, ChampionFact("v1")):
        found = decide(declared, facts(30, champion=champion), at(30))
        assert found.answer == "wait" and "declare `new_labels: {rows: N}`" in found.reason


def test_a_schedule_fires_once_for_each_due_moment() -> None:
    mondays = policy(when={"schedule": "0 3 * * 1"})  # 2024-03-01 is a Friday
    asked = [hour / 24 for hour in range(0, 24 * 20, 6)]
    fired, seen = [], facts(1, mature_lag=0, champion=None)
    for day in asked:
        found = decide(mondays, seen, at(day))
        if found.answer == "retrain":
            fired.append(day)
            seen = replace(seen, retrainings=(*seen.retrainings, past(day, "kept")), used=seen.used | {*found.keys})
    assert fired == [3.25, 10.25, 17.25]  # 06:00 on Mondays: the first look after 03:00


def test_a_due_moment_that_was_held_back_is_made_up_for_once() -> None:
    mondays = policy(when={"schedule": "0 3 * * 1"}, cooldown="5d")
    seen = facts(1, mature_lag=0, champion=None, retrainings=(past(2),))
    assert decide(mondays, seen, at(3.5)).answer == "wait"
    assert decide(mondays, seen, at(7.5)).answer == "retrain"
    assert decide(mondays, replace(seen, retrainings=(past(7.5),)), at(9.9)).trigger == "none"


@pytest.mark.parametrize(
    ("when", "fires"),
    [
        ({"any": [{"performance": {}}, {"new_labels": {"rows": 10**9}}]}, True),
        ({"all": [{"performance": {}}, {"new_labels": {"rows": 10**9}}]}, False),
        ({"all": [{"performance": {}}, {"new_labels": {"rows": 100}}]}, True),
        ({"any": [{"all": [{"performance": {}}, {"schedule": "0 3 31 12 *"}]}, {"drift": {}}]}, False),
        ({"all": [{"any": [{"performance": {}}, {"drift": {}}]}, {"new_labels": {"rows": 100}}]}, True),
    ],
)
def test_triggers_combine(when: dict, fires: bool) -> None:
    found = decide(policy(when=when), facts(9, degraded=[7]), at(9))
    assert (found.answer == "retrain") == fires
    assert bool(found.keys) == fires


def test_only_rows_of_what_fired_are_evidence() -> None:
    either = {"any": [{"performance": {}}, {"new_labels": {"rows": 10**9}}]}
    both = {"all": [{"performance": {}}, {"new_labels": {"rows": 100}}]}
    seen = facts(9, degraded=[7])
    assert [key.split("@")[0] for key in decide(policy(when=either), seen, at(9)).keys] == ["performance:realized"]
    assert decide(policy(when=both), seen, at(9)).trigger == "performance+new_labels"
    assert len(decide(policy(when=both), seen, at(9)).keys) == 2
