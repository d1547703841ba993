"""A database of the former schema (0008), with rows, brought up to date: what it said of performance it says still."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, NullPool, create_engine, text

from monitoring_pipeline.stages.catalogue import STAGES
from monitoring_pipeline.warehouse import ledger, migrations
from monitoring_pipeline_tests.conftest import fresh_database
from monitoring_pipeline_tests.warehouse.former_schema import migrate_to

LAST = "0008"
LEDGER = """
insert into monitoring.monitor (monitor, task, window_size, starts_on, baselines, has_ground_truth, label_coverage,
  label_max_delay, config_version, source_revision, ingestion_revision)
values ('daily', 'binary', 'day', '2026-02-01', '{training,previous}', true, 0.9, '7 days', 'c2', 2, 3),
       ('hourly', 'regression', 'hour', '2026-02-01', '{training}', true, 0.9, '7 days', 'c1', 1, 1);
insert into monitoring.monitor_declaration (monitor, config_version, declaration)
values ('daily', 'c1', '{"a": 1}'), ('daily', 'c2', '{"a": 2}'), ('hourly', 'c1', '{}');
insert into monitoring.known_version (monitor, model_version)
values ('daily', 'v1'), ('daily', 'v2'), ('hourly', 'v1');
insert into monitoring.source_file (monitor, role, path, size, modified_at, n_rows, revision)
values ('daily', 'predictions', 'log', 9, '2026-03-01', 300, 2),
       ('daily', 'ground_truth', 'labels', 9, '2026-03-01', 9, 1),
       ('hourly', 'predictions', 'log', 9, '2026-03-01', 300, 1);
insert into monitoring.source_file_window (monitor, role, path, window_start, n_rows, revision)
values ('daily', 'predictions', 'log', '2026-02-28T00:00Z', 100, 1),
       ('daily', 'predictions', 'log', '2026-03-01T00:00Z', 100, 1),
       ('hourly', 'predictions', 'log', '2026-03-01T05:00Z', 100, 1);
insert into monitoring.prediction_window (monitor, window_start, window_end, n_rows, n_duplicates, n_quarantined,
  data_version, source_revision, ingestion_revision, lake_files, versions)
values ('daily', '2026-02-28T00:00Z', '2026-03-01T00:00Z', 100, 1, 0, 'd1', 1, 1, '{a}', '{"v1": 90, "v2": 10}'),
       ('daily', '2026-03-01T00:00Z', '2026-03-02T00:00Z', 100, 0, 2, 'd2', 1, 2, '{b}', '{"v1": 100}'),
       ('hourly', '2026-03-01T05:00Z', '2026-03-01T06:00Z', 100, 0, 0, 'd3', 1, 1, '{c}', '{"v1": 100}');
insert into monitoring.window_quarantine values ('daily', '2026-03-01T00:00Z', 'no id', 2);
insert into monitoring.label_batch (monitor, batch, n_rows, n_matched, n_unknown, n_duplicates, n_quarantined,
  ingestion_revision)
values ('daily', 1, 60, 60, 0, 0, 0, 2), ('daily', 2, 40, 40, 0, 0, 0, 2), ('hourly', 1, 50, 50, 0, 0, 0, 1);
insert into monitoring.label_batch_window (monitor, batch, window_start, n_labels, lake_file)
values ('daily', 1, '2026-02-28T00:00Z', 30, 'l1'), ('daily', 1, '2026-03-01T00:00Z', 30, 'l2'),
       ('daily', 2, '2026-02-28T00:00Z', 40, 'l3'), ('hourly', 1, '2026-03-01T05:00Z', 50, 'l4');
insert into monitoring.label_batch_file values ('daily', 1, 'labels', 1);
insert into monitoring.window_stage (monitor, window_start, window_end, stage, data_version, label_batch,
  config_version, code_version, run_id, completed_at, changed_at)
select p.monitor, p.window_start, p.window_end, stage, p.data_version,
       case when stage in ('ingestion', 'profile') then null else coalesce(
         (select max(batch) from monitoring.label_batch_window b
          where b.monitor = p.monitor and b.window_start = p.window_start), 0) end,
       m.config_version, '0.1.0', 'r', '2026-03-03', '2026-03-03'
from monitoring.prediction_window p join monitoring.monitor m using (monitor),
     unnest('{ingestion,profile,ground_truth,quality,drift,performance}'::text[]) stage;
"""
METRICS = """
insert into monitoring.drift_metric (monitor, model_version, window_start, window_end, baseline, segment, column_name,
  role, method, value, threshold, threshold_source, drifted, n_reference, n_current, data_version, config_version,
  code_version, computed_at, as_known_at)
select monitor, 'v1', window_start, window_end, 'training', '*', 'x', 'feature', 'psi', 0.3, 0.2, 'default', true, 9, 9,
       data_version, 'c1', '0.1.0', '2026-03-03', '2026-03-03' from monitoring.prediction_window;
insert into monitoring.quality_metric (monitor, model_version, window_start, window_end, segment, column_name, metric,
  value, threshold_source, violated, n, data_version, config_version, code_version, computed_at, as_known_at)
select monitor, 'v1', window_start, window_end, '*', 'x', 'missing_share', 0.3, 'default', true, 9, data_version, 'c1',
       '0.1.0', '2026-03-03', '2026-03-03' from monitoring.prediction_window;
"""
T1, T2, T3, T4 = "2026-03-03T01:00Z", "2026-03-03T02:00Z", "2026-03-03T03:00Z", "2026-03-03T04:00Z"
FEBRUARY = ("daily", "2026-02-28T00:00Z", "2026-03-01T00:00Z")
MARCH = ("daily", "2026-03-01T00:00Z", "2026-03-02T00:00Z")
HOUR = ("hourly", "2026-03-01T05:00Z", "2026-03-01T06:00Z")
# (window, version, segment, kind, metric, value, threshold, degraded, labelled, mature, batch, known, superseded)
PERFORMANCE: tuple[tuple[Any, ...], ...] = (
    # Everything changes with the second batch; a metric that is not judged, one that is not defined.
    (FEBRUARY, "v1", "*", "realized", "roc_auc", 0.8, 0.7, False, 30, False, 1, T1, T2),
    (FEBRUARY, "v1", "*", "realized", "log_loss", None, None, None, 30, False, 1, T1, T2),
    (FEBRUARY, "v1", "*", "realized", "roc_auc", 0.6, 0.7, True, 70, True, 2, T2, None),
    (FEBRUARY, "v1", "*", "realized", "log_loss", 0.5, None, None, 70, True, 2, T2, None),
    # Estimated beside realized.
    (FEBRUARY, "v1", "*", "estimated", "roc_auc", 0.75, 0.7, False, 0, False, None, T1, None),
    # A segment that vanished and came again.
    (FEBRUARY, "v1", "region=n", "realized", "roc_auc", 0.9, 0.7, False, 10, False, 1, T1, T2),
    (FEBRUARY, "v1", "region=n", "realized", "roc_auc", 0.91, 0.7, False, 12, False, 2, T3, None),
    # A model version that is no longer there.
    (FEBRUARY, "v2", "*", "realized", "roc_auc", 0.5, 0.7, True, 9, False, 1, T1, T3),
    # One metric changes, another vanishes, the third stands throughout.
    (MARCH, "v1", "*", "realized", "accuracy", 0.8, 0.75, False, 30, False, 1, T1, T2),
    (MARCH, "v1", "*", "realized", "accuracy", 0.7, 0.75, True, 30, False, 1, T2, None),
    (MARCH, "v1", "*", "realized", "recall[class=2]", 0.4, None, None, 30, False, 1, T1, T4),
    (MARCH, "v1", "*", "realized", "Zeta", 0.1, None, None, 30, False, 1, T1, None),
    # The other monitor.
    (HOUR, "v1", "*", "realized", "mae", 1e-300, 5.5, False, 50, True, 1, T1, None),
    (HOUR, "v1", "*", "realized", "rmse", 123456.789, 5.5, True, 50, True, 1, T1, None),
)
INSERT = text("""
insert into monitoring.performance_metric (monitor, model_version, window_start, window_end, segment, metric, kind,
  value, ci_low, ci_high, threshold, threshold_source, degraded, n_predictions, n_labelled, coverage, mature,
  data_version, label_batch, config_version, code_version, run_id, computed_at, as_known_at, superseded_at)
values (:monitor, :version, :start, :end, :segment, :metric, :kind, :value, :low, :high, :threshold, :source, :degraded,
  100, :labelled, :coverage, :mature, :data, :batch, :config, '0.1.0', :run, :known, :known, :superseded)
""")
WHAT = """monitor, model_version, window_start, window_end, segment, metric, kind, value, ci_low, ci_high, threshold,
  threshold_source, degraded, n_predictions, n_labelled, coverage, mature"""
FROM_WHAT = "data_version, label_batch, computed_at, run_id, code_version, config_version"
IN_FORCE = "as_known_at <= :at and (superseded_at is null or superseded_at > :at)"
LEDGERS = (
    *("monitor", "monitor_declaration", "known_version", "source_file", "source_file_window", "prediction_window"),
    *("window_quarantine", "label_batch", "label_batch_window", "label_batch_file"),
)


@pytest.fixture
def former(any_server: str, tmp_path: Path) -> Iterator[Engine]:
    """A database of the former schema with rows of two monitors, on each kind of server in turn."""
    for url in fresh_database(any_server):
        engine = create_engine(url, poolclass=NullPool)
        migrate_to(engine, LAST, tmp_path)
        with engine.begin() as conn:
            conn.exec_driver_sql(LEDGER + METRICS)
            for row in PERFORMANCE:
                conn.execute(INSERT, columns(row))
        yield engine


def columns(row: tuple[Any, ...]) -> dict[str, Any]:
    (monitor, start, end), version, segment, kind, metric, value, threshold, degraded, labelled, mature = row[:10]
    batch, known, superseded = row[10:]
    return {
        "monitor": monitor, "start": start, "end": end, "version": version, "segment": segment, "kind": kind,
        "metric": metric, "value": value, "low": None if value is None else value - 0.1,
        "high": None if value is None else value + 0.1, "threshold": threshold,
        "source": "default" if threshold is None else "declared", "degraded": degraded, "labelled": labelled,
        "coverage": labelled / 100, "mature": mature, "data": f"d-{known}", "batch": batch,
        "config": "c1" if known == T1 else "c2", "run": f"run-{known}", "known": known, "superseded": superseded,
    }  # fmt: skip


def rows(conn: Connection, query: str, **parameters: Any) -> list[tuple[Any, ...]]:
    return sorted((tuple(row) for row in conn.execute(text(query), parameters)), key=str)


def moments() -> list[str]:
    """Before, at, and between all moments at which something changed."""
    return [f"2026-03-03T{hour:02d}:{minute:02d}Z" for hour in range(6) for minute in (0, 30)]


def ledgers(conn: Connection, named: dict[str, str] | None = None) -> tuple[dict[str, str], dict[str, Any]]:
    """The columns of each table (those of ``named`` if given), and its rows."""
    named = named or {
        table: conn.execute(
            text(
                "select string_agg(quote_ident(attname), ', ' order by attnum) from pg_attribute"
                " where attrelid = cast('monitoring.' || :table as regclass) and attnum > 0 and not attisdropped"
            ),
            {"table": table},
        ).scalar_one()
        for table in LEDGERS
    }
    return named, {table: rows(conn, f"select {names} from monitoring.{table}") for table, names in named.items()}


def test_performance_is_known_as_it_was_at_every_moment(former: Engine) -> None:
    with former.connect() as conn:
        before = {
            at: rows(conn, f"select {WHAT} from monitoring.performance_metric where {IN_FORCE}", at=at)
            for at in moments()
        }
        now = rows(conn, f"select {WHAT} from monitoring.performance_metric where superseded_at is null")
        # In March one metric changed and the others stood: the row of their arrays has the newer one's provenance.
        whole = f"select {WHAT}, {FROM_WHAT}, as_known_at from monitoring.{{}} where {{}}"
        whole += " and window_start <> '2026-03-01T00:00Z'"
        explained = rows(conn, whole.format("performance_metric", "superseded_at is null"))
    assert {len(known) for known in before.values()} >= {0, 9, 8, len(now)}
    assert migrations.migrate(former)
    with former.connect() as conn:
        after = {
            at: rows(conn, f"select {WHAT} from monitoring.performance_history where {IN_FORCE}", at=at)
            for at in before
        }
        assert after == before
        assert rows(conn, f"select {WHAT} from monitoring.performance_current") == now
        assert rows(conn, whole.format("performance_current", "true")) == explained
        march = rows(
            conn,
            "select distinct data_version, run_id, config_version, label_batch from monitoring.performance_current"
            " where window_start = '2026-03-01T00:00Z'",
        )
        assert march == [(f"d-{T2}", f"run-{T2}", "c2", 1)]
    assert not migrations.migrate(former)


def test_the_ledger_stands_and_drift_and_quality_are_measured_again(former: Engine) -> None:
    stages = (
        "select monitor, window_start, window_end, stage, data_version, label_batch, config_version, code_version,"
        " run_id, completed_at, attempts, last_error from monitoring.window_stage"
        " where stage not in ('drift', 'quality')"
    )
    with former.connect() as conn:
        named, before = ledgers(conn)
        done = rows(conn, stages)
    assert migrations.migrate(former)
    with former.begin() as conn:
        assert ledgers(conn, named)[1] == before
        assert rows(conn, stages) == done
        assert rows(conn, "select * from monitoring.drift_current") == []
        assert rows(conn, "select * from monitoring.quality_current") == []
        ledger.know_stages(conn, [(stage.name, stage.asset, stage.needs_labels) for stage in STAGES])
        stale = rows(conn, "select monitor, window_start, stage, reason from monitoring.stale_window")
        windows = rows(conn, "select monitor, window_start from monitoring.prediction_window")
    wanted = {
        (*one, stage, "data")
        for one in windows
        for stage in ("quality", "drift", "estimation", "verdicts", "incidents", "rollups")
    }
    assert set(stale) == wanted, "and nothing else"


def test_what_comes_next_supersedes_what_was_carried_over(former: Engine) -> None:
    assert migrations.migrate(former)
    with former.begin() as conn:
        conn.execute(text("update monitoring.measurement set superseded_at = now() where superseded_at is null"))
        added = conn.execute(
            text(
                "insert into monitoring.measurement (monitor, window_start, window_end, family, model_version, segment,"
                " metric_keys_id, computation_id, value, n) select monitor, window_start, window_end, family,"
                " model_version, segment, metric_keys_id, computation_id, value, n from monitoring.measurement"
                " where superseded_at = now() returning measurement_id"
            )
        )
        highest: int = conn.execute(text("select max(measurement_id) from monitoring.verdict")).scalar_one()
        assert min(added.scalars()) > highest, "numbers go on after those of the carried rows"
