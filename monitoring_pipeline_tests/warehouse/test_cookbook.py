"""Every question of the cookbook is answered on figures that came through the stores."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Connection, text

from monitoring_pipeline.alerting import Verdict
from monitoring_pipeline.measurements import Measurement, metric_keys
from monitoring_pipeline.monitors import Window
from monitoring_pipeline.resources import data_dir
from monitoring_pipeline.retraining.policy.decision import Decision, Held
from monitoring_pipeline.settings import Settings
from monitoring_pipeline.stages.declaring import declare
from monitoring_pipeline.warehouse import (
    attempt_store,
    column_verdict_store,
    ledger,
    measurement_store,
    profile_store,
    rollup_store,
    verdict_store,
)
from monitoring_pipeline.warehouse.column_verdict_store import ColumnRow, JudgedWindow
from monitoring_pipeline.warehouse.database import Warehouse
from monitoring_pipeline.warehouse.measurement_store import Provenance
from monitoring_pipeline.warehouse.model_versions import ModelVersion, register_version
from monitoring_pipeline.warehouse.verdict_store import Judged, Judgement

from . import samples as s

QUESTIONS = sorted(data_dir("sql").glob("cookbook/*.sql"))
DAYS = [s.window(i) for i in range(3)]


def fill(conn: Connection) -> None:
    """Three days of a monitor: drift and degradation on the last, labels that came in two batches, one failure."""
    declare(conn, s.monitor())
    profile_store.save_reference(conn, s.reference(), "r1", None)
    ledger.record_files(conn, s.NAME, "predictions", [s.file("a", DAYS)])
    register_version(conn, s.NAME, ModelVersion("1", "champion", training_metrics={"roc_auc": 0.8}), run_id=None)
    for number, day in enumerate(DAYS):
        ledger.record_ingested(conn, s.NAME, s.taken(day), 1, None)
        profile_store.save_profiles(conn, s.NAME, day, [s.profile(day, seed=number)])
        profile_store.save_labelled(conn, s.NAME, day, [s.labelled(day, 1)])
        last = number == 2
        drift = s.drift({("age", "psi"): 0.9 if last else 0.1, ("plan", "psi"): 0.05})
        write(conn, day, drift, s.verdict(drift, 0.2), s.provenance())
        quality = s.quality({("age", "missing_share"): 0.5 if last else 0.0})
        write(conn, day, quality, s.verdict(quality, 0.05), s.provenance())
        performance = s.performance({"roc_auc": 0.7, "accuracy": 0.9})
        judged = s.verdict(performance, 0.65, above=False, mature=False)
        write(conn, day, performance, judged, s.provenance(label_batch=1))
    ledger.record_batch(conn, s.NAME, s.batch(1, DAYS, n_unknown=5), [], None)
    bad = s.performance({"roc_auc": 0.5, "accuracy": 0.7}, n_labelled=99)
    write(conn, DAYS[2], bad, s.verdict(bad, 0.65, above=False, mature=True), s.provenance(label_batch=2))
    estimated = replace(s.performance({"roc_auc": 0.6}, 0, family="estimated"), reference_value=np.array([0.8]))
    write(conn, DAYS[2], estimated, s.verdict(estimated, 0.65, above=False), s.provenance())
    ledger.fail_stage(conn, s.NAME, DAYS[2], "quality", "boom", label_batch=None, run_id=None)
    conn.execute(text("update monitoring.measurement set as_known_at = as_known_at - interval '3 days'"))
    conn.execute(
        text("""insert into monitoring.incident (monitor, incident_id, kind, severity, state, opened_at, first_window,
                last_window, columns, summary, evidence)
                values ('churn', 'i1', 'drift', 'critical', 'open', now(), :first, :last, '{age}', 'age moved',
                '{"alarms": [{"kind": "drift", "column": "age", "segment": "*", "moved": "location", "effect": 0.9,
                              "q_value": 0.001, "windows": 1}]}')"""),
        {"first": DAYS[0].start, "last": DAYS[2].start},
    )
    judge_columns(conn)
    fairness = s.fairness({"demographic_parity_difference": -0.3, "demographic_parity_ratio": 0.5})
    write(conn, DAYS[2], fairness, s.verdict(fairness, 0.1, mature=True), s.provenance())
    conn.execute(
        text("""insert into monitoring.retrain_decision (monitor, decided_at, trigger, decision, reason,
                challenger_version) values ('churn', now(), 'drift', 'retrain', 'age moved', '1')""")
    )
    held = Held("cooldown", "free on 2026-04-01 00:00 UTC", DAYS[2].end)
    waits = Decision("wait", "drift", "age moved; not now", (), (held,))
    conn.execute(
        text("""insert into monitoring.retrain_decision (monitor, decided_at, trigger, decision, reason, evidence)
                values ('churn', now() + interval '1 s', 'drift', 'wait', :reason, cast(:evidence as jsonb))"""),
        {"reason": waits.reason, "evidence": json.dumps(waits.evidence())},
    )

    compare_versions(conn)
    roll_up(conn)


def roll_up(conn: Connection) -> None:
    """The three days as a whole week in which age alarms, and a month that is not over."""
    measured = s.performance({"roc_auc": 0.72})
    keys = metric_keys("column", ("age", "plan"), ("feature", "feature"), ("verdict", "verdict"))
    p = np.array([0.0001, 0.4])
    verdict = rollup_store.RollupVerdict(
        "drift", "1", "*", keys, 0.05, ("alarm", "quiet"), ("location", None), p, p, np.array([0.9, 0.0]),
        ("calibrated-short",) * 2, (None, None),
    )  # fmt: skip
    week, month = (
        rollup_store.Rollup(
            size, Window(DAYS[0].start, DAYS[2].end), 3, size == "month", 300, "i1",
            [(measured, s.verdict(measured, 0.65, above=False, mature=True))], [verdict],
        )
        for size in ("week", "month")
    )  # fmt: skip
    rollup_store.replace(conn, s.NAME, [week, month], rollup_store.Made("c1", "p", "0.1.0", "run-1"))


def compare_versions(conn: Connection) -> None:
    """An attempt whose challenger was compared with the champion, and is kept out."""
    decision = conn.execute(text("select max(revision_id) from monitoring.retrain_decision")).scalar_one()
    found = attempt_store.WaitingDecision(decision, "drift", DAYS[2].end, 0)
    attempt = attempt_store.begin(conn, s.NAME, found, "2", "1", "run-1")
    numbers = {"champion_value": 0.7, "challenger_value": 0.69, "difference": -0.01, "ci_low": -0.03, "ci_high": 0.01}
    row = numbers | {
        "guard": "headline", "segment": "*", "metric": "roc_auc", "champion_version": "1", "challenger_version": "2",
        "rows_from": DAYS[0].start, "rows_to": DAYS[2].end, "labels_known_at": DAYS[2].end, "n": 300, "n_blocks": 3,
        "method": "DeLong by days, t", "level": 0.95, "delta": 0.01, "verdict": "undecided", "reason": "not sure",
    }  # fmt: skip
    attempt_store.save_comparisons(conn, attempt.attempt_id, [row])
    assert attempt_store.advance(conn, attempt, "kept", reason="not sure")


def judge_columns(conn: Connection) -> None:
    """Verdicts on the columns of the last day: age alarms, plan is explained by earlier weeks."""
    judgement = verdict_store.open_judgement(conn, s.NAME, Judgement("c1", "p", None, "0.1.0", "run-1"))
    keys = metric_keys("column", ("age", "plan"), ("feature", "feature"), ("verdict", "verdict"))
    low, none = np.array([0.0001, 0.4]), np.zeros(2, np.int64)
    row = ColumnRow(
        DAYS[2], "1", "*", keys, low, low, low, np.ones(2, bool), np.array([2, 1], np.int8), ("location", "shape"),
        np.ones(2, np.int16), np.array([0.9, 0.2]), none + 100, ("calibrated", "calibrated"),
    )  # fmt: skip
    judged = JudgedWindow(DAYS[2], "p1", "n1", 0.5 / 30, 2, 1, 1)
    column_verdict_store.replace(conn, s.NAME, judgement, [judged], [row])


def write(conn: Connection, window: Window, measured: Measurement, verdict: Verdict, made: Provenance) -> None:
    """A measurement and how it is judged."""
    stage = {"realized": "performance", "fairness": "quality"}.get(measured.family, measured.family)
    measurement_store.replace_family(conn, s.NAME, window, stage, measured.family, [measured], made)
    number = verdict_store.open_judgement(conn, s.NAME, Judgement(made.config_version, "p", None, "0.1.0", "run-1"))
    judged = [
        Judged(kept.measurement_id, window, verdict)
        for kept in measurement_store.current(conn, s.NAME, [window], [measured.family])
    ]
    assert verdict_store.write_verdicts(conn, s.NAME, number, judged) == 1


@pytest.fixture(scope="module")
def answers(shared_database: str) -> Iterator[dict[str, list[Any]]]:
    with (
        Warehouse.open(Settings(database_url=shared_database), patience=5) as warehouse,
        warehouse.engine.connect() as conn,
    ):
        fill(conn)
        found = {
            path.name: [dict(r) for r in conn.exec_driver_sql(path.read_text().replace("%", "%%")).mappings()]
            for path in QUESTIONS
        }
        conn.rollback()
    yield found


@pytest.mark.parametrize("path", QUESTIONS, ids=lambda path: path.stem)
def test_it_asks_a_question_and_answers_it(path: Path, answers: dict[str, list[Any]]) -> None:
    first = path.read_text().splitlines()[0]
    assert first.startswith("-- ")
    assert first.endswith("?")
    assert answers[path.name], "the sample holds something for every question"


def test_there_are_at_least_a_dozen() -> None:
    assert len(QUESTIONS) >= 12


@pytest.mark.parametrize("path", QUESTIONS, ids=lambda path: path.stem)
def test_no_question_sums_or_averages_what_does_not_add_up(path: Path) -> None:
    """A mean of AUCs or F1s of days is not that of their month: .39 where the pooled one was .54."""
    for part in re.split(r"\bunion all\b|\n\)", path.read_text()):
        if re.search(r"(avg|sum)\((\w+\.)?(value|ci_low|ci_high)\b", part):
            assert not re.search(r"'(roc_auc|f1|pr_auc|average_precision|precision|recall)\w*'", part), part


def test_some_answers_are_the_right_ones(answers: dict[str, list[Any]]) -> None:
    worst = answers["01_drifted_columns.sql"][0]
    assert (worst["column_name"], worst["worst_psi"], worst["first_drifted"], worst["drifted_windows"]) == (
        "age",
        0.9,
        DAYS[2].start,
        1,
    )
    (degraded,) = answers["04_degraded_windows.sql"]
    assert (degraded["window_start"], degraded["value"]) == (DAYS[2].start, 0.5)
    moved = {m["metric"]: m for m in answers["05_what_late_labels_changed.sql"]}["roc_auc"]
    assert (moved["first_value"], moved["last_value"], moved["revisions"]) == (0.7, 0.5, 2)
    (why_not,) = answers["26_why_not_retrained.sql"]
    assert (why_not["guard"], why_not["free_at"]) == ("cooldown", DAYS[2].end)
    month = [(m["metric"], m["value"]) for m in answers["03_performance_by_month.sql"]]
    pooled = (0.9 * 60 + 0.9 * 60 + 0.7 * 99) / 219
    assert month == [("accuracy", pytest.approx(pooled)), ("roc_auc", 0.72)], "an AUC is that of the merged profiles"
    assert [(a["drifted_columns"], a["metric"]) for a in answers["12_drift_before_degradation.sql"]] == [
        ("age", "roc_auc")
    ]
    (compared,) = answers["25_champion_against_challenger.sql"]
    assert (compared["gain"], compared["verdict"], compared["outcome"]) == (-0.01, "undecided", "kept")
    (week,) = answers["27_which_months_drifted.sql"]
    assert (week["window_size"], week["drifted_columns"], week["largest_change"], week["metric"], week["value"]) == (
        "week", 1, "age: location", "roc_auc", 0.72,
    )  # fmt: skip
    assert [r["rows"] for r in answers["10_rejected_rows.sql"]] == [9]
    week = {r["column_name"]: r for r in answers["14_mean_and_missing_over_time.sql"]}["age"]
    profiles = [s.profile(day, seed=i).column("age") for i, day in enumerate(DAYS)]
    merged = profiles[0].merge(profiles[1]).merge(profiles[2])
    same_week = {d.start.isocalendar()[1] for d in DAYS}
    if len(same_week) == 1:
        assert week["mean"] == pytest.approx(merged.mean)
