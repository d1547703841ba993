"""What a retrain policy looks at, read as it stands: judged windows, incidents, performance, labels, retrainings.

``until`` (UTC) bounds every reader: windows that end later do not exist for it. So history can be replayed.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

JUDGED = text("""
select window_start, window_end from monitoring.window_stage
where monitor = :monitor and stage = 'verdicts' and completed_at is not null and window_end <= :until
order by window_start desc limit :most
""")
FIRST_JUDGED = text("""
select min(window_start) from monitoring.window_stage
where monitor = :monitor and stage = 'verdicts' and completed_at is not null
""")
MOVED = text("""
select v.window_start, v.status, array_agg(distinct v.column_name) as columns
from monitoring.column_verdict_current v
where v.monitor = :monitor and v.window_start = any (cast(:starts as timestamptz[])) and v.status in ('alarm', 'notice')
  and (cast(:version as text) is null or v.model_version = :version)
group by v.window_start, v.status
""")
INCIDENTS = text("""
select revision_id, incident_id, kind, severity, change, columns, first_window, last_window, resolved_at,
       state = 'open' or resolved_at > :until as is_open
from monitoring.incident
where monitor = :monitor and superseded_at is null and state <> 'retracted' and first_window < :until
order by first_window, incident_id
""")
PERFORMANCE = text("""
select p.window_start, p.window_end, p.kind, bool_or(coalesce(p.degraded, false)) as degraded,
       bool_or(p.mature) as mature, max(p.value) filter (where p.metric = :metric) as value,
       max(coalesce(p.threshold, p.reference_value)) filter (where p.metric = :metric) as threshold
from monitoring.performance_current p
where p.monitor = :monitor and p.segment = '*' and p.kind <> 'shadow' and p.window_start >= :first
  and p.window_end <= :until
  and (cast(:version as text) is null or p.model_version = :version)
group by p.window_start, p.window_end, p.kind order by p.window_start
""")
LABELS = text("""
select w.window_start, w.window_end, w.n_rows,
       least(w.n_rows, coalesce((select sum(p.n_labelled) from monitoring.profile p
                                 where p.monitor = w.monitor and p.window_start = w.window_start and p.segment = '*'
                                   and p.scope = 'window' and p.part = 'outcomes'), 0))::bigint as n_labelled
from monitoring.prediction_window w
where w.monitor = :monitor and w.window_end <= :until order by w.window_start
""")
CHAMPION = text("""
select v.model_version, coalesce(v.labels_known_at, v.train_end) as cut, v.labels_known_at, v.n_rows,
       case when v.artifact_format is not null then v.train_end end as continues_at,
       (select r.n_rows from monitoring.reference_profile r
        where r.monitor = v.monitor and r.model_version = v.model_version) as n_reference
from monitoring.model_version v
where v.monitor = :monitor and v.superseded_at is null
  and case when cast(:version as text) is null then v.role = 'champion' else v.model_version = :version end
""")
REFERENCE_ROWS = text("""
select n_rows from monitoring.reference_profile where monitor = :monitor and model_version = :version
""")
ENDED = "('promoted', 'kept', 'inconclusive', 'failed')"
# A failed attempt does not end its decision, which may be tried again.
RETRAININGS = text(f"""
select d.revision_id as decision_id, d.decided_at, coalesce(d.as_of, d.decided_at) as as_of, d.trigger, d.evidence,
       coalesce(case when d.outcome in {ENDED} then d.outcome when d.outcome = 'rejected' then 'kept' end,
                case when a.state in ('promoted', 'kept', 'inconclusive') then a.state end) as outcome,
       a.state, coalesce(v.duration_seconds, case when a.state = 'failed' then
         extract(epoch from a.state_since - a.started_at) end, 0)::double precision / 60 as minutes
from monitoring.retrain_decision d
left join lateral (
  select * from monitoring.retrain_attempt a where a.decision_id = d.revision_id
  order by a.attempt_id desc limit 1) a on true
left join monitoring.model_version v on v.monitor = a.monitor and v.model_version = a.challenger_version
  and v.superseded_at is null
where d.monitor = :monitor and d.superseded_at is null and d.decision = 'retrain' order by d.revision_id
""")  # noqa: S608


def newest_judged(conn: Connection, monitor: str, until: datetime, most: int) -> Sequence[Any]:
    """(window_start, window_end) of the newest windows with verdicts, at most so many, in order."""
    found = conn.execute(JUDGED, {"monitor": monitor, "until": until, "most": most}).all()
    return found[::-1]


def first_judged(conn: Connection, monitor: str) -> datetime | None:
    """Start of the first window with verdicts."""
    start: datetime | None = conn.execute(FIRST_JUDGED, {"monitor": monitor}).scalar()
    return start


def moved_columns(conn: Connection, monitor: str, starts: Sequence[datetime], version: str | None) -> Sequence[Any]:
    """(window_start, status, columns): the columns that alarm or are noticed, in any segment."""
    return conn.execute(MOVED, {"monitor": monitor, "starts": list(starts), "version": version}).all()


def incidents(conn: Connection, monitor: str, until: datetime) -> Sequence[Any]:
    """Incidents that began before, and whether each was open then."""
    return conn.execute(INCIDENTS, {"monitor": monitor, "until": until}).all()


def performance(
    conn: Connection, monitor: str, metric: str, version: str | None, first: datetime, until: datetime
) -> Sequence[Any]:
    """By window and kind: whether any metric of all rows is degraded; value and threshold of ``metric``."""
    wanted = {"monitor": monitor, "metric": metric, "version": version, "first": first, "until": until}
    return conn.execute(PERFORMANCE, wanted).all()


def label_counts(conn: Connection, monitor: str, until: datetime) -> Sequence[Any]:
    """(window_start, window_end, n_rows, n_labelled) of every window that was taken in, in order."""
    return conn.execute(LABELS, {"monitor": monitor, "until": until}).all()


def champion(conn: Connection, monitor: str, version: str | None = None) -> Any | None:
    """(model_version, cut, n_rows, continues_at, n_reference) of this version, else of the one in service; None
    without one.
    """
    return conn.execute(CHAMPION, {"monitor": monitor, "version": version}).first()


def reference_rows(conn: Connection, monitor: str, version: str) -> int:
    """Rows of the reference of a version; 0 when it has none."""
    return int(conn.execute(REFERENCE_ROWS, {"monitor": monitor, "version": version}).scalar() or 0)


def retrainings(conn: Connection, monitor: str) -> Sequence[Any]:
    """Every decision to retrain with what came of it, in the order they were taken; ``state`` of its last attempt."""
    return conn.execute(RETRAININGS, {"monitor": monitor}).all()
