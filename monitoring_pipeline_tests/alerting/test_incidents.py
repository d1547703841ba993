"""Incidents from alarms made by hand: which belong together, how bad they are, what they are called and how told."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring_pipeline.alerting.incidents.alarm import Alarm, Group
from monitoring_pipeline.alerting.incidents.grouping import CORRELATED, GAP, grouped, unrelated
from monitoring_pipeline.alerting.incidents.kinds import CHANGES, LASTING, change_of
from monitoring_pipeline.alerting.incidents.lasting import Seen, lasting
from monitoring_pipeline.alerting.incidents.ranking import rank_of, relative_loss
from monitoring_pipeline.alerting.incidents.sentence import NAMED, Described, Harm, sentence, strongest, told_of
from monitoring_pipeline.alerting.incidents.severity import severity_of, worst_kind
from monitoring_pipeline.monitors.alarms import Alarms, Severities

DEFAULT = Severities()
CAUSES = ("concept", "harder mix", "harder mix")
FIRST, LAST = datetime(2024, 3, 1, tzinfo=UTC), datetime(2024, 3, 5, tzinfo=UTC)


def drift(number: int, column: str = "x", moved: str = "location", effect: float = 1.0, **others) -> Alarm:
    segment, role = others.pop("segment", "*"), others.pop("role", "feature")
    return Alarm(number, "drift", column, role, segment, others.pop("version", "1"), moved, effect, **others)


def of_rows(number: int, kind: str, metric: str = "metric", effect: float = 1.0, **others) -> Alarm:
    return Alarm(number, kind, "*", "", "*", "1", metric, effect, **others)


def numbers(groups: list[Group]) -> list[list[tuple[int, str]]]:
    return [[(alarm.number, alarm.subject) for alarm in group.alarms] for group in groups]


def correlation(*pairs: tuple[str, str], r: float = CORRELATED):
    return lambda a, b: r if (a.column, b) in pairs or (b, a.column) in pairs else 0.0


# -- which alarms are one incident ------------------------------------------------------------------------------------


def test_alarms_of_a_column_are_one_incident_as_long_as_no_gap_is_wider() -> None:
    (one,) = grouped([drift(10), drift(10 + GAP), drift(10 + 2 * GAP)])
    assert (one.first, one.last, one.n_windows) == (10, 10 + 2 * GAP, 3)
    assert numbers(grouped([drift(10), drift(11 + GAP)])) == [[(10, "x")], [(11 + GAP, "x")]]
    assert grouped([]) == []


def test_what_begins_together_is_one_incident_and_what_begins_later_another() -> None:
    together = grouped([drift(10), drift(11, "y"), drift(10 + GAP, "z")])
    assert [group.columns for group in together] == [("x", "y", "z")]
    x_goes_on = [drift(number) for number in range(10, 20)]
    apart = grouped([*x_goes_on, drift(11 + GAP, "y")])
    assert [group.columns for group in apart] == [("x",), ("y",)], "x had begun too long before"


def test_a_correlated_column_joins_whenever_it_begins() -> None:
    x_goes_on = [drift(number) for number in range(10, 20)]
    assert [g.columns for g in grouped([*x_goes_on, drift(16, "y")], correlation(("x", "y")))] == [("x", "y")]
    assert [g.columns for g in grouped([*x_goes_on, drift(16, "y")], correlation(("x", "y"), r=-0.9))] == [("x", "y")]
    weak = correlation(("x", "y"), r=CORRELATED - 0.01)
    assert [g.columns for g in grouped([*x_goes_on, drift(16, "y")], weak)] == [("x",), ("y",)]
    over = [*x_goes_on, drift(20 + GAP, "y")]
    assert len(grouped(over, correlation(("x", "y")))) == 2, "the incident it would join is over"


def test_a_column_keeps_to_its_own_incident_when_two_are_open() -> None:
    x, y = [drift(n) for n in range(10, 20)], [drift(n, "y") for n in range(14, 20)]
    assert numbers(grouped([*x, *y])) == [[(n, "x") for n in range(10, 20)], [(n, "y") for n in range(14, 20)]]


def test_performance_joins_the_drift_that_is_open_and_drift_of_all_rows_correlates_with_nothing() -> None:
    x_goes_on = [drift(number) for number in range(10, 20)]
    (one,) = grouped([*x_goes_on, of_rows(16, "performance", "roc_auc")])
    assert one.alarms[-1].kind != "performance" and "performance" in {alarm.kind for alarm in one.alarms}
    separate = grouped([*x_goes_on, of_rows(16, "volume")], lambda a, b: 1.0)
    assert [group.columns for group in separate] == [("x",), ()]


def test_segments_and_versions_of_a_column_are_one_incident() -> None:
    alarms = [drift(10), drift(10, segment="b=2"), drift(11, segment="a=1"), drift(11, version="2", effect=3.0)]
    (one,) = grouped(alarms)
    assert one.segments == ("*", "a=1", "b=2") and one.columns == ("x",) and one.n_windows == 2


def test_columns_are_ranked_by_their_largest_effect_whatever_its_sign() -> None:
    sizes = {"a": 0.2, "b": -3.0, "c": 3.0}
    (one,) = grouped([*(drift(1, name, effect=size) for name, size in sizes.items()), drift(2, "a", effect=1.0)])
    assert one.columns == ("b", "c", "a")


ALARMS = st.lists(
    st.builds(
        lambda n, kind, column, moved: drift(n, column, moved) if kind == "drift" else of_rows(n, kind, moved),
        st.integers(0, 25), st.sampled_from(["drift", "drift", "performance", "volume"]), st.sampled_from("abcd"),
        st.sampled_from(["location", "missing"]),
    ),
    max_size=25, unique=True,
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(ALARMS, st.randoms(), st.sampled_from([unrelated, correlation(("a", "b"), ("c", "d"))]))
def test_the_order_of_alarms_does_not_matter_and_every_one_has_one_place(alarms, random, correlated) -> None:
    groups = grouped(alarms, correlated)
    shuffled = random.sample(alarms, len(alarms))
    assert [group.alarms for group in grouped(shuffled, correlated)] == [group.alarms for group in groups]
    placed = [alarm for group in groups for alarm in group.alarms]
    assert len(placed) == len(alarms) and set(placed) == set(alarms)
    assert [group.first for group in groups] == sorted(group.first for group in groups)
    for group in groups:
        at = [alarm.number for alarm in group.alarms]
        assert at == sorted(at) and all(later - earlier <= GAP for earlier, later in pairwise(at))


@settings(max_examples=100, deadline=None)
@given(ALARMS, st.integers(0, 25))
def test_what_comes_later_does_not_regroup_what_was_before(alarms, now) -> None:
    """Window by window an incident only grows, so its name stays."""
    before = grouped([alarm for alarm in alarms if alarm.number <= now])
    after = grouped(alarms)[: len(before)]
    assert [[alarm for alarm in group.alarms if alarm.number <= now] for group in after] == [g.alarms for g in before]


# -- how bad it is ----------------------------------------------------------------------------------------------------


def severity(*alarms: Alarm, declared: Severities = DEFAULT, **importance: float) -> str:
    return severity_of(Group(list(alarms)), declared, importance)


def test_the_worst_alarm_decides() -> None:
    assert severity(drift(1)) == "warning"
    assert severity(drift(1), of_rows(2, "performance")) == "critical"
    assert severity(of_rows(1, "volume")) == severity(of_rows(1, "freshness")) == "critical"
    assert severity(of_rows(1, "quality")) == severity(of_rows(1, "coverage")) == "warning"
    assert severity(drift(1), declared=Severities(drift="critical")) == "critical"


def test_columns_that_hardly_matter_are_worth_an_info() -> None:
    assert severity(drift(1), x=0.01) == "info"
    assert severity(drift(1), x=0.02) == "warning", "from the declared importance on"
    assert severity(drift(1), drift(1, "y"), x=0.01) == "warning", "what is not known to be unimportant counts"
    assert severity(drift(1), declared=Severities(important=0.5), x=0.4) == "info"
    assert severity(drift(1), of_rows(1, "performance"), x=0.0) == "critical", "the model does worse all the same"


def test_a_harder_mix_is_no_more_than_a_warning() -> None:
    assert severity(of_rows(1, "performance", cause="harder mix")) == "warning"
    assert severity(of_rows(1, "performance", cause="concept")) == "critical"
    quiet = Severities(performance="info")
    assert severity(of_rows(1, "performance", cause="harder mix"), declared=quiet) == "info"


def test_the_kind_is_that_of_the_worst_alarms() -> None:
    assert worst_kind(Group([drift(1), of_rows(1, "performance")]), DEFAULT) == "performance"
    assert worst_kind(Group([drift(1), of_rows(1, "quality")]), DEFAULT) == "quality"
    assert worst_kind(Group([of_rows(1, "volume"), of_rows(1, "freshness")]), DEFAULT) == "volume"


# -- what kind of change it is ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("alarms", "name"),
    [
        ([drift(1)], "feature drift"),
        ([drift(1), drift(1, "score", role="score")], "feature drift"),
        ([drift(1, "score", role="score"), drift(1, "out", role="prediction")], "prediction drift"),
        ([drift(1, moved="missing"), drift(1, "y", "unseen"), drift(2, "z", "outside")], "data fault"),
        ([drift(1, moved="missing"), drift(1, "y")], "feature drift"),
        ([drift(1), of_rows(1, "quality", "retyped")], "data fault"),
        ([drift(1), of_rows(1, "volume")], "outage"),
        ([of_rows(1, "coverage")], "outage"),
        ([of_rows(1, "freshness")], "outage"),
        ([of_rows(1, "performance")], "performance loss"),
        ([drift(1), of_rows(1, "performance", cause="concept")], "concept drift"),
        ([of_rows(1, "performance", cause="base rate or calibration")], "label drift"),
        ([drift(1), of_rows(1, "performance", cause="harder mix")], "harder mix"),
        ([of_rows(n, "performance", cause=CAUSES[n]) for n in range(3)], "harder mix"),
    ],
)  # fmt: skip
def test_the_kind_of_change_follows_from_what_alarmed(alarms: list[Alarm], name: str) -> None:
    assert change_of(Group(alarms)).name == name


def test_a_difference_since_the_first_window_is_skew_once_it_lasts() -> None:
    lasting = Group([drift(number) for number in range(5, 5 + LASTING)])
    assert change_of(lasting, first_judged=5).name == "training-serving skew"
    assert change_of(lasting, first_judged=4).name == "feature drift"
    assert change_of(Group(lasting.alarms[:-1]), first_judged=5).name == "feature drift"
    twice = Group([replace(alarm, segment=segment) for alarm in lasting.alarms[:-1] for segment in ("*", "a=1")])
    assert change_of(twice, first_judged=5).name == "feature drift", "windows count, not alarms"


def test_every_kind_of_change_says_what_to_do() -> None:
    assert len({change.name for change in CHANGES}) == len(CHANGES) == 11
    assert all(change.meaning and change.actions for change in CHANGES)


# -- the sentence -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("alarm", "described", "told"),
    [
        (drift(1, effect=-0.5), Described(mean=1, mean_before=2.5), "the mean of x is 1 instead of 2.5 (-0.50 sd)"),
        (drift(1, moved="spread"), Described(sd=2, sd_before=1), "the standard deviation of x is 2 instead of 1"),
        (
            Alarm(1, "fairness", "sex", "", "*", "1", "equalized_odds_difference", 0.1, None, 0.3, 0.2,
                  detail="0.7 in a (n 90) against 0.4 in b", source="declared"),
            Described(),
            "equalized_odds_difference of sex is 0.300, allowed is at most 0.2 (0.7 in a (n 90) against 0.4 in b)",
        ),
        (drift(1, moved="missing"), Described(share=0.2, share_before=0.05), "20.0% of x is missing instead of 5.0%"),
        (drift(1, moved="outside"), Described(share=0.2, share_before=0.0),
         "20.0% of x lies outside the reference's range instead of 0.0%"),
        (drift(1, moved="unseen"), Described(share=0.1, unseen=(("kiosk", 1200), ("fax", 3))),
         "10.0% of x are categories the reference lacks instead of 0.0% (kiosk: 1,200, fax: 3)"),
        (drift(1, moved="category JFK"), Described(share=0.5, share_before=0.3), "JFK is 50.0% of x instead of 30.0%"),
        (drift(1, moved="shape", effect=0.4), Described(mean=1, mean_before=1),
         "the distribution of x has another shape (0.40 sd)"),
        (drift(1), Described(), "the distribution of x has another location (1.00 sd)"),
        (drift(1, segment="a=1"), Described(mean=1, mean_before=2),
         "the mean of x is 1 instead of 2 (+1.00 sd) in a=1"),
        (of_rows(1, "performance", "roc_auc", value=0.6, usual=0.7), Described(), "roc_auc is 0.6 instead of 0.7"),
        (replace(of_rows(1, "quality", "retyped", detail="VARCHAR"), column="x"), Described(),
         "x: the column has another type (VARCHAR)"),
    ],
)  # fmt: skip
def test_a_clause_tells_the_numbers_of_what_moved(alarm: Alarm, described: Described, told: str) -> None:
    assert told_of(alarm, described) == told


def test_the_largest_alarm_of_each_subject_is_told_and_performance_first() -> None:
    group = Group([
        drift(1, effect=0.3), drift(2, effect=-2.0), drift(2, effect=2.0, segment="a=1"), drift(1, "y", effect=5.0),
        of_rows(2, "performance", "roc_auc", 0.01),
    ])  # fmt: skip
    assert [(a.kind, a.column, a.segment, a.effect) for a in strongest(group)] == [
        ("performance", "*", "*", 0.01), ("drift", "y", "*", 5.0), ("drift", "x", "*", -2.0),
    ]  # fmt: skip


def told(group: Group, first=FIRST, last=LAST, harm=None, is_open=False, others=()) -> str:
    return sentence(group, change_of(group), first, last, {}, harm, is_open=is_open, others=others)


def test_the_sentence_says_what_when_how_much_and_what_to_do() -> None:
    group = Group([drift(n, name) for n in (1, 3, 5) for name in "abcde"])
    text = told(group, harm=Harm("roc_auc", 0.6789, 0.75), others=("f", "g"))
    assert text.startswith("Feature drift from 2024-03-01 to 2024-03-05 (3 windows): the distribution of a has")
    assert text.count("the distribution of") == NAMED and "; and 2 more." in text
    assert "roc_auc averages 0.679 over these windows; in the reference it is 0.750." in text
    assert "Correlated columns that did not move: f, g." in text
    assert text.endswith("To do: " + "; ".join(change_of(group).actions) + ".")


def test_the_sentence_says_whether_the_harm_is_measured_or_estimated_and_that_days_are_averaged() -> None:
    measured, guessed = Harm("roc_auc", 0.68, 0.75), Harm("roc_auc", 0.68, 0.75, estimated=True)
    assert measured.said(1) == "roc_auc is 0.680 in this window; in the reference it is 0.750."
    known = "outcomes not known yet; in the reference it is 0.750."
    assert guessed.said(1) == f"roc_auc is estimated at 0.680 in this window, {known}"
    assert guessed.said(4) == f"roc_auc is estimated to average 0.680 over these windows, {known}"


def test_the_sentence_tells_an_open_incident_from_one_that_is_over() -> None:
    one, three = Group([drift(1)]), Group([drift(n) for n in (1, 2, 3)])
    assert "Feature drift on 2024-03-01: " in told(one, last=FIRST)
    assert "Feature drift since 2024-03-01: " in told(one, last=FIRST, is_open=True)
    assert "Feature drift since 2024-03-01 (3 windows): " in told(three, is_open=True)
    hourly = told(three, FIRST.replace(hour=22), LAST)
    assert "from 2024-03-01 22:00 to 2024-03-05 00:00 (3 windows)" in hourly


def test_the_page_on_incidents_explains_every_kind_of_change() -> None:
    page = (Path(__file__).parents[2] / "docs/incidents.md").read_text(encoding="utf-8")
    for change in CHANGES:
        assert f"| {change.name} | {change.meaning} | {'; '.join(change.actions)} |" in page, change.name


def test_incidents_are_ranked_by_importance_times_effect_times_loss() -> None:
    alarms = Alarms()
    large, small = (Group([drift(1, "a", effect=size)]) for size in (0.6, 0.3))
    assert rank_of(large, {}, None, alarms) == pytest.approx(0.6 / 0.15)
    assert rank_of(large, {"a": 0.5}, None, alarms) == pytest.approx(rank_of(small, {}, None, alarms))
    assert rank_of(small, {}, 0.2, alarms) == pytest.approx(3 * rank_of(small, {}, 0.0, alarms))
    fallen = Group([of_rows(1, "performance", "auc of class=a", -0.04)])
    assert rank_of(fallen, {}, None, alarms) == pytest.approx(2)
    assert rank_of(Group([of_rows(1, "quality")]), {}, None, alarms) == 1
    assert change_of(Group([drift(1, "y", role="target")])).name == "label drift"
    assert relative_loss("roc_auc", 0.9, 0.8) == 0 == relative_loss("mae", 1.0, 0.0)


# -- what lasts when the alarms end -----------------------------------------------------------------------------------


def seen(number: int, *, differs: bool = True, effect: float = 0.8, column: str = "x", segment: str = "*") -> Seen:
    return Seen(number, "1", segment, column, differs, effect)


@pytest.mark.parametrize(
    ("after", "lasts"),
    [
        ([seen(11), seen(12)], True),
        ([seen(12)], True),  # the window between held no rows
        ([seen(11), seen(12, differs=False)], False),
        ([seen(11, effect=-0.8), seen(12, effect=-0.8)], False),
        ([seen(13), seen(14)], False),
        ([seen(11, column="y"), seen(12, column="y")], False),
        ([seen(11, segment="a"), seen(12, segment="a")], False),
        ([], False),
    ],
)
def test_a_change_lasts_where_the_windows_after_it_still_differ_to_the_same_side(after, lasts) -> None:
    assert lasting([drift(10), of_rows(10, "volume")], 10, after) == (("x",) if lasts else ())


def test_the_sentence_says_that_a_change_lasts() -> None:
    (group,) = grouped([drift(10, column) for column in "abcde"])
    change = change_of(group, first_judged=0)
    told = sentence(group, change, FIRST, FIRST, {}, None, is_open=False, lasting=tuple("abcde"))
    assert "a, b, c and 2 more did not go back: later windows still differ from the reference" in told
    assert "go back" not in sentence(group, change, FIRST, FIRST, {}, None, is_open=False)
