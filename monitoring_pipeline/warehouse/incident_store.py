"""Alarms as they stand, and the incidents made of them, every revision."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

DRIFT_ALARMS = text("""
select v.window_start, v.model_version, v.segment, v.column_name, v.role, v.moved, v.effect, v.q_value,
       v.threshold_source
from monitoring.column_verdict_current v
where v.monitor = :monitor and v.status = 'alarm'
  and v.window_start in (
    select c.window_start from monitoring.column_verdict c
    where c.monitor = :monitor and (2 = any (c.status) or 2 = any (c.pinned)))
""")
AFTER_ALARMS = text("""
select v.window_start, v.model_version, v.segment, v.column_name, v.status, v.effect
from monitoring.column_verdict_current v
where v.monitor = :monitor and v.window_start = any (cast(:starts as timestamptz[])) and v.status in ('notice', 'quiet')
""")
# Shares of missing, unseen and outside values are judged as drift; here they count where somebody pinned a threshold.
QUALITY_ALARMS = text("""
select q.window_start, q.model_version, q.segment, q.column_name, q.metric, q.value, q.threshold, q.threshold_source,
       q.detail
from monitoring.quality_current q
where q.monitor = :monitor and q.violated and q.segment = '*'
  and (q.metric in ('duplicate_share', 'quarantined_share', 'type_violation_share', 'column_missing', 'column_extra',
                    'retyped')
       or q.threshold_source = 'declared')
""")
PERFORMANCE_ALARMS = text("""
with p as materialized (
  select window_start, model_version, segment, metric, kind, value, threshold, threshold_source, degraded, mature
  from monitoring.performance_current
  where monitor = :monitor and kind in ('realized', 'estimated') and threshold_source = 'declared'
)
select p.window_start, p.model_version, p.segment, p.metric, p.value, p.threshold, p.threshold_source, p.kind
from p
where p.degraded
  and (p.kind = 'realized' and p.mature
       or p.kind = 'estimated' and not exists (
         select from p r
         where r.kind = 'realized' and r.mature and r.degraded is not null and r.window_start = p.window_start
           and r.model_version = p.model_version and r.segment = p.segment and r.metric = p.metric))
""")
WINDOW_ALARMS = text("""
select window_start, kind, model_version, segment, subject, contrast, effect, q_value, value, expected, source, cause
from monitoring.window_verdict where monitor = :monitor and status = 'alarm'
""")
FAIRNESS_ALARMS = text("""
select window_start, model_version, segment, protected_column, reference_group, metric, value, threshold,
       threshold_source, n_group, n_reference_group, detail
from monitoring.fairness_current where monitor = :monitor and violated
""")
PARITY_ALARMS = text("""
select window_start, column_name, n_differing::double precision / nullif(n_compared, 0) as value, example as detail
from monitoring.parity
where monitor = :monitor and column_name <> '*' and n_differing > cast(:allowed as double precision) * n_compared
""")
JUDGED = text("""
select min(window_start) as first, max(window_start) as last from monitoring.judged_window where monitor = :monitor
""")
CURRENT = text("""
select incident_id, kind, severity, state, opened_at, first_window, last_window, columns, segments, summary, evidence,
       resolved_at, change, actions, n_windows, reason, rank
from monitoring.incident where monitor = :monitor and superseded_at is null
""")
OPEN_OF_CHANGE = text("""
select distinct monitor from monitoring.incident
where monitor = any (cast(:monitors as text[])) and superseded_at is null and state = 'open' and change = :change
""")
NOW = text("select clock_timestamp()")
SUPERSEDE = text("""
update monitoring.incident set superseded_at = greatest(as_known_at, :now)
where monitor = :monitor and superseded_at is null and incident_id = any (cast(:ids as text[]))
""")
ADD = text("""
insert into monitoring.incident (monitor, incident_id, kind, severity, state, opened_at, first_window, last_window,
  columns, segments, summary, evidence, resolved_at, run_id, change, actions, n_windows, reason, rank, as_known_at)
values (:monitor, :incident_id, :kind, :severity, :state, :opened_at, :first_window, :last_window,
  cast(:columns as text[]), cast(:segments as text[]), :summary, cast(:evidence as jsonb), :resolved_at, :run_id,
  :change, cast(:actions as text[]), :n_windows, :reason, :rank, :now)
""")
HARM = text("""
with metric as materialized (
  select p.kind, p.window_start, p.value, p.reference_value,
         case p.kind when 'realized' then p.n_labelled else p.n_predictions end as n
  from monitoring.performance_current p
  where p.monitor = :monitor and p.metric = :metric and p.segment = '*' and p.kind <> 'shadow' and p.value is not null
    and p.reference_value is not null
    and p.window_start >= cast(:earliest as timestamptz) and p.window_start <= cast(:latest as timestamptz)
)
select s.first, s.last, p.kind, sum(p.value * p.n) / nullif(sum(p.n), 0) as value,
       sum(p.reference_value * p.n) / nullif(sum(p.n), 0) as reference
from unnest(cast(:firsts as timestamptz[]), cast(:lasts as timestamptz[])) s (first, last)
join metric p on p.window_start >= s.first and p.window_start <= s.last
group by s.first, s.last, p.kind
""")
FORGET_DECLARED = text("""
delete from monitoring.column_importance where monitor = :monitor and source = 'declared'
  and not (column_name = any (cast(:columns as text[])))
""")
DECLARE_IMPORTANCE = text("""
insert into monitoring.column_importance (monitor, model_version, column_name, importance, source)
select :monitor, '', d.column_name, d.importance, 'declared'
from unnest(cast(:columns as text[]), cast(:importance as float8[])) d (column_name, importance)
on conflict (monitor, model_version, column_name) do update set importance = excluded.importance
""")
IMPORTANCE = text("""
select column_name, max(importance) as importance from monitoring.column_importance
where monitor = :monitor group by column_name
""")


@dataclass(frozen=True)
class Incident:
    """One incident as it is stored. Times in UTC; ``evidence`` is JSON."""

    incident_id: str
    kind: str
    severity: str
    state: str
    opened_at: datetime
    first_window: datetime
    last_window: datetime
    columns: tuple[str, ...]
    segments: tuple[str, ...]
    summary: str
    evidence: dict[str, Any]
    resolved_at: datetime | None
    change: str
    actions: tuple[str, ...]
    n_windows: int
    reason: str = ""
    rank: float = 0.0

    def continues(self, other: Incident) -> bool:
        """Whether one is the other told anew: seen in common windows, and columns where both have some."""
        together = self.first_window <= other.last_window and other.first_window <= self.last_window
        common = not self.columns or not other.columns or bool(set(self.columns) & set(other.columns))
        return together and common


@dataclass(frozen=True)
class AlarmRows:
    """Rows of the alarms that stand: of columns, of quality, performance and fairness by thresholds, of whole
    windows."""

    drift: Sequence[Any]
    quality: Sequence[Any]
    performance: Sequence[Any]
    windows: Sequence[Any]
    fairness: Sequence[Any] = ()
    parity: Sequence[Any] = ()


def alarm_rows(conn: Connection, monitor: str, parity_allowed: float | None = None) -> AlarmRows:
    """The alarms that stand. ``parity_allowed``: share of differing values up to which there is none; None: no parity
    is declared."""
    statements = (DRIFT_ALARMS, QUALITY_ALARMS, PERFORMANCE_ALARMS, WINDOW_ALARMS, FAIRNESS_ALARMS)
    rows = [conn.execute(statement, {"monitor": monitor}).all() for statement in statements]
    if parity_allowed is not None:
        rows.append(conn.execute(PARITY_ALARMS, {"monitor": monitor, "allowed": parity_allowed}).all())
    return AlarmRows(*rows)


def quiet_columns(conn: Connection, monitor: str, starts: Sequence[datetime]) -> Sequence[Any]:
    """Columns without an alarm of the windows with these starts: by window, version, segment and column, whether
    notice or quiet, and the signed effect."""
    return conn.execute(AFTER_ALARMS, {"monitor": monitor, "starts": list(starts)}).all() if starts else []


def judged_span(conn: Connection, monitor: str) -> tuple[datetime, datetime] | None:
    """Starts of the first and last window whose columns are judged."""
    row = conn.execute(JUDGED, {"monitor": monitor}).one()
    return None if row.first is None else (row.first, row.last)


def current(conn: Connection, monitor: str) -> dict[str, Incident]:
    """The current revision of each incident, by id."""
    return {
        row.incident_id: Incident(
            **{**row._mapping, "columns": tuple(row.columns), "segments": tuple(row.segments),
               "actions": tuple(row.actions)}
        )
        for row in conn.execute(CURRENT, {"monitor": monitor})
    }  # fmt: skip


def open_of_change(conn: Connection, monitors: Sequence[str], change: str) -> set[str]:
    """Those of the monitors with an open incident of this kind of change."""
    return set(conn.execute(OPEN_OF_CHANGE, {"monitors": list(monitors), "change": change}).scalars())


def revise(
    conn: Connection, monitor: str, run_id: str | None, gone: Sequence[str], revised: Sequence[Incident]
) -> None:
    """Supersedes the incidents with the ids ``gone`` and the revised ones, and adds these."""
    ids = [*gone, *(one.incident_id for one in revised)]
    now = conn.execute(NOW).scalar_one()  # one moment: at any other, each incident has exactly one revision
    if ids:
        conn.execute(SUPERSEDE, {"monitor": monitor, "ids": ids, "now": now})
    for one in revised:
        values = vars(one) | {
            "columns": list(one.columns),
            "segments": list(one.segments),
            "actions": list(one.actions),
        }
        made = {"monitor": monitor, "run_id": run_id, "evidence": json.dumps(one.evidence), "now": now}
        conn.execute(ADD, values | made)


Span = tuple[datetime, datetime]  # starts of the first and the last window
Values = tuple[float, float]  # in these windows, and in the reference


def harm(conn: Connection, monitor: str, metric: str, spans: Iterable[Span]) -> dict[tuple[Span, str], Values]:
    """The metric over the windows of each span, by its rows, and the reference's; by span and kind (``realized``,
    ``estimated``), as far as known."""
    wanted = sorted(set(spans))
    if not wanted:
        return {}
    firsts, lasts = [first for first, _ in wanted], [last for _, last in wanted]
    bounds = {"firsts": firsts, "lasts": lasts, "earliest": min(firsts), "latest": max(lasts)}
    rows = conn.execute(HARM, {"monitor": monitor, "metric": metric} | bounds)
    return {
        ((row.first, row.last), row.kind): (row.value, row.reference)
        for row in rows if row.value is not None and row.reference is not None
    }  # fmt: skip


def declare_importance(conn: Connection, monitor: str, declared: Mapping[str, float]) -> None:
    """Replaces the declared importance of columns, which holds for all model versions."""
    columns = {"monitor": monitor, "columns": list(declared)}
    conn.execute(FORGET_DECLARED, columns)
    if declared:
        conn.execute(DECLARE_IMPORTANCE, columns | {"importance": list(declared.values())})


def importance(conn: Connection, monitor: str) -> dict[str, float]:
    """Importance of columns in [0, 1], as far as known."""
    return {row.column_name: row.importance for row in conn.execute(IMPORTANCE, {"monitor": monitor})}
