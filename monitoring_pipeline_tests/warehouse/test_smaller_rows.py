"""Rows written before arrays left out their usual elements, brought up to date: the views say the same."""

from __future__ import annotations

from collections.abc import Iterator
from math import nan
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Connection, Engine, NullPool, create_engine, text

from monitoring_pipeline.warehouse import migrations
from monitoring_pipeline.warehouse.copying import like_first, unless
from monitoring_pipeline_tests.conftest import fresh_database
from monitoring_pipeline_tests.warehouse.former_schema import migrate_to

LAST = "0018"
ROWS = """
insert into monitoring.monitor (monitor, task, window_size, starts_on, has_ground_truth, label_coverage,
  label_max_delay, config_version) values ('m', 'binary', 'day', '2026-02-01', true, 0.9, '7 days', 'c1');
select monitoring.ensure_months(t, '{2026-02-28T00:00Z,2026-03-01T00:00Z}')
from unnest('{profile,measurement,verdict,column_verdict}'::text[]) t;
insert into monitoring.metric_keys (digest, family, column_names, roles, metrics) overriding system value values
  ('1', 'drift', '{a,b,c,d}', '{feature,feature,feature,score}', '{psi,psi,psi,psi}'),
  ('2', 'quality', '{*,a,b,c}', '{"","","",""}', '{rows,missing_share,missing_share,missing_share}'),
  ('3', 'realized', '{*,*,*,*}', '{"","","",""}', '{auc,f1,recall,mean_score}'),
  ('4', 'column', '{a,b,c,d}', '{feature,feature,feature,score}', '{"","","",""}');
insert into monitoring.computation (monitor, window_start, window_end, stage, data_version, config_version,
  code_version)
  values ('m', '2026-02-28T00:00Z', '2026-03-01T00:00Z', 'drift', 'd', 'c1', '1');
insert into monitoring.threshold_set (digest, thresholds, sources)
  values ('t', '{0.2,0.2,NaN,0.3}', '{default,declared,default,default}');
insert into monitoring.judgement (monitor, config_version, policy_version, code_version) values ('m', 'c1', 'p', '1');
insert into monitoring.measurement (monitor, window_start, window_end, family, model_version, segment, metric_keys_id,
  computation_id, n_predictions, n_labelled, value, n, n_reference, p_value, effect, error_bound, ci_low, ci_high)
select 'm', w, w + interval '1 day', f.family, 'v1', '*', k.metric_keys_id, 1, 9, 9, f.value, f.n, f.n_reference,
       f.p_value, f.effect, null, f.low, f.high
from unnest('{2026-02-28T00:00Z,2026-03-01T00:00Z}'::timestamptz[]) w, (values
  ('drift', '{0.25,0,NaN,-0}'::float8[], '{9,9,0,7}'::bigint[], '{90,80,80,90}'::bigint[], '{1,0.5,NaN,0}'::float8[],
   '{NaN,0,NaN,0.1}'::float8[], null::float8[], null::float8[]),
  ('quality', '{9,0,0.125,NaN}', '{9,9,7,0}', null, null, null, null, null),
  ('realized', '{0.7,0,NaN,0.4}', '{9}', null, null, null, '{0.6,0,NaN,0.4}', '{0.8,0.1,NaN,0.4}'))
  f (family, value, n, n_reference, p_value, effect, low, high)
join monitoring.metric_keys k using (family);
insert into monitoring.verdict (measurement_id, monitor, window_start, judgement_id, threshold_set_id, flagged,
  share_value, share_threshold, share_source, share_flagged)
select measurement_id, monitor, window_start, 1, 1, '{t,f,NULL,f}', case family when 'drift' then 0.5 end,
       case family when 'drift' then 0.3 end, case family when 'drift' then 'default' end,
       case family when 'drift' then true end
from monitoring.measurement;
insert into monitoring.judged_window (monitor, window_start, window_end, profile_version, null_version, level, n_judged,
  n_alarms, n_notices, judgement_id)
values ('m', '2026-02-28T00:00Z', '2026-03-01T00:00Z', 'v', 'n', 0.01, 3, 1, 1, 1);
insert into monitoring.column_verdict (monitor, window_start, window_end, model_version, segment, metric_keys_id,
  p_value, p_alarm, q_value, season_known, status, moved, horizon, effect, n, sources, pinned)
values ('m', '2026-02-28T00:00Z', '2026-03-01T00:00Z', 'v1', '*', 4, '{1,1e-5,NaN,0.5}', '{1,0.3,NaN,1}',
        '{1,1,NaN,0.5}', '{t,t,f,t}', '{0,1,-1,2}', '{NULL,spread,NULL,location}', '{0,7,0,1}', '{0,0.5,NaN,0}',
        '{9,9,0,7}', '{learnt}', '{NULL,2,NULL,NULL}');
insert into monitoring.layout (layout_id, layout) values ('l', '{}');
insert into monitoring.layout_column (layout_id, position, column_name, role, kind, edges, categories, first_count,
  n_bins, first_sum) values ('l', 0, 'a', 'feature', 'numerical', '{0}', '{}', 1, 2, 1),
  ('l', 1, 'b', 'feature', 'categorical', '{}', '{x}', 8, 2, 5);
insert into monitoring.profile (monitor, scope, window_start, window_end, model_version, segment, part, format,
  layout_id, n_rows, counts, sums)
select 'm', 'window', '2026-02-28T00:00Z', '2026-03-01T00:00Z', 'v1', s, 'columns', 1, 'l', n,
       array[n, 1, 0, 0, 0, 0, n - 1, n, 0, 0, 0, 0, n, 0], '{1,2,1.5,0.25,Infinity,-Infinity,0,0}'
from (values ('few', 200::bigint), ('more', 65535), ('many', 65536)) x (s, n);
"""
# What these rows said, in the words of the views.
DRIFT = [
    ("a", 0.25, 0.2, "default", 1.0, None, True, 90, 9),
    ("b", 0.0, 0.2, "declared", 0.5, 0.0, False, 80, 9),
    ("c", None, None, "default", None, None, None, 80, 0),
    ("d", -0.0, 0.3, "default", 0.0, 0.1, False, 90, 7),
]
QUALITY = [("*", 9.0, True, 9), ("a", 0.0, False, 9), ("b", 0.125, None, 7), ("c", None, False, 0)]
PERFORMANCE = [
    ("auc", 0.7, 0.6, 0.8, True, 9),
    ("f1", 0.0, 0.0, 0.1, False, 9),
    ("mean_score", 0.4, 0.4, 0.4, False, 9),
    ("recall", None, None, None, None, 9),
]
COLUMNS = [
    ("a", 1.0, 1.0, 1.0, False, "quiet", 0.0, 0, 9),
    ("b", pytest.approx(1e-5), 1.0, pytest.approx(0.3), True, "alarm", 0.5, 7, 9),
    ("c", None, None, None, None, "abstained", pytest.approx(nan, nan_ok=True), 0, 0),
    ("d", 0.5, 0.5, 1.0, True, "alarm", 0.0, 1, 7),
]


@pytest.fixture
def former(any_server: str, tmp_path: Path) -> Iterator[Engine]:
    """A database of the former schema with rows, on each kind of server in turn."""
    for url in fresh_database(any_server):
        engine = create_engine(url, poolclass=NullPool)
        migrate_to(engine, LAST, tmp_path)
        with engine.begin() as conn:
            conn.exec_driver_sql(ROWS)
        yield engine


def rows(conn: Connection, columns: str, view: str) -> list[tuple[object, ...]]:
    """Of the first window, in the order of the first column."""
    first = f"select {columns} from monitoring.{view} where window_start = '2026-02-28T00:00Z' order by 1"
    return [tuple(row) for row in conn.execute(text(first))]


def test_the_views_say_what_they_said(former: Engine) -> None:
    migrations.migrate(former)
    with former.connect() as conn:
        drift = "column_name, value, threshold, threshold_source, p_value, effect, drifted, n_reference, n_current"
        found = rows(conn, drift, "drift_current")
        assert found[1:] == DRIFT and found[0][:4] == ("*", 0.5, 0.3, "default")
        assert str(found[4][1]) == "-0.0"
        assert rows(conn, "column_name, value, violated, n", "quality_current") == QUALITY
        performance = "metric, value, ci_low, ci_high, degraded, n_labelled"
        assert rows(conn, performance, "performance_current") == PERFORMANCE
        verdict = "column_name, p_value, q_value, p_season, drifted, status, effect, horizon, n_current"
        assert rows(conn, verdict, "column_verdict_current") == COLUMNS
        sizes = rows(conn, "segment, column_name, n, n_missing, bin_counts", "column_profile_current")
        expected = {s: ([0, n - 1], [n, 0]) for s, n in (("few", 200), ("more", 65535), ("many", 65536))}
        assert {(s, name): bins for s, name, _, _, bins in sizes} == {
            (s, name): bins for s, both in expected.items() for name, bins in zip("ab", both, strict=True)
        }
        assert {(s, n, missing) for s, name, n, missing, _ in sizes if name == "a"} == {
            ("few", 200, 1), ("more", 65535, 1), ("many", 65536, 1)
        }  # fmt: skip


def test_no_row_is_lost_and_usual_elements_are_left_out(former: Engine) -> None:
    numbers = "select count(*), min(measurement_id), max(measurement_id) from monitoring.measurement"
    with former.connect() as conn:
        before = conn.execute(text(numbers)).one()
    migrations.migrate(former)
    with former.connect() as conn:
        assert conn.execute(text(numbers)).one() == before
        values = text("select value::text from monitoring.measurement where family = 'drift' limit 1")
        assert conn.execute(values).scalar() == "{0.25,NULL,NaN,-0}"
        flags = text("select distinct flags::text from monitoring.verdict")
        assert conn.execute(flags).scalars().all() == ["11100010"]
        kept = text(
            "select segment, counts is null, low is not null, high is not null from monitoring.profile order by 1"
        )
        assert [tuple(row) for row in conn.execute(kept)] == [
            ("few", True, True, False), ("many", False, False, False), ("more", True, True, True)
        ]  # fmt: skip


def test_only_an_equal_element_is_left_out() -> None:
    assert unless(np.array([0.0, -0.0, np.nan, 1.0]), 0.0) == "{NULL,-0.0,nan,1.0}"
    assert unless(np.array([0.5, np.nan]), np.array([0.5, np.nan])) == "{NULL,NULL}"
    assert like_first(["1", "2", "1"]) == "{1,2,NULL}" and like_first([]) == "{}"
