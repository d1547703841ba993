"""Train-serve parity by window and column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, text

from monitoring_pipeline.windows import Window

FORGET = text("delete from monitoring.parity where monitor = :monitor and window_start = :window_start")
ADD = text("""
insert into monitoring.parity (monitor, window_start, window_end, column_name, n_compared, n_differing, n_unmatched,
  example, tolerance, data_version, code_version, run_id)
values (:monitor, :window_start, :window_end, :column_name, :n_compared, :n_differing, :n_unmatched, :example,
  :tolerance, :data_version, :code_version, :run_id)
""")


@dataclass(frozen=True)
class ParityRow:
    """One column of a window; ``*`` for rows. ``n_unmatched``: sampled predictions that were not recomputed."""

    column_name: str
    n_compared: int
    n_differing: int
    n_unmatched: int
    example: str


@dataclass(frozen=True)
class MadeFrom:
    """What the rows of a window were computed from and by."""

    tolerance: float
    data_version: str
    code_version: str
    run_id: str


def replace(conn: Connection, monitor: str, window: Window, rows: Sequence[ParityRow], made: MadeFrom) -> None:
    """Replaces the parity of a window."""
    named = {"monitor": monitor, "window_start": window.start}
    conn.execute(FORGET, named)
    if rows:
        conn.execute(ADD, [named | {"window_end": window.end} | vars(row) | vars(made) for row in rows])
