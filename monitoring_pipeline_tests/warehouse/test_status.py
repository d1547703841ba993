"""What ``status`` says of a monitor."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import text

from monitoring_pipeline.stages.declaring import declare
from monitoring_pipeline.warehouse import ledger, profile_store
from monitoring_pipeline.warehouse.database import Warehouse
from monitoring_pipeline.warehouse.model_versions import ModelVersion, register_version
from monitoring_pipeline.warehouse.status import monitor_statuses

from . import samples as s

DAYS = [s.window(i) for i in range(3)]


def test_a_monitor_that_has_seen_nothing(warehouse: Warehouse) -> None:
    with warehouse.transaction() as conn:
        assert monitor_statuses(conn) == []
        declare(conn, s.monitor())
        (status,) = monitor_statuses(conn)
    assert (status.monitor, status.last_window, status.lag_seconds, status.coverage, status.n_rows) == (
        s.NAME,
        None,
        None,
        None,
        0,
    )
    assert (status.failed_windows, status.stale_windows, status.unreadable_files, status.champion_version) == (
        (),
        {},
        {},
        None,
    )


def test_everything_at_once(warehouse: Warehouse) -> None:
    with warehouse.transaction() as conn:
        for name in (s.NAME, "zebra"):
            declare(conn, s.monitor(name))
        files = [s.file("a", DAYS), s.file("broken", [], error="truncated")]
        ledger.record_files(conn, s.NAME, "predictions", files)
        for day in DAYS[:2]:
            ledger.record_ingested(conn, s.NAME, s.taken(day), 1, None)
        for _ in range(3):
            ledger.fail_stage(conn, s.NAME, DAYS[2], "ingestion", "row 7", label_batch=None, run_id=None)
        ledger.record_batch(conn, s.NAME, s.batch(1, DAYS[:1], n_unknown=4), [], None)
        profile_store.save_layout(conn, s.layout())
        kept = s.labelled(DAYS[0], 1, n_labelled=50)
        profile_store.save_labelled(conn, s.NAME, DAYS[0], [kept])
        register_version(conn, s.NAME, ModelVersion("7", "champion"), run_id=None)
        conn.execute(
            text("""insert into monitoring.incident (monitor, incident_id, kind, severity, state, opened_at,
                    first_window, last_window, summary)
                    values ('churn', 'i1', 'drift', 'warning', 'open', now(), now(), now(), 'age moved')""")
        )
        now = s.taken(DAYS[1]).last_event
        assert now is not None
        status, other = monitor_statuses(conn, now=now + timedelta(hours=3))
        assert monitor_statuses(conn, "zebra") == [other]
        assert monitor_statuses(conn, "nobody") == []
    assert status.last_window == DAYS[1]
    assert status.lag_seconds == 3 * 3600
    assert (status.n_windows, status.n_rows, status.coverage) == (2, 200, 0.25)
    assert (status.open_incidents, status.champion_version, status.n_unknown_labels) == (1, "7", 4)
    (failed,) = status.failed_windows
    assert (failed.window, failed.stage, failed.error, failed.attempts, failed.gave_up) == (
        DAYS[2],
        "ingestion",
        "row 7",
        3,
        True,
    )
    assert status.stale_windows == {"data": 2, "failed": 1}
    assert status.unreadable_files == {"broken": "truncated"}
