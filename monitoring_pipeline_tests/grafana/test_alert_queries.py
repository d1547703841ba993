"""Every alert rule on real rows: fires where it must, is silent where it must be; an incident ends as it ended."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from numbers import Number
from typing import Any

import pytest
from sqlalchemy import Connection, text

from grafana.alerts.rules import GROUPS
from monitoring_pipeline.warehouse import incident_store, ledger
from monitoring_pipeline.warehouse.database import Warehouse
from monitoring_pipeline.warehouse.incident_store import Incident
from monitoring_pipeline.warehouse.reader_role import READER
from monitoring_pipeline_tests.warehouse import samples as s
from monitoring_pipeline_tests.warehouse.test_cookbook import DAYS, fill, write

RULES = {rule.uid: rule for _, rules in GROUPS for rule in rules}
LAST = DAYS[2]


@pytest.fixture
def conn(warehouse: Warehouse) -> Iterator[Connection]:
    """Three days of March, degraded on the last; no incident, no failure. All of it is rolled back."""
    with warehouse.engine.connect() as connection:
        fill(connection)
        connection.exec_driver_sql("delete from monitoring.incident")
        connection.exec_driver_sql("delete from monitoring.window_stage where last_error is not null")
        profiled(connection)
        yield connection
        connection.rollback()


def ask(conn: Connection, uid: str) -> list[dict[str, Any]]:
    """The rule's rows as Grafana asks for them, with the reader's rights: text becomes labels, one number is judged."""
    conn.exec_driver_sql(f"set local role {READER}")
    rows = [dict(row) for row in conn.exec_driver_sql(RULES[uid].query.replace("%", "%%")).mappings()]
    conn.exec_driver_sql("reset role")
    for row in rows:
        assert {key for key, value in row.items() if isinstance(value, Number)} == {"state"}
        assert all(isinstance(value, str) for key, value in row.items() if key != "state"), row
    labels = [tuple(sorted((k, v) for k, v in row.items() if k != "state")) for row in rows]
    assert len(set(labels)) == len(labels), "Grafana refuses rows with equal labels"
    return rows


def firing(conn: Connection, uid: str) -> list[str]:
    """What the alerts that fire say."""
    return [row["sentence"] for row in ask(conn, uid) if row["state"] > 0]


def execute(conn: Connection, statement: str, **values: object) -> None:
    conn.execute(text(statement), values)


def end_the_monitor(conn: Connection) -> None:
    execute(conn, """update monitoring.monitor_declaration set declaration = declaration || '{"end": "2026-03-04"}'""")


def opened(**changes: Any) -> Incident:
    first = Incident(
        incident_id="2026-03-01-abc", kind="drift", severity="warning", state="open", opened_at=DAYS[0].end,
        first_window=DAYS[0].start, last_window=DAYS[0].start, columns=("age",), segments=("*",),
        summary="age moved by \"0.9\" % of {{ its }} $range, naïvely", evidence={}, resolved_at=None,
        change="feature drift", actions=(), n_windows=1,
    )  # fmt: skip
    return replace(first, **changes)


def revise(conn: Connection, run: str, *incidents: Incident, gone: tuple[str, ...] = ()) -> None:
    """A revision written by this run. Transactions have one moment; revisions must not."""
    incident_store.revise(conn, s.NAME, run, gone, incidents)


def labels(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != "state"}


def test_an_incident_fires_once_is_updated_and_resolves(conn: Connection) -> None:
    assert ask(conn, "incident-warning") == []
    revise(conn, "run-a", opened())
    [first] = ask(conn, "incident-warning")
    assert first["state"] == 1 and first["sentence"] == opened().summary and first["run_id"] == "run-a"
    assert (first["monitor"], first["kind"], first["change"]) == (s.NAME, "drift", "feature drift")
    assert ask(conn, "incident-critical") == ask(conn, "incident-info") == []
    assert first["time_range"] == "from=1771113600000&to=now", "from two weeks before it, 2026-02-15"

    revise(conn, "run-b", opened(last_window=DAYS[1].start, n_windows=2))
    assert ask(conn, "incident-warning") == [first], "it lasts and says the same: nothing is told again"

    revise(conn, "run-c", opened(last_window=LAST.start, n_windows=3, summary="age and plan moved"))
    [updated] = ask(conn, "incident-warning")
    assert (updated["sentence"], updated["run_id"]) == ("age and plan moved", "run-c")
    assert updated["incident_id"] == first["incident_id"], "the group that people were told about"

    revise(conn, "run-d", opened(state="resolved", resolved_at=LAST.end, summary="age and plan had moved"))
    [closed] = ask(conn, "incident-warning")
    assert closed["state"] == 0 and labels(closed) == labels(updated), "the same alert, so that it resolves"


def test_a_retracted_incident_resolves_as_retracted(conn: Connection) -> None:
    revise(conn, "run-a", opened())
    [fired] = ask(conn, "incident-warning")
    revise(conn, "run-b", opened(state="retracted", resolved_at=LAST.end, reason="late labels"))
    [closed] = ask(conn, "incident-warning")
    assert closed["state"] == -1 and labels(closed) == labels(fired)
    end_the_monitor(conn)
    assert ask(conn, "incident-warning")[0]["time_range"] == "from=1771113600000&to=1772582400000"
    execute(conn, "update monitoring.incident set as_known_at = as_known_at - interval '2 hours'")
    execute(conn, "update monitoring.incident set superseded_at = superseded_at - interval '2 hours'")
    assert ask(conn, "incident-warning") == []


def test_an_incident_under_another_name_replaces_the_one_before(conn: Connection) -> None:
    revise(conn, "run-a", opened())
    revise(conn, "run-b", opened(incident_id="2026-03-01-def"), gone=("2026-03-01-abc",))
    assert {row["incident_id"]: row["state"] for row in ask(conn, "incident-warning")} == {
        "2026-03-01-abc": -2, "2026-03-01-def": 1,
    }  # fmt: skip


def test_an_incident_that_becomes_critical_moves_to_that_rule(conn: Connection) -> None:
    revise(conn, "run-a", opened())
    revise(conn, "run-b", opened(severity="critical", kind="performance"))
    assert ask(conn, "incident-warning") == []
    assert [row["kind"] for row in ask(conn, "incident-critical")] == ["performance"]


def test_degraded_performance_fires_when_mature_and_unsaid(conn: Connection) -> None:
    [row] = ask(conn, "performance-degraded")
    assert row["model_version"] == "1" and row["run_id"] == "run-1"
    assert row["sentence"].startswith("roc_auc 0.500 (95 % interval ") and "limit 0.650" in row["sentence"]
    assert row["sentence"].endswith("in the window of 2026-03-03 00:00 UTC")
    revise(conn, "run-a", opened(kind="performance", severity="critical", last_window=LAST.start))
    assert ask(conn, "performance-degraded") == [], "the open incident says it"


def test_immature_good_or_ended_performance_is_silent(conn: Connection) -> None:
    good = s.performance({"roc_auc": 0.7})
    bad = s.performance({"roc_auc": 0.4})
    write(conn, LAST, good, s.verdict(good, 0.65, above=False, mature=True), s.provenance(label_batch=3))
    assert ask(conn, "performance-degraded") == []
    write(conn, LAST, bad, s.verdict(bad, 0.65, above=False, mature=False), s.provenance(label_batch=4))
    assert ask(conn, "performance-degraded") == [], "labels are still to come"
    write(conn, LAST, bad, s.verdict(bad, 0.65, above=False, mature=True), s.provenance(label_batch=5))
    assert len(ask(conn, "performance-degraded")) == 1
    end_the_monitor(conn)
    assert ask(conn, "performance-degraded") == [], "a replay of the past pages nobody"


def test_late_labels_fire_when_all_are_due(conn: Connection) -> None:
    execute(conn, "update monitoring.monitor set label_coverage = 0, label_max_delay = '1 day'")
    assert ask(conn, "labels-late") == []
    execute(conn, "update monitoring.monitor set label_coverage = 1")
    [sentence] = firing(conn, "labels-late")
    assert (
        "of the predictions of 2026-03-03 00:00 UTC have an outcome" in sentence and "100.0 % are expected" in sentence
    )
    execute(conn, "update monitoring.monitor set label_max_delay = '100 years'")
    assert ask(conn, "labels-late") == [], "none is due yet"
    execute(conn, "update monitoring.monitor set label_max_delay = '1 day', has_ground_truth = false")
    assert ask(conn, "labels-late") == [], "a monitor without outcomes"


def test_unusual_volume_fires_for_the_newest_window(conn: Connection) -> None:
    assert ask(conn, "volume-unusual") == []
    for window, status in ((DAYS[1], "alarm"), (LAST, "quiet")):
        execute(
            conn,
            """insert into monitoring.window_verdict (monitor, window_start, window_end, kind, model_version, segment,
               subject, status, contrast, horizon, value, expected, source, reason, cause, judgement_id)
               select :monitor, :start, :end, 'volume', '', '*', '', :status, 'rows', 1, 12, 1000, 'learnt', '', '',
               max(judgement_id) from monitoring.judgement""",
            monitor=s.NAME, start=window.start, end=window.end, status=status,
        )  # fmt: skip
    assert ask(conn, "volume-unusual") == [], "yesterday's alarm is over"
    execute(conn, "update monitoring.window_verdict set status = 'alarm'")
    assert firing(conn, "volume-unusual") == ["12 rows in the window of 2026-03-03 00:00 UTC, expected about 1000"]


def test_late_results_fire_from_two_windows_on(conn: Connection) -> None:
    profile = "update monitoring.window_stage set window_end = now() - cast(:age as interval), completed_at = now()"
    newest = " where stage = 'profile' and window_start = :start"
    execute(conn, profile + newest, age="47 hours", start=LAST.start)
    assert ask(conn, "results-late") == []
    execute(conn, profile + newest, age="49 hours", start=LAST.start)
    [sentence] = firing(conn, "results-late")
    assert sentence.startswith("the newest profiled window ended 20")
    end_the_monitor(conn)
    assert ask(conn, "results-late") == []
    execute(conn, "delete from monitoring.window_stage")
    execute(conn, "update monitoring.monitor_declaration set declaration = declaration - 'end'")
    assert firing(conn, "results-late") == ["no window has been profiled yet; the first was due 2026-03-01 00:00 UTC"]


def test_failed_windows_say_how_many_and_why(conn: Connection) -> None:
    assert ask(conn, "windows-failed") == []
    ledger.fail_stage(conn, s.NAME, DAYS[0], "profile", "first", label_batch=None, run_id=None)
    ledger.fail_stage(conn, s.NAME, LAST, "drift", "50 % of {rows} are gone", label_batch=None, run_id="run-9")
    [row] = ask(conn, "windows-failed")
    assert row["run_id"] == "run-9"
    assert row["sentence"] == "2 windows failed; the newest, 2026-03-03 00:00 UTC, in drift: 50 % of {rows} are gone"


def test_the_budget_is_overspent_by_more_than_chance(conn: Connection) -> None:
    revise(conn, "run-a", *(opened(incident_id=f"i{n}") for n in range(4)))
    assert ask(conn, "budget-overspent") == [], "one false incident a month is accepted; four may be chance"
    revise(conn, "run-b", opened(incident_id="i5"))
    [sentence] = firing(conn, "budget-overspent")
    assert sentence.startswith("5 incidents in 2026-03; at most 1 false ones a month are accepted, ")


def test_on_an_empty_database_nothing_fires(warehouse: Warehouse) -> None:
    with warehouse.engine.connect() as connection:
        assert {uid: ask(connection, uid) for uid in RULES} == {uid: [] for uid in RULES}
        connection.rollback()


def profiled(conn: Connection) -> None:
    execute(
        conn,
        """insert into monitoring.window_stage (monitor, window_start, window_end, stage, completed_at, data_version)
           values (:monitor, :start, :end, 'profile', now(), 'd1') on conflict do nothing""",
        monitor=s.NAME, start=LAST.start, end=LAST.end,
    )  # fmt: skip
