"""Incidents, from files to the view: one for each trouble, told in a sentence, revised as windows or rows come late."""

from __future__ import annotations

from typing import Any

import pandas as pd

from monitoring_pipeline_tests.stages.story import (
    DAYS,
    ECHO,
    LOSSY,
    NOVEL,
    ROWS,
    SHIFTED,
    Story,
    judge,
    number,
    run,
    without_values,
)


def of_column(story: Story, column: str, name: str = "toy") -> Any:
    """The one incident whose first column this is."""
    (found,) = [one for one in story.incidents(name) if list(one.columns)[:1] == [column]]
    return found


def test_each_trouble_is_one_incident_that_says_what_happened(eventful: Story) -> None:
    stages = eventful.monitor()
    run(stages, range(DAYS))
    incidents = [one for one in eventful.incidents() if one.kind == "drift"]
    assert [number(one.first_window) for one in incidents] == [SHIFTED[0], LOSSY, NOVEL[0]]
    shifted, lossy, novel = incidents
    assert {one.state for one in (shifted, lossy)} == {"resolved"}
    assert {one.severity for one in incidents} == {"warning"} and {tuple(one.segments) for one in incidents} == {("*",)}
    for one, last in ((shifted, SHIFTED[-1]), (lossy, LOSSY), (novel, NOVEL[-1])):
        assert last <= number(one.last_window) <= last + ECHO
        assert one.opened_at == one.first_window + pd.Timedelta(days=1)
        if one.state == "resolved":
            assert one.resolved_at == one.last_window + pd.Timedelta(days=3), "the end of the second quiet day"
        assert one.n_windows == len(eventful.alarms()["*", one.columns[0]])

    assert shifted.columns[0] == "x" and set(shifted.columns) == {"x", "score", "predicted"}
    assert shifted.change == "feature drift"
    means = [eventful.toy.rows(day, ROWS, 1.0)["x"].mean() for day in SHIFTED]
    assert sum(f"the mean of x is {mean:.4g} instead of " in shifted.summary for mean in means) == 1, "the largest"
    assert f"{SHIFTED[0] + 1:02d} to " in shifted.summary and "2024-03-" in shifted.summary
    assert (list(lossy.columns), lossy.change) == (["amount"], "data fault")
    lost = without_values(eventful.toy.rows(LOSSY, ROWS), "amount", 0.2)["amount"].isna().mean()
    assert f"{lost:.1%} of amount is missing instead of 0.0%" in lossy.summary
    assert list(novel.columns) == ["channel"] and "of channel are categories the reference lacks" in novel.summary
    assert all(one.summary.endswith(f"To do: {'; '.join(one.actions)}.") for one in incidents)
    (evidence,) = lossy.evidence["alarms"]
    assert (evidence["column"], evidence["moved"], evidence["windows"]) == ("amount", "missing", lossy.n_windows)

    opened = eventful.query("select sum(incidents_opened) as n from monitoring.alarm_budget_current")
    assert opened["n"].item() == len(eventful.incidents())
    history = len(eventful.history())
    judge(stages, range(DAYS))
    assert len(eventful.history()) == history == len(eventful.incidents()), "one revision each, and no more"


def test_window_by_window_an_incident_opens_lasts_and_is_resolved(eventful: Story) -> None:
    stages = eventful.monitor()
    run(stages, range(SHIFTED[0]))
    before = {one.incident_id for one in eventful.incidents()}
    seen = []
    for day in range(SHIFTED[0], LOSSY):
        run(stages, [day])
        seen += [(one.state, one.incident_id) for one in eventful.incidents() if one.incident_id not in before]
    assert len({name for _, name in seen}) == 1, "it keeps its name"
    states = [state for state, _ in seen]
    assert states[0] == "open" and states[-1] == "resolved" and sorted(states) == states
    steps = eventful.query(
        "select state, reason, as_known_at, superseded_at from monitoring.incident_history where incident_id = :i"
        " order by as_known_at",
        i=seen[0][1],
    )
    reasons = steps["reason"].tolist()
    assert reasons[0] == "opened" and reasons[-1] == "resolved after 2 quiet windows"
    assert reasons[1] == "amended: last window is now 2024-03-18 00:00"
    assert all(reason.startswith("amended: ") for reason in reasons[1:-1])
    assert steps["superseded_at"].tolist()[:-1] == steps["as_known_at"].tolist()[1:]
    assert pd.isna(steps["superseded_at"].iloc[-1])


def test_an_incident_is_open_until_two_quiet_windows_have_passed(story: Story) -> None:
    story.write_reference()
    for day in range(10):
        story.write(day, shift=2.0 if day == 4 else 0.0)
    stages = story.monitor(alarms={"drift": {"horizons": [1]}})
    states = []
    for day in range(4, 8):
        run(stages, [day] if day > 4 else range(5))
        states.append(of_column(story, "x").state)
    assert states == ["open", "open", "resolved", "resolved"]
    incident = of_column(story, "x")
    assert incident.summary.startswith("Feature drift on 2024-03-05: ") and incident.n_windows == 1
    assert incident.resolved_at == story.start(7)


def test_a_change_that_lasts_is_one_incident_that_says_so_when_its_alarms_end(story: Story) -> None:
    story.write_reference()
    for day in range(45):
        story.write(day, shift=1.0 if day >= 18 else 0.0)
    run(story.monitor(), range(45))
    incident = of_column(story, "x")
    assert (number(incident.first_window), incident.state) == (18, "resolved")
    assert (
        " did not go back: later windows still differ from the reference, as the weeks before do." in incident.summary
    )
    assert incident.evidence["lasting"][0] == "x"
    (reason,) = story.query("select reason from monitoring.incident_history where state = 'resolved'")["reason"]
    assert reason == "opened"


def test_an_incident_is_retracted_when_late_rows_remove_its_cause(eventful: Story) -> None:
    stages = eventful.monitor()
    run(stages, range(LOSSY))
    incident = of_column(eventful, "x")
    for day in SHIFTED:
        eventful.write(day)
    run(stages, SHIFTED)
    found = of_column(eventful, "x")
    assert (found.incident_id, found.state) == (incident.incident_id, "retracted")
    assert found.reason.startswith("retracted: late rows or labels, or another policy, changed the verdicts")
    assert found.resolved_at >= found.opened_at
    assert eventful.alarms() == {}

    for day in SHIFTED:
        eventful.write(day, shift=1.0)
    run(stages, SHIFTED)
    again = of_column(eventful, "x")
    assert (again.incident_id, again.state, again.reason) == (incident.incident_id, "resolved", "opened")
    assert again.summary == incident.summary


def test_an_incident_that_began_later_than_was_thought_continues_under_another_name(eventful: Story) -> None:
    stages = eventful.monitor("corrected")
    run(stages, range(LOSSY))
    incident = of_column(eventful, "x", "corrected")
    for day in SHIFTED[:2]:
        eventful.write(day)
    run(stages, SHIFTED[:2])
    found = of_column(eventful, "x", "corrected")
    assert number(found.first_window) == SHIFTED[2] and found.incident_id != incident.incident_id
    assert found.reason == f"continues {incident.incident_id}, whose first window changed"
    run(eventful.monitor("fresh"), range(LOSSY))
    assert eventful.said("corrected") == eventful.said("fresh")


def test_another_budget_retracts_what_it_does_not_pay_for(eventful: Story) -> None:
    run(eventful.monitor(), range(DAYS))
    names = {one.incident_id for one in eventful.incidents() if one.kind == "drift"}
    judge(eventful.monitor(alarms={"budget": 0}), range(DAYS))
    assert {one.incident_id for one in eventful.incidents() if one.state == "retracted"} >= names
    judge(eventful.monitor(), range(DAYS))
    assert {one.incident_id for one in eventful.incidents() if one.state != "retracted"} >= names


def test_what_hardly_matters_is_an_info_and_a_declared_severity_counts(eventful: Story) -> None:
    alarms = {"importance": {"amount": 0.001}, "severity": {"drift": "critical"}}
    run(eventful.monitor(alarms=alarms), range(DAYS))
    severities = {one.columns[0]: one.severity for one in eventful.incidents() if one.kind == "drift"}
    assert severities == {"x": "critical", "amount": "info", "channel": "critical"}


def test_a_pinned_threshold_raises_an_incident_of_its_own(story: Story) -> None:
    story.write_reference()
    for day in range(6):
        story.write(day, shift=0.6 if day in (2, 3) else 0.0)
    run(story.monitor(alarms={"budget": 0}, thresholds={"columns": {"x": {"drift": {"psi": 0.2}}}}), range(6))
    drifted = story.query(
        "select window_start from monitoring.drift_current where column_name = 'x' and method = 'psi' and drifted"
        " order by 1"
    )
    assert [number(start) for start in drifted["window_start"]] == [2, 3]
    (incident,) = [one for one in story.incidents() if one.kind == "drift"]
    assert (list(incident.columns), number(incident.first_window), number(incident.last_window)) == (["x"], 2, 3)


def test_performance_and_volume_end_alike_in_any_order_of_windows(story: Story) -> None:
    story.write_reference()
    wrong, few = range(15, 18), 20
    for day in range(24):
        rows = story.toy.rows(day, 60 if day == few else ROWS)
        rows = rows.assign(y=1 - rows["y"]) if day in wrong else rows
        story.write(day, rows)
        story.toy.write_labels(rows, f"labels of {day:02d}")
    labelled = {"ground_truth": {"path": "../truth/*.parquet", "outcome": "y", "label_time": "known"}}
    run(story.monitor("whole", **labelled), range(24))
    pieces = story.monitor("pieces", **labelled)
    for days in ([20, 21, 22, 23], range(3), range(3, 9), *([day] for day in range(9, 20))):
        run(pieces, days)
    run(pieces, range(24))  # the usual number of rows is what there was when a window was measured
    views = ("performance_current", "quality_current", "column_verdict_current", "incident_current")
    assert story.said("pieces", views) == story.said("whole", views)

    performance, volume = story.incidents("whole")
    assert (performance.kind, performance.change, performance.severity) == ("performance", "concept drift", "critical")
    assert number(performance.first_window) == wrong[0] and "roc_auc averages 0." in performance.summary
    assert (volume.kind, volume.change, number(volume.first_window)) == ("volume", "outage", few)
    assert volume.summary.startswith("Outage on 2024-03-21: 60 rows came where 250 were expected")
