"""What holds a retraining back says so, what is lacking, and when it lets go; the same evidence never fires twice."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring_pipeline.retraining.policy import Decision, decide
from monitoring_pipeline.retraining.policy.deciding import asked_by_person
from monitoring_pipeline.retraining.policy.facts import ChampionFact, Facts, OpenAttempt
from monitoring_pipeline_tests.retraining.policy.facts_of import ROWS, at, facts, incident, past, policy

WHEN = {"performance": {}}


def held(seen: Facts, now: float = 9, cooldown: str = "0s", **guards: Any) -> Decision:
    declared = policy(when=WHEN, cooldown=cooldown, guards={"min_labels": 1} | guards)
    return decide(declared, seen, at(now))


@pytest.mark.parametrize(
    ("seen", "guards", "answer", "guard", "said", "free"),
    [
        ({}, {"min_labels": 9_500}, "wait", "min_labels",
         "8,000 mature labelled rows to train on, 9,500 are needed: 1,500 are lacking", None),
        ({"retrainings": (past(5),)}, {"cooldown": "7d"}, "wait", "cooldown",
         "the last retraining was on 2024-03-06 and the cooldown is 7d: free on 2024-03-13 00:00 UTC", 12),
        ({"retrainings": (past(2), past(4))}, {"max_per_month": 2}, "skip", "max_per_month",
         "2 of 2 retrainings of the month are used up", 31),
        ({"retrainings": (past(2, minutes=6), past(4, minutes=5))}, {"max_minutes_per_month": 10}, "skip",
         "max_minutes_per_month", "11.0 of 10 minutes of training of the month are used up", 31),
        ({}, {"freeze": [{"from": "2024-03-10", "to": "2024-03-12"}]}, "skip", "freeze",
         "nothing is retrained from 2024-03-10 to 2024-03-12", 11),
        ({"attempt": OpenAttempt(7, "shadowing", at(5))}, {}, "wait", "open attempt",
         "the retraining of 2024-03-06 00:00 UTC is in state shadowing", None),
        ({"retrainings": (past(20),)}, {}, "wait", "clock",
         "the last retraining speaks of 2024-03-21 00:00 UTC, later than now", 20),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_a_guard_holds_and_says_why(
    seen: dict[str, Any], guards: dict[str, Any], answer: str, guard: str, said: str, free: int | None
) -> None:
    found = held(facts(9, degraded=[7], **seen), **guards)
    assert found.answer == answer
    mine = next(one for one in found.held if one.guard == guard)
    assert mine.sentence == said and said in found.reason
    assert mine.free_at == (None if free is None else at(free))
    if mine.free_at is not None and not seen.get("attempt"):  # nothing but time has to pass
        later = facts(free + 1, degraded=range(free - 2, free + 1), **seen)
        assert held(later, now=free, **guards).answer == "retrain"


def test_guards_of_the_month_count_the_calendar_month() -> None:
    seen = facts(9, degraded=[7], retrainings=(past(-1), past(-3)))  # 29 and 27 February
    assert held(seen, max_per_month=1).answer == "retrain"
    assert held(seen, max_per_month=0).answer == "skip"


@pytest.mark.parametrize(
    ("training", "promote", "days"),
    [
        ({}, {}, 39 - 7 + 4), ({"window": "chosen", "from": "2024-03-02", "to": "2024-03-04"}, {}, 2),
        ({"window": "sliding"}, {}, 5), ({"window": "since_change"}, {}, 2),
        ({"mode": "stateful"}, {}, 39 - 20 - 3),
        ({}, {"shadow": "never"}, 39 - 28 + 4), ({"window": "sliding"}, {"shadow": "never"}, 5),
    ],
)  # fmt: skip
def test_labels_are_counted_as_a_training_would_see_them(
    training: dict[str, Any], promote: dict[str, Any], days: int
) -> None:
    champion = ChampionFact("v1", at(20), 10_000, continues_at=at(20))
    seen = facts(40, degraded=[37, 38], n_reference=5 * ROWS, champion=champion)
    guards = {"min_labels": 10**6, "persistence": {"windows": 2, "of": 2}}
    declared = policy(when=WHEN, training=training, promote=promote, train_on="5d", guards=guards)
    assert f"{days * ROWS:,} mature labelled rows to train on" in decide(declared, seen, at(40)).reason


def test_rows_since_a_change_need_a_trigger_that_saw_one() -> None:
    declared = policy(when={"new_labels": {"rows": 100}}, training={"window": "since_change"})
    found = decide(declared, facts(9), at(9))
    assert (found.answer, found.held[0].guard) == ("skip", "since_change")
    both = policy(when={"all": [{"new_labels": {"rows": 100}}, WHEN]}, training={"window": "since_change"})
    assert decide(both, facts(9, degraded=[7]), at(9)).answer == "retrain"


def test_a_person_who_wants_the_rows_since_a_change_gets_those_since_the_open_incident() -> None:
    declared = policy(when=WHEN, training={"window": "since_change"})
    concept = incident(5, 8, kind="performance", severity="critical", change="concept drift")
    seen = facts(9, incidents=(concept, incident(7, 8, "x"), incident(8, 8, "y", change="data fault")))
    found = asked_by_person(declared, seen, at(9), "person:1")
    assert (found.answer, found.since, found.held) == ("retrain", at(5), ()), "performance before drift"
    assert "Without a request" not in found.reason and found.evidence()["first_window"] == at(5).isoformat()
    drifted = asked_by_person(declared, replace(seen, incidents=seen.incidents[1:]), at(9), "person:1")
    assert drifted.since == at(7), "a fault of the data is not learnt"
    quiet = asked_by_person(declared, facts(9), at(9), "person:1")
    assert quiet.since is None and "says of no change when it began" in quiet.reason


def test_a_person_is_held_back_by_an_open_attempt_alone() -> None:
    declared = policy(when=WHEN, cooldown="7d", guards={"min_labels": 10**6})
    seen = facts(9, retrainings=(past(8),))
    found = asked_by_person(declared, seen, at(9), "person:1", "new feature")
    assert (found.answer, found.trigger, found.keys) == ("retrain", "person", ("person:1",))
    assert found.reason.startswith("Retrain: new feature. Without a request it would have waited: the last retraining")
    busy = asked_by_person(declared, replace(seen, attempt=OpenAttempt(7, "decided", at(8))), at(9), "person:2")
    assert busy.answer == "wait" and "is decided and not begun" in busy.reason


def test_equal_waits_fold_though_their_counts_grow() -> None:
    declared = policy(when={"new_labels": {"rows": 10**6}})
    one, two = (decide(declared, facts(day), at(day)) for day in (8, 9))
    assert one.reason != two.reason and one.fold_key == two.fold_key
    held_back = held(facts(9, degraded=[7], retrainings=(past(5),)), cooldown="7d")
    assert held_back.fold_key != two.fold_key


def replayed(declared: Any, seen_on: Any, days: list[float], outcome: str) -> list[Decision]:
    """The decisions to retrain of one look on each day, each taken back into the facts."""
    done: list[Decision] = []
    history: tuple = ()
    used: frozenset[str] = frozenset()
    for number, day in enumerate(days):
        found = decide(declared, replace(seen_on(day), retrainings=history, used=used), at(day))
        if found.answer == "retrain":
            done.append(found)
            history, used = (*history, past(day, outcome, number)), used | {*found.keys}
    return done


@pytest.mark.parametrize("outcome", ["failed", "kept", "inconclusive"])
def test_after_a_fruitless_attempt_only_new_windows_ask_again(outcome: str) -> None:
    declared = policy(when=WHEN, guards={"min_labels": 1, "persistence": {"windows": 2, "of": 3}})
    bad_once = replayed(declared, lambda d: facts(int(d), degraded=[5, 6]), [8, 8.5, 9, 10], outcome)
    assert len(bad_once) == 1
    goes_on = replayed(declared, lambda d: facts(int(d), degraded=range(5, 30)), [8.0, 9, 10, 11, 12], outcome)
    assert [found.since for found in goes_on] == [at(5), at(7), at(9)]


WHENS = [
    {"performance": {}}, {"drift": {}}, {"concept": {}}, {"new_labels": {"rows": 2000}}, {"schedule": "0 3 * * *"},
    {"any": [{"performance": {}}, {"new_labels": {"share": 0.2}}, {"schedule": "0 0 * * 0"}]},
    {"all": [{"drift": {}}, {"new_labels": {"rows": 500}}]},
]  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(WHENS), st.lists(st.floats(1, 20), min_size=1, max_size=12), st.sets(st.integers(0, 20)),
    st.sampled_from(["promoted", "kept", "failed"]), st.integers(0, 5),
)  # fmt: skip
def test_whatever_the_clock_does_no_row_is_evidence_twice(
    when: dict[str, Any], looks: list[float], bad: set[int], outcome: str, cooldown: int
) -> None:
    declared = policy(when=when, cooldown=f"{cooldown}d")
    changed = incident(min(bad, default=0), 20, "x", kind="performance", change="concept drift")
    moved = incident(min(bad, default=0), 20, "x", incident_id="i2")

    def seen(day: float) -> Facts:
        return facts(int(day), degraded=bad, alarms={d: ["x"] for d in bad}, incidents=(changed, moved))

    done = replayed(declared, seen, looks, outcome)
    keys = [key for found in done for key in found.keys]
    assert len(keys) == len(set(keys))
    assert len({found.evidence_key for found in done}) == len(done)
    assert all(found.evidence_key for found in done)
    assert decide(declared, seen(looks[0]), at(looks[0])) == decide(declared, seen(looks[0]), at(looks[0]))
    assert timedelta(days=cooldown) == declared.cooldown
