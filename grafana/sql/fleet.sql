-- Fleet: which model needs me?

-- From its declared end on, nothing of a monitor is late.
-- name: fleet
select m.*, newest.window_start as newest_start, newest.window_end as seen_until,
       least({{now}}, coalesce(m.ends_on::timestamp at time zone 'UTC', 'infinity')) as due
from monitoring.monitor_current m
left join lateral (
  select p.window_start, p.window_end from monitoring.ingestion_current p
  where p.monitor = m.monitor and p.window_end <= {{now}} order by p.window_start desc limit 1) newest on true

-- 6 is the worst; a rank sorts as a reader expects, a word would sort by the alphabet.
-- name: monitors
with fleet as ({{fleet}})
select case when i.critical > 0 then 6 when perf.degraded then 5 when i.warning > 0 then 4
            when f.due - f.seen_until > 2 * f.window_seconds * interval '1 second' then 3
            when f.seen_until is null then 2 when f.ends_on <= {{now}} - interval '1 day' then 1 else 0 end as health,
       f.monitor, i.critical, i.warning, found.n_drifted as drifted, perf.metric, perf.value,
       (perf.value - perf.expected) / nullif(abs(perf.expected), 0) * case when f.higher_is_better then 1 else -1 end as margin,
       label.coverage, greatest(extract(epoch from f.due - f.seen_until), 0) as lag, f.champion_version as champion,
       extract(epoch from {{now}} - coalesce(v.labels_known_at, v.trained_at)) as age, i.opened, f.alarm_budget as budget
from fleet f
left join lateral (
  select s.metric, s.value, s.degraded, coalesce(s.threshold, s.reference_value) as expected
  from monitoring.window_headline_current s
  where s.monitor = f.monitor and s.mature and s.value is not null and s.window_end <= f.seen_until
    and s.window_start >= $__timeFrom()::timestamptz
  order by s.window_start desc, s.n_predictions desc limit 1) perf on true
left join lateral (
  select max(s.n_drifted) as n_drifted from monitoring.window_summary_current s
  where s.monitor = f.monitor and s.window_start = f.newest_start) found on true
left join lateral (
  select p.window_start from monitoring.ingestion_current p
  where p.monitor = f.monitor and f.has_ground_truth and p.window_end <= f.seen_until - f.label_max_delay
    and p.window_start >= $__timeFrom()::timestamptz order by p.window_start desc limit 1) old on true
left join lateral (
  select sum(s.n_labelled)::float8 / nullif(sum(s.n_predictions), 0) as coverage from monitoring.window_summary_current s
  where s.monitor = f.monitor and s.window_start = old.window_start) label on true
left join lateral (
  select count(*) filter (where n.severity = 'critical' and n.state = 'open') as critical,
         count(*) filter (where n.severity = 'warning' and n.state = 'open') as warning,
         count(*) filter (where n.state <> 'retracted' and n.first_window > {{now}} - interval '30 days') as opened
  from monitoring.incident_current n where n.monitor = f.monitor and n.first_window <= {{now}}) i on true
left join monitoring.model_version_current v on v.monitor = f.monitor and v.model_version = f.champion_version
order by health desc, margin nulls last, f.monitor

-- name: trend
select s.window_start as time, s.monitor, s.value from monitoring.window_headline_current s
where s.mature and s.value is not null and {{in_range}} order by 1

-- name: n_monitors
select count(*) from monitoring.monitor_current

-- name: n_critical
select count(*) from monitoring.incident_current where state = 'open' and severity = 'critical' and first_window <= {{now}}

-- name: n_warnings
select count(*) from monitoring.incident_current where state = 'open' and severity = 'warning' and first_window <= {{now}}

-- name: n_predictions
select coalesce(sum(n_rows), 0) from monitoring.ingestion_current where {{in_range}}

-- name: n_failed
select count(distinct (monitor, window_start)) from monitoring.stage_status where last_error is not null and {{in_range}}

-- name: longest_lag
select greatest(max(extract(epoch from due - seen_until)), 0) from ({{fleet}}) f

-- name: incidents
select i.state, i.severity, i.monitor, i.incident_id, i.first_window, i.n_windows, split_part(i.summary, ' To do: ', 1) as summary,
       round(extract(epoch from first_window - interval '21 days') * 1000) as from_ms,
       round(extract(epoch from least(now(), last_window + interval '10 days')) * 1000) as to_ms
from monitoring.incident_current i where {{incident_in_range}} and i.state <> 'retracted'
order by i.state <> 'open', array_position(array['critical', 'warning', 'info'], i.severity), i.last_window desc limit 50
