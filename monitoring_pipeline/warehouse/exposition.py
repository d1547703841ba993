"""What the exporter reads: newest figures of each monitor and its health in one statement; apart, what takes longer.

Each row is (family, five label values, value, flag); which labels they are is ``FAMILIES``. Only windows that ended
within ``stale_after`` windows are looked at (for performance also within the label delay), so a scrape costs the same
whatever the history, and figures of what no longer runs are absent rather than frozen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, CursorResult, text

# (family, five labels or None, value or None, flag or None), all texts as the driver makes them: the figures are
# published as texts again, and there are tens of thousands of them.
Row = tuple[str | None, ...]

# family -> the labels its rows carry, in order
FAMILIES: dict[str, tuple[str, ...]] = {
    "drift": ("monitor", "model_version", "baseline", "column", "method"),
    "quality": ("monitor", "model_version", "column", "metric"),
    "performance": ("monitor", "model_version", "metric", "kind", "segment"),
    "coverage": ("monitor", "model_version"),
    "window": ("monitor", "model_version", "figures"),
    "health": ("monitor", "figure"),
    "incidents": ("monitor", "severity"),
    "role": ("monitor", "model_version", "role"),
    "database": (),
}


@dataclass(frozen=True)
class Selection:
    """What is published. ``methods``: drift methods. ``stale_after``: windows after which figures vanish.

    ``replay``: age counts from each monitor's newest window instead of from now, for a past that is being replayed.
    """

    methods: tuple[str, ...]
    stale_after: float
    replay: bool = False


NEWEST_FIGURES = text("""
with clock as (
  select m.monitor, m.baselines, m.label_max_delay, m.starts_on, l.length, newest.window_end,
         case when :replay then coalesce(newest.window_end, now()) else now() end - :stale_after * l.length as oldest
  from monitoring.monitor m
  cross join lateral (
    select case m.window_size when 'hour' then interval '1 hour' else interval '24 hours' end as length
  ) l
  left join lateral (
    select s.window_end from monitoring.window_stage s
    where s.monitor = m.monitor and s.stage = 'profile' and s.completed_at is not null
    order by s.window_start desc limit 1
  ) newest on true
), active as materialized (
  select c.monitor, v.model_version, p.window_start, p.window_end, p.window_end >= c.oldest as fresh
  from clock c
  join monitoring.prediction_window p
    on p.monitor = c.monitor and p.window_start >= c.oldest - c.label_max_delay - c.length
  cross join lateral jsonb_object_keys(p.versions) v (model_version)
  where p.window_end >= c.oldest - c.label_max_delay
), version as materialized (
  select monitor, model_version, array_agg(window_start order by window_start desc) as windows,
         array_agg(window_start order by window_start desc) filter (where fresh) as fresh_windows
  from active group by monitor, model_version
), measured as materialized (
  select v.monitor, v.model_version, k.stage, w.window_start, w.window_start + c.length as window_end
  from version v
  join clock c using (monitor)
  cross join (values ('drift'), ('quality')) k (stage)
  cross join lateral (
    select u.window_start
    from unnest(v.fresh_windows) with ordinality u (window_start, place)
    where exists (
      select from monitoring.window_stage s
      where s.monitor = v.monitor and s.window_start = u.window_start and s.stage = k.stage
        and s.completed_at is not null)
    limit 1  -- unnest keeps the order, newest first
  ) w
), judged as materialized (
  select v.monitor, v.model_version, k.kind, w.window_start, w.window_start + c.length as window_end
  from version v
  join clock c using (monitor)
  cross join (values ('realized'), ('estimated')) k (kind)
  cross join lateral (
    select u.window_start
    from unnest(case k.kind when 'realized' then v.windows else v.fresh_windows end)
         with ordinality u (window_start, place)
    where exists (
      select from monitoring.performance_current p
      where p.monitor = v.monitor and p.window_start = u.window_start and p.window_end = u.window_start + c.length
        and p.model_version = v.model_version and p.segment = '*' and p.kind = k.kind and p.value is not null)
    limit 1
  ) w
), newest_performance as materialized (
  select j.monitor, j.model_version, p.metric, j.kind, p.segment, p.value, p.degraded, p.coverage
  from judged j
  cross join lateral (
    select p.metric, p.segment, p.value, p.degraded, p.coverage from monitoring.performance_current p
    where p.monitor = j.monitor and p.window_start = j.window_start and p.window_end = j.window_end
      and p.model_version = j.model_version and p.kind = j.kind
      and p.value is not null and (p.segment = '*' or p.degraded is not null)
    offset 0
  ) p
)
select family, label_1, label_2, label_3, label_4, label_5, value::text, flag::int::text
from (
select 'drift', n.monitor, n.model_version, b.baseline, d.column_name, d.method, d.value, d.drifted
from measured n
join clock c on c.monitor = n.monitor
cross join lateral unnest(c.baselines) b (baseline)
cross join lateral (
  select d.column_name, d.method, d.value, d.drifted from monitoring.drift_current d
  where d.monitor = n.monitor and d.window_start = n.window_start and d.window_end = n.window_end
    and d.model_version = n.model_version and d.baseline = b.baseline and d.segment = '*'
    and d.method = any (:methods) and d.value is not null
  offset 0  -- keeps the planner, who knows little of how few windows there are, from reading the whole table
) d
where n.stage = 'drift'
union all
select 'quality', n.monitor, n.model_version, q.column_name, q.metric, null, q.value, q.violated
from measured n
cross join lateral (
  select q.column_name, q.metric, q.value, q.violated from monitoring.quality_current q
  where q.monitor = n.monitor and q.window_start = n.window_start and q.window_end = n.window_end
    and q.model_version = n.model_version and q.segment = '*' and q.violated is not null
  offset 0
) q
where n.stage = 'quality'
union all
select 'performance', monitor, model_version, metric, kind, segment, value, degraded
from newest_performance where metric not like '%[bin=%'
union all
select 'coverage', monitor, model_version, null, null, null, max(coverage), null
from newest_performance where segment = '*' and kind = 'realized' group by monitor, model_version
union all
select 'window', monitor, model_version, stage, null, null, extract(epoch from window_end)::float8, null from measured
union all
select 'window', monitor, model_version, kind || '_performance', null, null, extract(epoch from window_end)::float8,
       null
from judged
union all
select 'health', c.monitor, f.figure, null, null, null, f.value, null
from clock c
left join lateral (
  select max(completed_at) as at from monitoring.window_stage w
  where w.monitor = c.monitor and w.completed_at is not null
) success on true
left join lateral (
  select count(distinct window_start) as n from monitoring.window_stage w
  where w.monitor = c.monitor and w.last_error is not null
) failure on true
left join lateral (
  select max(w.completed_at) - min(w.completed_at) as took
  from monitoring.window_stage w
  where w.monitor = c.monitor and w.window_start = c.window_end - c.length
    and w.run_id = (select x.run_id from monitoring.window_stage x
                    where x.monitor = c.monitor and x.window_start = c.window_end - c.length and x.stage = 'profile')
) run on true
cross join lateral (values
  ('lag_seconds', extract(epoch from now() - coalesce(c.window_end, c.starts_on at time zone 'UTC'))::float8),
  ('window_seconds', extract(epoch from c.length)::float8),
  ('last_success_timestamp_seconds', extract(epoch from success.at)::float8),
  ('failed_windows', failure.n::float8),
  ('run_duration_seconds', extract(epoch from run.took)::float8)
) f (figure, value)
where f.value is not null
union all
select 'incidents', m.monitor, s.severity, null, null, null, count(i.incident_id)::float8, null
from monitoring.monitor m
cross join (values ('info'), ('warning'), ('critical')) s (severity)
left join monitoring.incident_current i on i.monitor = m.monitor and i.severity = s.severity and i.state = 'open'
group by m.monitor, s.severity
union all
select 'role', monitor, model_version, role, null, null, 1, null from monitoring.model_version_current
union all
select 'database', null, null, null, null, null, pg_database_size(current_database())::float8, null
) newest (family, label_1, label_2, label_3, label_4, label_5, value, flag)
""")

# Reads the whole ledger, for any old window may have become stale: too much for a scrape.
STALE_WINDOWS = text("""
select 'health', m.monitor, 'stale_windows', null, null, null, count(distinct s.window_start)::text, null
from monitoring.monitor m
left join monitoring.stale_window s using (monitor)
group by m.monitor
""")


def newest_figures(connection: Connection, selection: Selection) -> Sequence[Row]:
    """All rows of one scrape. Times are seconds since the epoch (UTC), shares lie in [0, 1], verdicts are 0 and 1."""
    asked = {"methods": list(selection.methods), "stale_after": selection.stale_after, "replay": selection.replay}
    return _plain(connection.execute(NEWEST_FIGURES, asked))


def stale_windows(connection: Connection) -> Sequence[Row]:
    """How many windows of each monitor rest on older rows, labels or declarations than there are. Seconds at 10⁵."""
    return _plain(connection.execute(STALE_WINDOWS))


def _plain(result: CursorResult[Any]) -> Sequence[Row]:
    """The driver's own tuples."""
    return result.cursor.fetchall()
