"""States of folds over windows, and what references teach about performance: kept so that they are not made again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from monitoring_pipeline.warehouse.copying import copy_rows

STATES = text("""
select window_start, made_from, series, state from monitoring.window_fold_state
where monitor = :monitor and kind = :kind order by window_start
""")
FORGET_STATES = text("""
delete from monitoring.window_fold_state
where monitor = :monitor and kind = :kind and (window_start >= :first or window_start < :oldest)
""")
ROW = ("monitor", "kind", "window_start", "made_from", "series", "state")
CALIBRATION = text("""
select calibration from monitoring.performance_calibration
where monitor = :monitor and model_version = :model_version and made_from = :made_from
""")
KEEP_CALIBRATION = text("""
insert into monitoring.performance_calibration (monitor, model_version, made_from, calibration)
values (:monitor, :model_version, :made_from, :calibration)
on conflict (monitor, model_version) do update
  set made_from = excluded.made_from, calibration = excluded.calibration
""")


@dataclass(frozen=True)
class StoredState:
    """The state of one window: ``state`` is a row of 8-byte floats for each of ``series``, a JSON list."""

    start: datetime
    made_from: str
    series: str
    state: bytes


def states(conn: Connection, monitor: str, kind: str) -> list[StoredState]:
    """Those of a kind in order of time."""
    rows = conn.execute(STATES, {"monitor": monitor, "kind": kind})
    return [StoredState(row.window_start, row.made_from, row.series, bytes(row.state)) for row in rows]


def forget_states(conn: Connection, monitor: str, kind: str, oldest: datetime, first: datetime) -> None:
    """Deletes those of windows before ``oldest``, and from ``first`` on."""
    conn.execute(FORGET_STATES, {"monitor": monitor, "kind": kind, "oldest": oldest, "first": first})


def keep_states(conn: Connection, monitor: str, kind: str, fresh: Iterable[StoredState]) -> None:
    """Adds states of windows that have none."""
    rows = [(monitor, kind, one.start, one.made_from, one.series, one.state) for one in fresh]
    copy_rows(conn, "monitoring.window_fold_state", ROW, rows)


def calibration(conn: Connection, monitor: str, model_version: str, made_from: str) -> str | None:
    """What the reference of that version teaches, as JSON; None unless it was made from just this."""
    wanted = {"monitor": monitor, "model_version": model_version, "made_from": made_from}
    found: str | None = conn.execute(CALIBRATION, wanted).scalar()
    return found


def keep_calibration(conn: Connection, monitor: str, model_version: str, content: Mapping[str, str]) -> None:
    """Keeps ``calibration`` and what it is ``made_from`` instead of what was known of this version's reference."""
    conn.execute(KEEP_CALIBRATION, {"monitor": monitor, "model_version": model_version} | dict(content))
