"""Metric rows: revisions, and that running twice changes nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from monitoring_pipeline.warehouse.metric_store import write_drift, write_performance, write_quality
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

from monitoring_pipeline.warehouse import ledger
from monitoring_pipeline.warehouse.database import Warehouse

from . import samples as s

DAY = s.window(0)
LATER = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.fixture
def declared(any_warehouse: Warehouse) -> Warehouse:
    with any_warehouse.transaction() as conn:
        ledger.declare_monitor(conn, s.monitor())
    return any_warehouse


def rows(conn: Connection, query: str, **parameters: Any) -> list[Any]:
    return list(conn.execute(text(query), parameters).mappings())


def test_figures_read_back_as_written(declared: Warehouse) -> None:
    drift = [s.drift_row(), s.drift_row(s.HOSTILE, "wasserstein", 0.1 + 0.2), s.drift_row("plan", "chi_square", None)]
    quality, performance = s.quality_row(), s.performance_row()
    with declared.transaction() as conn:
        assert write_drift(conn, s.NAME, "1", DAY, drift, s.provenance()) == 3
        assert write_quality(conn, s.NAME, "1", DAY, [quality], s.provenance()) == 1
        assert write_performance(conn, s.NAME, "1", DAY, [performance], s.provenance(label_batch=4)) == 1
    with declared.transaction() as conn:
        for view, kept in (("drift", drift), ("quality", [quality]), ("performance", [performance])):
            found = rows(conn, f"select * from monitoring.{view}_current")
            assert {tuple(f[k] for k in vars(kept[0])) for f in found} == {tuple(vars(k).values()) for k in kept}
        figure = rows(conn, "select * from monitoring.performance_current")[0]
    assert (figure["monitor"], figure["model_version"], figure["window_start"], figure["window_end"]) == (
        s.NAME,
        "1",
        DAY.start,
        DAY.end,
    )
    assert (figure["label_batch"], figure["data_version"], figure["run_id"], figure["code_version"]) == (
        4,
        "d1",
        "run-1",
        "0.1.0",
    )


def test_running_twice_changes_nothing(declared: Warehouse) -> None:
    kept = [s.drift_row(), s.drift_row(method="hellinger", value=0.1)]
    with declared.transaction() as conn:
        write_drift(conn, s.NAME, "1", DAY, kept, s.provenance())
        before = rows(conn, "select * from monitoring.drift_metric")
    with declared.transaction() as conn:
        assert write_drift(conn, s.NAME, "1", DAY, kept, s.provenance(run_id="run-2")) == 0
        assert rows(conn, "select * from monitoring.drift_metric") == before


def test_the_noise_of_summing_is_no_change_but_a_real_one_is(declared: Warehouse) -> None:
    with declared.transaction() as conn:
        write_drift(conn, s.NAME, "1", DAY, [s.drift_row(value=0.3)], s.provenance())
        assert write_drift(conn, s.NAME, "1", DAY, [s.drift_row(value=0.3 * (1 + 1e-15))], s.provenance()) == 0
        assert write_drift(conn, s.NAME, "1", DAY, [s.drift_row(value=0.3 * (1 + 1e-9))], s.provenance()) == 1
        assert write_drift(conn, s.NAME, "1", DAY, [s.drift_row(value=None)], s.provenance()) == 1


def test_changed_new_and_vanished_rows_make_revisions_and_equal_ones_stay(declared: Warehouse) -> None:
    same, changed, vanishing, new = (
        s.drift_row(method=m) for m in ("psi", "hellinger", "kl_divergence", "jensen_shannon")
    )
    with declared.transaction() as conn:
        write_drift(conn, s.NAME, "1", DAY, [same, changed, vanishing], s.provenance())
    with declared.transaction() as conn:
        count = write_drift(
            conn,
            s.NAME,
            "1",
            DAY,
            [same, replace(changed, value=0.1, drifted=False), new],
            s.provenance("d2", run_id="run-2"),
        )
        assert count == 3
        current = {r["method"]: r for r in rows(conn, "select * from monitoring.drift_current")}
        everything = rows(conn, "select * from monitoring.drift_metric")
    assert set(current) == {"psi", "hellinger", "jensen_shannon"}
    assert {m: r["run_id"] for m, r in current.items()} == {
        "psi": "run-1",
        "hellinger": "run-2",
        "jensen_shannon": "run-2",
    }
    assert len(everything) == 5
    (old,) = (r for r in everything if r["method"] == "hellinger" and r["superseded_at"])
    assert old["value"] == 0.3
    assert old["superseded_at"] == current["hellinger"]["as_known_at"], "one revision ends where the next begins"


def test_no_rows_supersede_everything(declared: Warehouse) -> None:
    with declared.transaction() as conn:
        write_quality(conn, s.NAME, "1", DAY, [s.quality_row(), s.quality_row("plan")], s.provenance())
        assert write_quality(conn, s.NAME, "1", DAY, [], s.provenance()) == 2
        assert rows(conn, "select * from monitoring.quality_current") == []
        assert len(rows(conn, "select * from monitoring.quality_metric")) == 2


def test_windows_versions_and_monitors_do_not_touch_each_other(declared: Warehouse) -> None:
    with declared.transaction() as conn:
        ledger.declare_monitor(conn, s.monitor("other"))
        places = [(s.NAME, "1", DAY), (s.NAME, "2", DAY), (s.NAME, "1", s.window(1)), ("other", "1", DAY)]
        for place in places:
            write_drift(conn, *place, [s.drift_row()], s.provenance())
        assert write_drift(conn, s.NAME, "1", DAY, [], s.provenance()) == 1
        left = rows(conn, "select monitor, model_version, window_start from monitoring.drift_current")
    assert {tuple(r.values()) for r in left} == {(m, v, w.start) for m, v, w in places[1:]}


def test_late_labels_keep_what_was_known_before(declared: Warehouse) -> None:
    with declared.transaction() as conn:
        write_performance(
            conn, s.NAME, "1", DAY, [s.performance_row(value=0.80, n_labelled=30)], s.provenance(label_batch=1)
        )
    with declared.transaction() as conn:
        between = conn.execute(text("select clock_timestamp()")).scalar_one()
    with declared.transaction() as conn:
        write_performance(
            conn, s.NAME, "1", DAY, [s.performance_row(value=0.72, n_labelled=97)], s.provenance(label_batch=2)
        )
        assert [r["value"] for r in rows(conn, "select value from monitoring.performance_current")] == [0.72]
        then = rows(
            conn,
            "select value, label_batch from monitoring.performance_history"
            " where as_known_at <= :t and (superseded_at > :t or superseded_at is null)",
            t=between,
        )
    assert [tuple(r.values()) for r in then] == [(0.80, 1)]


def test_a_transaction_that_fails_leaves_the_former_figures(declared: Warehouse) -> None:
    with declared.transaction() as conn:
        write_drift(conn, s.NAME, "1", DAY, [s.drift_row()], s.provenance())
    with pytest.raises(RuntimeError), declared.transaction() as conn:
        write_drift(conn, s.NAME, "1", DAY, [s.drift_row(value=0.9)], s.provenance())
        raise RuntimeError
    with declared.transaction() as conn:
        assert [r["value"] for r in rows(conn, "select value from monitoring.drift_metric")] == [0.3]
        assert write_drift(conn, s.NAME, "1", DAY, [s.drift_row(value=0.9)], s.provenance()) == 1


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_figure_is_a_finite_number(warehouse: Warehouse, value: float) -> None:
    with warehouse.transaction() as conn:
        ledger.declare_monitor(conn, s.monitor())
    with pytest.raises(IntegrityError), warehouse.transaction() as conn:
        write_drift(conn, s.NAME, "1", DAY, [s.drift_row(value=value)], s.provenance())


NONSENSE = {
    "more labels than predictions": replace(s.performance_row(), n_labelled=101),
    "coverage above one": replace(s.performance_row(), coverage=1.01),
    "an interval upside down": replace(s.performance_row(), ci_low=0.9, ci_high=0.1),
    "an unknown kind": replace(s.performance_row(), kind="guessed"),
    "degraded without a value": replace(s.performance_row(), value=None),
}


@pytest.mark.parametrize("what", NONSENSE)
def test_nonsense_is_refused(warehouse: Warehouse, what: str) -> None:
    with warehouse.transaction() as conn:
        ledger.declare_monitor(conn, s.monitor())
    with pytest.raises(IntegrityError), warehouse.transaction() as conn:
        write_performance(conn, s.NAME, "1", DAY, [NONSENSE[what]], s.provenance())


def test_other_nonsense_is_refused(warehouse: Warehouse) -> None:
    with warehouse.transaction() as conn:
        ledger.declare_monitor(conn, s.monitor())
    for row in (
        replace(s.drift_row(), p_value=1.5),
        replace(s.drift_row(), n_current=-1),
        replace(s.drift_row(), threshold_source="guess"),
        replace(s.drift_row(), error_bound=-0.1),
        replace(s.drift_row(), column_name=""),
    ):
        with pytest.raises(IntegrityError), warehouse.transaction() as conn:
            write_drift(conn, s.NAME, "1", DAY, [row], s.provenance())
    with pytest.raises(IntegrityError), warehouse.transaction() as conn:
        write_drift(conn, "undeclared", "1", DAY, [s.drift_row()], s.provenance())
    with pytest.raises(IntegrityError), warehouse.transaction() as conn:
        write_drift(conn, s.NAME, "1", DAY, [s.drift_row(), s.drift_row()], s.provenance())
    with warehouse.transaction() as conn:
        assert rows(conn, "select 1 from monitoring.drift_metric") == []
