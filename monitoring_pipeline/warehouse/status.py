"""How each monitor stands: what the command ``status`` prints. Plain values, read from the views."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, text

from monitoring_pipeline.records import MAX_ATTEMPTS
from monitoring_pipeline.warehouse.ledger import unreadable_files
from monitoring_pipeline.windows import Window

MONITORS = text("""
select m.monitor, m.task, m.has_ground_truth, last.window_start, last.window_end, last.last_event_at, total.n_windows,
       total.n_rows, label.n_labelled,
       (select count(*) from monitoring.incident_current i
        where i.monitor = m.monitor and i.state = 'open') as open_incidents,
       (select v.model_version from monitoring.model_version_current v
        where v.monitor = m.monitor and v.role = 'champion') as champion_version,
       (select count(distinct w.window_start) from monitoring.source_file_window w
        where w.monitor = m.monitor and w.role = 'predictions' and w.n_rows > 0 and w.window_start >= m.starts_on
          and w.window_start + case m.window_size when 'hour' then interval '1 hour' else interval '24 hours' end
              <= now()
          and not exists (select from monitoring.prediction_window p
                          where p.monitor = w.monitor and p.window_start = w.window_start)) as n_to_come,
       (select b.n_unknown from monitoring.label_batch_current b where b.monitor = m.monitor) as n_unknown_labels
from monitoring.monitor m
left join lateral (
  select window_start, window_end, last_event_at from monitoring.prediction_window p
  where p.monitor = m.monitor and p.n_rows > 0 order by window_start desc limit 1) last on true
cross join lateral (
  select count(*) as n_windows, coalesce(sum(n_rows), 0)::bigint as n_rows
  from monitoring.prediction_window p where p.monitor = m.monitor) total
cross join lateral (
  select coalesce(sum(n_labelled), 0)::bigint as n_labelled
  from monitoring.profile l
  where l.monitor = m.monitor and l.segment = '*' and l.scope = 'window' and l.part = 'outcomes') label
where cast(:monitor as text) is null or m.monitor = :monitor
order by m.monitor
""")
FAILURES = text("""
select window_start, window_end, stage, last_error, attempts, failed_at from monitoring.stage_status
where monitor = :monitor and last_error is not null order by window_start, stage
""")
STALE = text("""
select reason, count(distinct window_start) as windows from monitoring.stale_window
where monitor = :monitor group by reason order by reason
""")


@dataclass(frozen=True)
class FailedWindow:
    """A stage of a window whose last attempt failed. ``gave_up``: it is not tried again until something changes."""

    window: Window
    stage: str
    error: str
    attempts: int
    failed_at: datetime
    gave_up: bool


@dataclass(frozen=True)
class MonitorStatus:
    """One monitor. ``lag_seconds``: age of the newest prediction taken in. ``coverage``: labelled share of all of them.

    ``n_to_come``: windows that have ended, hold rows in the source and are not taken in yet.
    ``stale_windows``: number of windows by reason. ``unreadable_files``: why, by path.
    """

    monitor: str
    task: str
    last_window: Window | None
    lag_seconds: float | None
    n_windows: int
    n_to_come: int
    n_rows: int
    coverage: float | None
    n_unknown_labels: int
    open_incidents: int
    champion_version: str | None
    failed_windows: tuple[FailedWindow, ...]
    stale_windows: dict[str, int]
    unreadable_files: dict[str, str]


def monitor_statuses(
    conn: Connection, monitor: str | None = None, now: datetime | None = None, max_attempts: int = MAX_ATTEMPTS
) -> list[MonitorStatus]:
    """Every declared monitor, or the one named (an empty list when it is not known here), by name."""
    moment = now or datetime.now(UTC)
    statuses = []
    for row in conn.execute(MONITORS, {"monitor": monitor}).mappings().all():
        last = None if row["window_start"] is None else Window(row["window_start"], row["window_end"])
        seen = row["last_event_at"] or (last.end if last else None)
        covered = row["has_ground_truth"] and row["n_rows"]
        statuses.append(
            MonitorStatus(
                monitor=row["monitor"],
                task=row["task"],
                last_window=last,
                lag_seconds=max(0.0, (moment - seen).total_seconds()) if seen else None,
                n_windows=row["n_windows"],
                n_to_come=row["n_to_come"],
                n_rows=row["n_rows"],
                coverage=min(1.0, row["n_labelled"] / row["n_rows"]) if covered else None,
                n_unknown_labels=row["n_unknown_labels"] or 0,
                open_incidents=row["open_incidents"],
                champion_version=row["champion_version"],
                failed_windows=_failures(conn, row["monitor"], max_attempts),
                stale_windows=_stale(conn, row["monitor"]),
                unreadable_files=unreadable_files(conn, row["monitor"]),
            )
        )
    return statuses


def _failures(conn: Connection, monitor: str, max_attempts: int) -> tuple[FailedWindow, ...]:
    rows = conn.execute(FAILURES, {"monitor": monitor}).all()
    return tuple(
        FailedWindow(
            Window(r.window_start, r.window_end),
            r.stage,
            r.last_error,
            r.attempts,
            r.failed_at,
            r.attempts >= max_attempts,
        )
        for r in rows
    )


def _stale(conn: Connection, monitor: str) -> dict[str, int]:
    return {row.reason: row.windows for row in conn.execute(STALE, {"monitor": monitor})}
