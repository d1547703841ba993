-- How far each monitor has come, against what is due.

create or replace view monitoring.monitor_progress_current as
select m.monitor, l.window_length, m.starts_on, e.ends_on, m.has_ground_truth, m.label_coverage, m.label_max_delay,
       n.last_window_end, t.due_at, coalesce(e.ends_on <= t.due_at, false) as ended,
       greatest(extract(epoch from t.due_at - coalesce(n.last_window_end, m.starts_on at time zone 'UTC')), 0)::double precision
         as lag_seconds
from monitoring.monitor m
cross join lateral (
  select case m.window_size when 'hour' then interval '1 hour' else interval '24 hours' end as window_length) l
cross join lateral (
  select (select (d.declaration ->> 'end')::date from monitoring.monitor_declaration d
          where d.monitor = m.monitor and d.config_version = m.config_version)::timestamp at time zone 'UTC' as ends_on) e
cross join lateral (select least(now(), e.ends_on) as due_at) t  -- least() passes over the null of a monitor without an end
left join lateral (
  select s.window_end as last_window_end from monitoring.window_stage s
  where s.monitor = m.monitor and s.stage = 'profile' and s.completed_at is not null
  order by s.window_start desc limit 1) n on true;
comment on view monitoring.monitor_progress_current is 'How far each monitor has come, and how far it should be.';
comment on column monitoring.monitor_progress_current.window_length is 'Length of the smallest window as an interval.';
comment on column monitoring.monitor_progress_current.ends_on is 'First moment that is no longer monitored; null: there is no end.';
comment on column monitoring.monitor_progress_current.last_window_end is 'End of the newest profiled window; null: none yet.';
comment on column monitoring.monitor_progress_current.due_at is 'Now, or the end of the monitor when that has passed.';
comment on column monitoring.monitor_progress_current.ended is 'Whether the end of the monitor has passed: nothing more is due.';
comment on column monitoring.monitor_progress_current.lag_seconds is 'How far the newest profiled window lies behind due_at, in seconds.';
