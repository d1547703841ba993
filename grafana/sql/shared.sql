-- Fragments that several pages use. See kit/queries.py.

-- "Now" is the end of the time range, so that a look back shows what was known to be late then.
-- name: now
least(now(), $__timeTo()::timestamptz)

-- name: in_range
window_start >= $__timeFrom()::timestamptz and window_start < $__timeTo()::timestamptz

-- name: this_monitor
monitor = '$monitor'

-- name: here
monitor = '$monitor' and model_version = {{version}} and segment = {{segment}}

-- name: whole
monitor = '$monitor' and model_version = {{version}} and segment = '*'

-- name: incident_in_range
last_window >= $__timeFrom()::timestamptz and first_window <= $__timeTo()::timestamptz

-- Of the monitor's weeks, months and quarters (declared under `rollups`) the shortest, and the longest; null: it has none.
-- name: shortest_rollup
(select window_size from monitoring.rollup_current where {{this_monitor}} and window_size in ('week', 'month', 'quarter')
 order by array_position(array['week', 'month', 'quarter'], window_size) limit 1)

-- name: longest_rollup
(select window_size from monitoring.rollup_current where {{this_monitor}} and window_size in ('week', 'month', 'quarter')
 order by array_position(array['quarter', 'month', 'week'], window_size) limit 1)

-- name: touches_range
window_end > $__timeFrom()::timestamptz and window_start < $__timeTo()::timestamptz

-- Of the version: one that is no longer in service had its last days earlier.
-- name: newest_window
(select max(s.window_start) from monitoring.window_summary_current s
 where s.monitor = '$monitor' and s.model_version = {{version}} and {{in_range}})

-- name: window_length
(select window_seconds * interval '1 second' from monitoring.monitor_current where monitor = '$monitor')

-- The reference's bins of a column (CTE shape: one row of reference_profile_current) as n, reference, label. Edges to four digits.
-- name: bins
select b.n, s.kind, b.rows as reference,
       case when s.kind = 'categorical' then coalesce(nullif(s.categories[b.n], ''), case when b.n > coalesce(cardinality(s.categories), 0)
                                                                                      then '(unseen)' else '(empty)' end)
            when s.edges is null or cardinality(s.edges) = 0 then 'all'
            else case when b.n > cardinality(s.edges) then '> ' else '≤ ' end
                 || case when e.edge = 0 then 0 else round(e.edge::numeric, 3 - floor(log(abs(e.edge::numeric)))::integer)::float8 end
       end as bin
from shape s
cross join lateral unnest(s.bin_counts) with ordinality b (rows, n)
cross join lateral (select s.edges[least(b.n, cardinality(s.edges))] as edge) e

-- Which bins a chart has room for: all of a number's, the most frequent of a category's.
-- name: bin_order
order by case when kind = 'categorical' then -greatest(reference / nullif(sum(reference) over (), 0), 0) else n end, n limit 40

-- Evidently's reports; a period ends at midnight, and its last day is shown.
-- name: report_columns
r.window_start, r.window_end - interval '1 second' as last_at, r.n_current, case when r.n_labelled > 0 then r.n_labelled end as n_labelled,
       r.path, r.performance_path, r.run_id
from monitoring.evidently_report_current r

-- Variables ----------------------------------------------------------------------------------------------------------

-- name: monitors
select monitor from monitoring.monitor_current order by 1

-- Those with windows in the time range first: a version that was only just promoted has none.
-- name: versions
with seen as (
  select distinct s.model_version from monitoring.window_summary_current s where s.monitor = '$monitor' and {{in_range}})
select model_version as __text, replace(model_version, '$', '＄') as __value from (
  select model_version, role, trained_at from monitoring.model_version_current where {{this_monitor}}
  union all
  select model_version, '', null from seen
  where model_version not in (select m.model_version from monitoring.model_version_current m where m.monitor = '$monitor')
) v order by model_version in (select model_version from seen) desc, role = 'champion' desc, trained_at desc nulls last, model_version

-- name: segments
select segment as __text, replace(segment, '$', '＄') as __value from (
  select distinct segment from monitoring.segment_window_current where {{this_monitor}} and {{in_range}}
) s order by segment <> '*', segment

-- name: columns
select column_name as __text, replace(column_name, '$', '＄') as __value from (
  select column_name, max(abs(effect)) as effect from monitoring.column_verdict_current
  where monitor = '$monitor' and model_version = {{version}} and segment = '*' and {{in_range}} group by 1
) c order by effect desc nulls last, column_name

-- name: baselines
select unnest(baselines) from monitoring.monitor_current where {{this_monitor}}

-- name: methods
select metric from monitoring.metric_catalog where family = 'drift' and metric <> 'drifted_columns_share' order by metric <> 'psi', 1

-- name: metrics
select metric from monitoring.performance_current p
where monitor = '$monitor' and model_version = {{version}} and segment = '*' and metric not like '%[%'
  and window_start = (select max(s.window_start) from monitoring.window_summary_current s
                      where s.monitor = '$monitor' and s.model_version = {{version}} and s.value is not null and {{in_range}})
group by 1 order by metric <> (select headline_metric from monitoring.monitor_current where {{this_monitor}}), 1

-- Annotations --------------------------------------------------------------------------------------------------------

-- name: critical_incidents
select first_window as time, last_window + {{window_length}} as timeend, summary as text, kind as tags
from monitoring.incident_current
where {{this_monitor}} and state <> 'retracted' and severity = 'critical' and {{incident_in_range}} order by 1

-- name: warnings
select first_window as time, last_window + {{window_length}} as timeend, summary as text, kind as tags
from monitoring.incident_current
where {{this_monitor}} and state <> 'retracted' and severity <> 'critical' and {{incident_in_range}} order by 1

-- name: version_changes
select p.effective as time, 'Version ' || p.model_version || ' (' || p.kind || '): ' || p.reason as text, 'version' as tags
from (select *, coalesce(as_of, at) as effective from monitoring.promotion_current where {{this_monitor}}) p
where $__timeFilter(effective) order by 1
