"""Where Evidently's reports lie, by window."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, text

from monitoring_pipeline.windows import Window

REPLACE = text("""
insert into monitoring.evidently_report (monitor, window_start, window_end, model_version, path, performance_path,
  n_current, n_reference, n_labelled, sampled, code_version, run_id)
values (:monitor, :window_start, :window_end, :model_version, :path, :performance_path,
  :n_current, :n_reference, :n_labelled, :sampled, :code_version, :run_id)
on conflict (monitor, window_start, window_end) do update set
  model_version = excluded.model_version, path = excluded.path, performance_path = excluded.performance_path,
  n_current = excluded.n_current, n_reference = excluded.n_reference, n_labelled = excluded.n_labelled,
  sampled = excluded.sampled, code_version = excluded.code_version, run_id = excluded.run_id,
  computed_at = clock_timestamp()
""")


@dataclass(frozen=True)
class ReportRow:
    """``path`` and ``performance_path``: files as text; ``n_current``, ``n_reference``, ``n_labelled``: rows shown."""

    model_version: str
    path: str
    performance_path: str | None
    n_current: int
    n_reference: int
    n_labelled: int
    sampled: bool


def replace(conn: Connection, monitor: str, window: Window, row: ReportRow, code_version: str, run_id: str) -> None:
    """Stores where the report of this window or period lies, in place of an earlier one."""
    named = {"monitor": monitor, "window_start": window.start, "window_end": window.end}
    conn.execute(REPLACE, named | vars(row) | {"code_version": code_version, "run_id": run_id})
