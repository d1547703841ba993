"""What all monitors together have known, waiting and stale: one statement each, whatever their number."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import Connection, text

from monitoring_pipeline.records import MAX_ATTEMPTS, FileVersion, SourceRole, Stage
from monitoring_pipeline.windows import Window

StaleReason = Literal["source", "failed", "data", "labels", "reference", "baseline", "maturity", "config", "policy"]

KNOWN_FILES = text("""
select monitor, path, size, modified_at, read_as from monitoring.source_file
where role = :role and monitor = any (cast(:monitors as text[]))
""")
WITH_REFERENCE = text("""
select distinct monitor from monitoring.reference_profile where monitor = any (cast(:monitors as text[]))
""")
STALE_WINDOWS = text("""
select monitor, window_start, window_end, reason, stage, attempts from monitoring.stale_window w
where monitor = any (cast(:monitors as text[])) and attempts < :max_attempts
  and not exists (select from monitoring.stage_status s where s.monitor = w.monitor
                  and s.window_start = w.window_start and s.attempts >= :max_attempts)
order by monitor, window_start, stage
""")
# Everything in the ledger that staleness follows from; what follows from the clock alone is looked at once an hour, the
# monitors spread over it. Sums rather than maxima: who commits late may bring an earlier time.
MARKS = text("""
select m.monitor, left(md5(concat_ws('|', m.source_revision, m.ingestion_revision, m.declared_at,
         (select max(batch) from monitoring.label_batch b where b.monitor = m.monitor),
         (select concat_ws('|', count(*), sum((extract(epoch from s.completed_at) * 1e6)::bigint),
                           sum((extract(epoch from s.failed_at) * 1e6)::bigint))
          from monitoring.window_stage s where s.monitor = m.monitor),
         (select string_agg(r.source_version || r.layout_id, '|' order by r.model_version)
          from monitoring.reference_profile r where r.monitor = m.monitor),
         date_trunc('hour', now() + interval '1 second' * (abs(hashtext(m.monitor)::bigint) % 3600)))), 12) as mark
from monitoring.monitor m where m.monitor = any (cast(:monitors as text[]))
""")
LAST_NOTED = text("""
select monitor, greatest(max(completed_at), max(failed_at)) as at from monitoring.window_stage
where monitor = any (cast(:monitors as text[])) group by monitor
""")
# Tried windows are not here: those whose ingestion failed are stale.
WAITING = text("""
select distinct w.monitor, w.window_start from monitoring.source_file_window w
where w.monitor = any (cast(:monitors as text[])) and w.role = 'predictions' and w.n_rows > 0
  and not exists (select from monitoring.prediction_window p
                  where p.monitor = w.monitor and p.window_start = w.window_start)
  and not exists (select from monitoring.window_stage s
                  where s.monitor = w.monitor and s.window_start = w.window_start and s.stage = 'ingestion')
""")
TRIED = text("""
select monitor, window_start from monitoring.prediction_window where monitor = any (cast(:monitors as text[]))
union
select monitor, window_start from monitoring.window_stage
where monitor = any (cast(:monitors as text[])) and stage = 'ingestion'
""")
NEWEST_ROWS = text("""
select m.monitor, p.window_end from unnest(cast(:monitors as text[])) m (monitor)
cross join lateral (
  select window_end from monitoring.prediction_window p
  where p.monitor = m.monitor and p.n_rows > 0 order by window_start desc limit 1) p
""")
LABELS = text("""
select m.monitor, newest.window_start, newest.window_end, coalesce(s.attempts, 0) as attempts,
       (select count(*) from monitoring.source_file f
        where f.monitor = m.monitor and f.role = 'ground_truth' and f.error is null
          and not exists (select from monitoring.label_batch_file b
                          where b.monitor = f.monitor and b.path = f.path and b.revision >= f.revision)) as n_unread
from monitoring.monitor m
join lateral (select window_start, window_end from monitoring.prediction_window p
              where p.monitor = m.monitor order by window_start desc limit 1) newest on true
left join monitoring.window_stage s
  on s.monitor = m.monitor and s.window_start = newest.window_start and s.stage = 'ground_truth'
where m.monitor = any (cast(:monitors as text[]))
""")


@dataclass(frozen=True)
class StaleWindow:
    """A stage of a window that is older than what it is computed from. ``attempts`` failed since that last changed."""

    window: Window
    reason: StaleReason
    stage: Stage
    attempts: int


@dataclass(frozen=True)
class LabelIntake:
    """The newest window taken in, whose run takes in labels too; how many label files no batch holds yet.

    ``attempts`` of that window's ground truth have failed since its data last changed.
    """

    newest: Window
    n_unread: int
    attempts: int


def known_files(conn: Connection, monitors: Sequence[str], role: SourceRole) -> Mapping[str, dict[str, FileVersion]]:
    """Every file seen so far, unreadable ones too, by monitor and path; an empty dict for a monitor without any."""
    found: defaultdict[str, dict[str, FileVersion]] = defaultdict(dict)
    for monitor, path, *version in conn.execute(KNOWN_FILES, {"monitors": list(monitors), "role": role}):
        found[monitor][path] = FileVersion(*version)
    return found


def with_reference(conn: Connection, monitors: Sequence[str]) -> set[str]:
    """Those of the monitors whose reference is profiled."""
    return set(conn.execute(WITH_REFERENCE, {"monitors": list(monitors)}).scalars())


def marks(conn: Connection, monitors: Sequence[str]) -> dict[str, str]:
    """What tells one state of a monitor's ledger from another: with an equal mark, as much is stale as before."""
    return {row.monitor: row.mark for row in conn.execute(MARKS, {"monitors": list(monitors)})}


def last_noted(conn: Connection, monitors: Sequence[str]) -> dict[str, datetime]:
    """When a stage of any window of a monitor last completed or failed, by monitor; absent: never."""
    return {row.monitor: row.at for row in conn.execute(LAST_NOTED, {"monitors": list(monitors)}) if row.at}


def stale_windows(
    conn: Connection, monitors: Sequence[str], max_attempts: int = MAX_ATTEMPTS
) -> Mapping[str, list[StaleWindow]]:
    """Stages older than what they are computed from, by monitor; an empty list for a monitor without any.

    A window that a stage of has failed ``max_attempts`` times is left out, with the stages that wait for that one.
    """
    found: defaultdict[str, list[StaleWindow]] = defaultdict(list)
    asked = {"monitors": list(monitors), "max_attempts": max_attempts}
    for monitor, start, end, reason, stage, attempts in conn.execute(STALE_WINDOWS, asked):
        found[monitor].append(StaleWindow(Window(start, end), reason, stage, attempts))
    return found


def waiting_windows(conn: Connection, monitors: Sequence[str]) -> Mapping[str, set[datetime]]:
    """Starts of the windows that the source holds rows for and whose ingestion was never tried, by monitor."""
    return _starts(conn.execute(WAITING, {"monitors": list(monitors)}))


def tried_windows(conn: Connection, monitors: Sequence[str]) -> Mapping[str, set[datetime]]:
    """Starts of the windows that were taken in, or whose ingestion failed, by monitor."""
    return _starts(conn.execute(TRIED, {"monitors": list(monitors)}))


def label_intakes(conn: Connection, monitors: Sequence[str]) -> dict[str, LabelIntake]:
    """Of the monitors that have a window, by name."""
    rows = conn.execute(LABELS, {"monitors": list(monitors)})
    return {r.monitor: LabelIntake(Window(r.window_start, r.window_end), r.n_unread, r.attempts) for r in rows}


def _starts(rows: object) -> Mapping[str, set[datetime]]:
    found: defaultdict[str, set[datetime]] = defaultdict(set)
    for monitor, start in rows:  # type: ignore[attr-defined]
        found[monitor].add(start)
    return found


def newest_rows(conn: Connection, monitors: Sequence[str]) -> dict[str, datetime]:
    """End of the newest window with rows of each of these monitors that has one."""
    return {row.monitor: row.window_end for row in conn.execute(NEWEST_ROWS, {"monitors": list(monitors)})}
