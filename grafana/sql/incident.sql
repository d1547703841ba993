-- Incident: what happened, where, since when, and what did late data change?

-- name: incidents
select to_char(first_window at time zone 'UTC', 'YYYY-MM-DD') || ' ' || severity || ': ' || coalesce(change, kind) as __text,
       incident_id as __value
from monitoring.incident_current where {{this_monitor}} and {{incident_in_range}}
order by state <> 'open', last_window desc, incident_id

-- name: its_columns
select c as __text, replace(c, '$', '＄') as __value from monitoring.incident_current i, unnest(i.columns) with ordinality u (c, n)
where {{this_monitor}} and incident_id = {{incident}} order by n

-- name: one
select * from monitoring.incident_current where {{this_monitor}} and incident_id = {{incident}}

-- name: state
select state from ({{one}}) i

-- name: severity
select severity from ({{one}}) i

-- name: change
select coalesce(change, kind) from ({{one}}) i

-- name: since
select first_window from ({{one}}) i

-- name: n_windows
select n_windows from ({{one}}) i

-- name: n_columns
select cardinality(columns) as n from ({{one}}) i

-- name: what
select split_part(summary, ' To do: ', 1) as summary, array_to_string(actions, '; ') as actions, last_window, resolved_at, run_id
from ({{one}}) i

-- name: region
select first_window as time, last_window + {{window_length}} as timeend, split_part(summary, ' To do: ', 1) as text, kind as tags
from ({{one}}) i order by 1

-- name: headline
select s.window_start as time, case when s.mature then s.value end as value,
       case when s.mature and s.degraded then s.value end as degraded, case when not s.mature then s.value end as provisional,
       s.ci_high as high, s.ci_low as low, s.threshold, case when s.threshold is null then s.reference_value end as reference
from monitoring.window_summary_current s
where s.monitor = '$monitor' and {{in_range}}
  and s.model_version = coalesce((select nullif(i.evidence -> 'model_versions' ->> 0, '') from ({{one}}) i), s.model_version)
order by 1

-- name: alarms
select a.* from ({{one}}) i
cross join lateral jsonb_to_recordset(case when jsonb_typeof(i.evidence -> 'alarms') = 'array' then i.evidence -> 'alarms' else '[]' end)
  a (kind text, "column" text, segment text, model_version text, moved text, effect float8, q_value float8, cause text, windows integer)

-- name: moved
select a.kind, a."column" as column_name, replace(a."column", '$', '＄') as key, a.segment, replace(a.segment, '$', '＄') as segment_key,
       case when a.moved <> a.kind then a.moved end as moved, a.effect, a.q_value, a.windows, a.cause, c.importance,
       abs(a.effect) * coalesce(c.importance, 1) as weight
from ({{alarms}}) a
left join lateral (
  select v.importance from monitoring.column_verdict_current v, ({{one}}) i
  where v.monitor = '$monitor' and v.window_start = i.last_window and v.model_version = a.model_version and v.segment = '*'
    and v.column_name = a."column" limit 1) c on true
order by weight desc nulls last, 2

-- name: segments
with i as ({{one}}), alarm as (
  select v.segment, v.window_start, v.column_name as subject, v.effect from i
  join monitoring.column_verdict_current v on v.monitor = i.monitor and v.window_start between i.first_window and i.last_window
   and v.status = 'alarm' and v.column_name = any (i.columns)
  union all
  select w.segment, w.window_start, w.kind, w.effect from i
  join monitoring.window_verdict_current w on w.monitor = i.monitor and w.window_start between i.first_window and i.last_window
   and w.status = 'alarm'
)
select segment, replace(segment, '$', '＄') as key, count(distinct window_start) as windows, count(distinct subject) as subjects,
       (array_agg(subject order by abs(effect) desc nulls last))[1] as strongest,
       (array_agg(effect order by abs(effect) desc nulls last))[1] as effect
from alarm group by 1 order by segment <> '*', 3 desc, 1

-- name: timeline
with i as ({{one}}), what as (
  select v.window_start, v.column_name as subject, array_position(array['abstained', 'quiet', 'notice', 'alarm'], v.status) as rank from i
  join monitoring.column_verdict_current v on v.monitor = i.monitor and v.column_name = any (i.columns[1:20])
  where {{in_range}}
  union all
  select w.window_start, '▸ ' || w.kind, array_position(array['abstained', 'quiet', 'notice', 'alarm'], w.status) from i
  join monitoring.window_verdict_current w on w.monitor = i.monitor
  where {{in_range}}
)
select window_start as time, subject as metric, max(rank) as value from what group by 1, 2 order by 1, 2

-- Before: as many windows as during, at least seven days.
-- name: distribution
with i as ({{one}}), shape as (
  select r.column_name, r.role, r.kind, r.layout_id, r.bin_counts, r.edges, r.categories, r.model_version, i.first_window, i.last_window,
         i.first_window - greatest(i.last_window - i.first_window, interval '7 days') as before_from
  from i join monitoring.reference_profile_current r on r.monitor = i.monitor and r.column_name = {{column}} and r.segment = '*'
  order by (r.model_version = i.evidence -> 'model_versions' ->> 0) is true desc, r.model_version limit 1
), bins as ({{bins}}
), seen as (
  select b.n, sum(b.rows) filter (where p.window_start < s.first_window) as before,
         sum(b.rows) filter (where p.window_start >= s.first_window) as during
  from shape s
  join monitoring.column_profile_current p on p.monitor = '$monitor' and p.layout_id = s.layout_id and p.segment = '*'
    and p.column_name = s.column_name and p.role = s.role and p.window_start >= s.before_from and p.window_start <= s.last_window
  cross join unnest(p.bin_counts) with ordinality b (rows, n) group by 1
)
select bin, reference / nullif(sum(reference) over (), 0) as reference, before / nullif(sum(before) over (), 0) as before,
       during / nullif(sum(during) over (), 0) as during
from bins left join seen using (n) where reference > 0 or before > 0 or during > 0 {{bin_order}}

-- name: revisions
select as_known_at, state, severity, last_window, n_windows, cardinality(columns) as n_columns, reason,
       split_part(summary, ' To do: ', 1) as summary, run_id
from monitoring.incident_history where {{this_monitor}} and incident_id = {{incident}} order by as_known_at desc

-- name: reports
select {{report_columns}}
join ({{one}}) i on r.window_end > i.first_window and r.window_start <= i.last_window
where r.monitor = '$monitor' order by 1 limit 100
