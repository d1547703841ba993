"""p-values to seven digits and effects only where they say more than the value: as written, and as migrated."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import nan
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Engine, NullPool, create_engine, text

from monitoring_pipeline.measurements import Measurement, same_values
from monitoring_pipeline.stages.declaring import declare
from monitoring_pipeline.warehouse import migrations
from monitoring_pipeline.warehouse.database import Warehouse
from monitoring_pipeline.warehouse.measurement_store import current, replace_family
from monitoring_pipeline_tests.conftest import fresh_database
from monitoring_pipeline_tests.warehouse import samples as s
from monitoring_pipeline_tests.warehouse.former_schema import migrate_to

LAST = "0022"
METHODS = ("psi", "chi_square", "wasserstein", "missing_share_change", "missing_share_change", "unseen_share")
VALUES = (0.25, 9.5, 0.1, -0.125, nan, 0.3)
P_VALUES = (1e-60, 0.1, nan, 1.0, nan, 0.0)
EFFECTS = (nan, 0.7, nan, 0.125, nan, 0.2)
LEAST = 1.17549435e-38
VIEW = """
select method, value, p_value, effect from monitoring.drift_current where method <> 'drifted_columns_share'
order by column_name
"""
SHOWN = [
    ("psi", 0.25, pytest.approx(LEAST, rel=1e-7), None),
    ("chi_square", 9.5, pytest.approx(0.1, rel=1e-7), 0.7),
    ("wasserstein", 0.1, None, None),
    ("missing_share_change", -0.125, 1.0, 0.125),
    ("missing_share_change", None, None, None),
    ("unseen_share", 0.3, 0.0, 0.2),
]
ROWS = f"""
insert into monitoring.monitor (monitor, task, window_size, starts_on, has_ground_truth, label_coverage,
  label_max_delay, config_version) values ('m', 'binary', 'day', '2026-02-01', true, 0.9, '7 days', 'c1');
select monitoring.ensure_months('measurement', '{{2026-02-28T00:00Z,2026-03-01T00:00Z}}');
insert into monitoring.metric_keys (digest, family, column_names, roles, metrics)
  values ('1', 'drift', '{{a,b,c,d,e,f}}', array_fill('feature'::text, '{{6}}'), '{{{",".join(METHODS)}}}');
insert into monitoring.computation (monitor, window_start, window_end, stage, data_version, config_version,
  code_version)
  values ('m', '2026-02-28T00:00Z', '2026-03-01T00:00Z', 'drift', 'd', 'c1', '1');
insert into monitoring.measurement (monitor, window_start, window_end, family, model_version, segment, metric_keys_id,
  computation_id, value, n, n_reference, p_value, effect)
select 'm', w, w + interval '1 day', 'drift', 'v1', segment, 1, 1, '{{{",".join(map(str, VALUES))}}}', '{{9}}', '{{9}}',
       p_value, effect
from unnest('{{2026-02-28T00:00Z,2026-03-01T00:00Z}}'::timestamptz[]) w,
  (values ('*', '{{1e-60,0.1,NaN,NULL,NaN,0}}'::float8[], '{{{",".join(map(str, EFFECTS))}}}'::float8[]),
          ('plan=a', null, null)) kept (segment, p_value, effect);
"""


def drift() -> Measurement:
    """The rows above, as a stage measures them."""
    made = s.drift({(column, method): value for column, method, value in zip("abcdef", METHODS, VALUES, strict=True)})
    return replace(made, p_value=np.array(P_VALUES), effect=np.array(EFFECTS))


@pytest.fixture
def former(any_server: str, tmp_path: Path) -> Iterator[Engine]:
    for url in fresh_database(any_server):
        engine = create_engine(url, poolclass=NullPool)
        migrate_to(engine, LAST, tmp_path)
        with engine.begin() as conn:
            conn.exec_driver_sql(ROWS, execution_options={"no_parameters": True})
        yield engine


def test_migrated_rows_say_what_they_said(former: Engine) -> None:
    ids = text("select window_start, segment, measurement_id from monitoring.measurement order by 3")
    with former.connect() as conn:
        before = conn.execute(ids).all()
    migrations.migrate(former)
    with former.connect() as conn:
        assert conn.execute(ids).all() == before and len(before) == 4
        views = text(VIEW.replace("where", "where segment = '*' and window_start = '2026-02-28T00:00Z' and"))
        assert [tuple(row) for row in conn.execute(views)] == SHOWN
        kept = text("select effect::text from monitoring.measurement where segment = '*' limit 1")
        assert conn.execute(kept).scalar() == "{NULL,0.7,NULL,NULL,NULL,0.2}"
        undefined = text("select count(*), count(p_value) from monitoring.drift_current where segment <> '*'")
        assert tuple(conn.execute(undefined).one()) == (12, 0)


def test_written_rows_are_shown_alike_and_read_back(any_warehouse: Warehouse) -> None:
    with any_warehouse.transaction() as conn:
        declare(conn, s.monitor())
        written = [replace_family(conn, s.NAME, s.window(0), "drift", "drift", [drift()], s.provenance()).changed]
        written.append(replace_family(conn, s.NAME, s.window(0), "drift", "drift", [drift()], s.provenance()).changed)
        assert written == [1, 0]
        assert [tuple(row) for row in conn.execute(text(VIEW))] == SHOWN
        (kept,) = current(conn, s.NAME, [s.window(0)], ["drift"])
    assert same_values(kept.measurement, replace(drift(), p_value=np.array([LEAST, *P_VALUES[1:]])))


def test_an_effect_that_is_not_the_size_of_the_value_is_kept(any_warehouse: Warehouse) -> None:
    other = replace(drift(), effect=np.array([0.5, nan, nan, 0.75, 1.0, nan]))
    with any_warehouse.transaction() as conn:
        declare(conn, s.monitor())
        replace_family(conn, s.NAME, s.window(0), "drift", "drift", [other], s.provenance())
        (kept,) = current(conn, s.NAME, [s.window(0)], ["drift"])
    assert np.array_equal(kept.measurement.effect, other.effect, equal_nan=True)
