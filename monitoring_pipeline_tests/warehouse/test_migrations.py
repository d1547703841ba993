"""The schema: made once whoever comes first, explained everywhere, views renewed when their text changes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, make_url, text

from monitoring_pipeline.errors import WarehouseError
from monitoring_pipeline.resources import data_dir
from monitoring_pipeline.settings import Settings
from monitoring_pipeline.warehouse import migrations
from monitoring_pipeline.warehouse.database import Warehouse

REPOSITORY = Path(__file__).resolve().parents[2]
MIGRATE = (
    "import sys; from sqlalchemy import create_engine; from monitoring_pipeline.warehouse.migrations import migrate; "
)
# The views that users and dashboards rest on, with the columns they may count on.
INTERFACE = """
drift_current: monitor, model_version, window_start, window_end, baseline, segment, column_name, method, value,
  threshold, threshold_source, p_value, effect, drifted, n_reference, n_current, computed_at, run_id, code_version,
  config_version
quality_current: monitor, model_version, window_start, window_end, segment, column_name, metric, value, threshold,
  violated, n
performance_current: monitor, model_version, window_start, window_end, segment, metric, kind, value, ci_low,
  ci_high, threshold, degraded, n_predictions, n_labelled, coverage, mature, as_known_at
performance_history: monitor, model_version, window_start, window_end, segment, metric, kind, value, as_known_at
window_status: monitor, window_start, window_end, n_rows, n_duplicates, n_quarantined, n_labelled, coverage,
  ingested_at, profiled_at, stale, last_error
rollup_current: monitor, window_size, window_start, window_end, partial, n_windows, n_rows
rollup_drift_current: monitor, model_version, window_size, window_start, partial, n_windows, baseline, segment,
  column_name, method, value, drifted
rollup_performance_current: monitor, window_size, window_start, partial, metric, kind, value, degraded, coverage, mature
rollup_quality_current: monitor, window_size, window_start, partial, column_name, metric, value, violated
rollup_verdict_current: monitor, window_size, window_start, partial, kind, column_name, status, moved, q_value, level
incident_current: monitor, incident_id, kind, severity, state, opened_at, first_window, last_window, columns,
  summary, resolved_at
model_version_current: monitor, model_version, role, trained_at, train_start, train_end, algorithm, hyperparameters,
  training_metrics, artifact_uri, artifact_sha256
retrain_decision_current: monitor, decided_at, trigger, decision, reason, evidence, run_id, challenger_version,
  outcome
training_metric_current: monitor, model_version, metric, value
tuning_trial_current: monitor, model_version, trial, value
monitor_current: monitor, task, window_size, headline_metric, champion_version, alarm_budget
window_summary_current: monitor, model_version, window_start, window_end, metric, value, ci_low, ci_high, threshold,
  degraded, mature, n_predictions, coverage, n_drifted, n_violated, n_open_incidents
metric_catalog: metric, family, unit, minimum, maximum, higher_is_better, description, formula
reference_profile_current: monitor, model_version, segment, column_name, kind, bin_counts, edges, categories
"""


@pytest.fixture
def empty(warehouse_url: str) -> Engine:
    return create_engine(warehouse_url)


def test_the_public_interface_is_there(any_warehouse: Warehouse) -> None:
    with any_warehouse.transaction() as conn:
        for line in INTERFACE.replace("\n  ", " ").strip().splitlines():
            view, columns = line.split(":")
            conn.execute(text(f"select {columns} from monitoring.{view}"))


def test_every_table_view_and_column_is_explained(any_warehouse: Warehouse) -> None:
    with any_warehouse.transaction() as conn:
        silent = conn.execute(
            text("""
            select r.relname, a.attname from pg_class r join pg_attribute a on a.attrelid = r.oid
            where r.relnamespace = 'monitoring'::regnamespace and r.relkind in ('r', 'p', 'v') and a.attnum >= 0
              and not r.relispartition and not a.attisdropped and coalesce(col_description(r.oid, a.attnum), '') = ''
            union all
            select relname, null from pg_class r
            where r.relnamespace = 'monitoring'::regnamespace and relkind in ('r', 'p', 'v') and not relispartition
              and coalesce(obj_description(r.oid, 'pg_class'), '') = ''""")
        ).all()
        assert silent == []
        meaning = conn.execute(text("select col_description('monitoring.incident_current'::regclass, 3)")).scalar()
    assert "realized" not in str(meaning), "a column of an incident is not explained as one of a performance figure"


def test_nothing_is_done_twice_and_looking_is_quick(empty: Engine) -> None:
    assert migrations.migrate(empty) is True
    assert migrations.migrate(empty) is False
    began = time.perf_counter()
    for _ in range(5):
        migrations.migrate(empty)
    assert (time.perf_counter() - began) / 5 < 0.05


def test_two_processes_migrate_at_once(warehouse_url: str) -> None:
    command = [sys.executable, "-c", MIGRATE + "print(migrate(create_engine(sys.argv[1])))", warehouse_url]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) for _ in range(2)]
    said = sorted(process.communicate(timeout=120)[0].strip() for process in both)
    assert said == ["False", "True"]


def test_a_killed_migration_leaves_no_lock(empty: Engine, warehouse_url: str) -> None:
    hold = MIGRATE + (
        "import time; from sqlalchemy import text; from monitoring_pipeline.warehouse.migrations import LOCK\n"
        "conn = create_engine(sys.argv[1]).connect(); conn.execute(text('select pg_advisory_lock(:l)'), {'l': LOCK})\n"
        "print('held', flush=True); time.sleep(60)"
    )
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-c", hold, warehouse_url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        holder.kill()
    assert migrations.migrate(empty) is True


@pytest.fixture
def own_warehouse(warehouse_url: str) -> Iterator[Warehouse]:
    """One whose schema may be spoilt."""
    with Warehouse.open(Settings(database_url=warehouse_url), patience=5) as opened:
        yield opened


def changed_sql(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    copy = tmp_path / "sql"
    shutil.copytree(data_dir("sql"), copy)
    monkeypatch.setattr(migrations, "data_dir", lambda _name: copy)
    return copy


def test_changed_views_are_renewed(own_warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    views = changed_sql(tmp_path, monkeypatch) / "views" / "030_decisions.sql"
    views.write_text(views.read_text().replace("select monitor, incident_id, kind,", "select monitor, incident_id,", 1))
    assert migrations.migrate(own_warehouse.engine) is True, "a column was dropped: the views are made anew"
    with own_warehouse.transaction() as conn:
        columns = conn.execute(text("select * from monitoring.incident_current")).keys()
    assert "kind" not in columns
    assert migrations.migrate(own_warehouse.engine) is False


def test_a_users_view_is_not_dropped(own_warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with own_warehouse.transaction() as conn:
        conn.execute(text("create view public.mine as select kind from monitoring.incident_current"))
    views = changed_sql(tmp_path, monkeypatch) / "views" / "030_decisions.sql"
    views.write_text(views.read_text().replace("select monitor, incident_id, kind,", "select monitor, incident_id,", 1))
    with pytest.raises(WarehouseError, match="one of your views"):
        migrations.migrate(own_warehouse.engine)
    with own_warehouse.transaction() as conn:
        assert conn.execute(text("select count(*) from public.mine")).scalar() == 0


def test_a_broken_migration_is_reported_and_undone(
    empty: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sql = changed_sql(tmp_path, monkeypatch)
    broken = sql / "migrations" / "9999_broken.sql"
    broken.write_text("create table monitoring.half (n int);\nselect 1 / 0;")
    with pytest.raises(WarehouseError, match="division by zero"):
        migrations.migrate(empty)
    with empty.connect() as conn:
        assert conn.execute(text("select to_regclass('monitoring.half')")).scalar() is None
    broken.unlink()
    assert migrations.migrate(empty) is True


def test_a_database_of_a_newer_version_is_refused(
    warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in sorted((changed_sql(tmp_path, monkeypatch) / "migrations").glob("*.sql"))[4:]:
        path.unlink()
    with pytest.raises(WarehouseError, match="newer version"):
        migrations.migrate(warehouse.engine)


def test_a_user_who_may_not_create_schemas_is_told_what_to_grant(empty: Engine, warehouse_url: str) -> None:
    role = f"reader_{make_url(warehouse_url).database}"
    with empty.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        conn.exec_driver_sql(f"create role {role} login password 'secret'")
        try:
            weak = create_engine(make_url(warehouse_url).set(username=role, password="secret"))
            with pytest.raises(WarehouseError, match="grant it CREATE"):
                migrations.migrate(weak)
            weak.dispose()
        finally:
            conn.exec_driver_sql(f"drop role {role}")


def test_a_migration_is_run_as_it_stands(empty: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    migrations_dir = changed_sql(tmp_path, monkeypatch) / "migrations"
    (migrations_dir / "9998_verbatim.sql").write_text(
        "create function public.said(what text) returns text language plpgsql as $body$\n"
        "begin return what || ' % %% :name %(n)s' || E'\\t' || '{0}'::text; end $body$;\n"
        "do $$ begin perform public.said('; -- no end'); end $$;\n"
    )
    migrations.migrate(empty)
    with empty.connect() as conn:
        assert conn.execute(text("select public.said('100')")).scalar() == "100 % %% :name %(n)s\t{0}"


def test_the_names_of_migrations_fit_their_marks() -> None:
    names = [path.stem for path in (data_dir("sql") / "migrations").glob("*.sql")]
    assert max(map(len, names)) <= 32, "the width of alembic_version.version_num"
    assert len({name[:4] for name in names}) == len(names), "two migrations have the same number"
