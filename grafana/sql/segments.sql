-- Segments: for whom is the model worse, and whose data moved?

-- name: this_version
monitor = '$monitor' and model_version = {{version}} and {{in_range}}

-- name: size
select segment, sum(n_rows) as n_rows from monitoring.segment_window_current where {{this_version}} group by 1

-- The ten largest, ranked by a circled number: colours go by it.
-- name: ten
select segment, chr(9311 + row_number() over (order by n_rows desc, segment)::integer) as rank from ({{size}}) s
order by n_rows desc, segment limit 10

-- name: n_segments
select count(*) filter (where segment <> '*') from ({{size}}) s

-- The newest whole period of each segment, of the longest that the monitor merges; before the first is whole, that one.
-- name: merged
select distinct on (segment) segment, value as merged, 
       to_char(window_start at time zone 'UTC', case window_size when 'month' then 'YYYY-MM' when 'quarter' then 'YYYY "Q"Q'
                                                                 else 'IYYY "W"IW' end) as period
from monitoring.rollup_performance_current
where monitor = '$monitor' and model_version = {{version}} and metric = {{metric}} and kind = 'realized' and mature and value is not null
  and window_size = {{longest_rollup}} and {{touches_range}}
order by segment, partial, window_start desc

-- name: newest
select segment, (array_agg(value order by window_start desc) filter (where mature and value is not null))[1] as newest,
       (array_agg(ci_low order by window_start desc) filter (where mature and value is not null))[1] as low,
       (array_agg(ci_high order by window_start desc) filter (where mature and value is not null))[1] as high,
       (array_agg(reference_value order by window_start desc))[1] as reference, count(*) filter (where degraded) as degraded
from monitoring.performance_current where {{this_version}} and metric = {{metric}} and kind = 'realized' group by 1

-- name: worst
select segment from ({{newest}}) n left join ({{merged}}) m using (segment)
where segment <> '*' and coalesce(merged, newest) is not null
order by coalesce(merged, newest) * case when (
  select c.higher_is_better is false from monitoring.metric_catalog c
  where c.family = 'performance' and c.metric = regexp_replace({{metric}}, '_(macro|weighted)', '')) then -1 else 1 end
limit 1

-- name: n_alarms
select count(*) from monitoring.column_verdict_current where {{this_version}} and segment <> '*' and status = 'alarm'

-- name: table
with size as ({{size}}), perf as ({{newest}}
), merged as ({{merged}}
), alarm as (
  select segment, count(*) filter (where status = 'alarm') as alarms, count(distinct column_name) filter (where status = 'alarm') as columns
  from monitoring.column_verdict_current where {{this_version}} group by 1
)
select s.segment, replace(s.segment, '$', '＄') as key, s.n_rows, s.n_rows / nullif(max(s.n_rows) over (), 0) as share,
       p.newest, p.low, p.high, m.merged, m.period, p.reference, p.degraded, a.alarms, a.columns
from size s left join perf p using (segment) left join merged m using (segment) left join alarm a using (segment) order by segment <> '*', s.n_rows desc, segment

-- Merged windows where the monitor declares weeks, months or quarters, else each window.
-- name: performance
with big as ({{ten}}), period as (
  select segment, greatest(window_start, $__timeFrom()::timestamptz) as time, value from monitoring.rollup_performance_current
  where monitor = '$monitor' and model_version = {{version}} and metric = {{metric}} and kind = 'realized' and mature
    and window_size = {{shortest_rollup}} and {{touches_range}}
  union all
  select segment, window_start, value from monitoring.performance_current
  where {{this_version}} and metric = {{metric}} and kind = 'realized' and mature and {{shortest_rollup}} is null)
select time, rank || ' ' || segment as metric, value from period join big using (segment) order by 1, 2

-- name: verdicts
select window_start as time, segment as metric, max(array_position(array['abstained', 'quiet', 'notice', 'alarm'], status)) as value
from monitoring.window_verdict_current
where {{this_version}} and kind = 'performance' group by 1, 2 order by 1, 2

-- name: drift
with big as (select segment from ({{size}}) s order by n_rows desc, segment limit 50), cell as (
  select window_end, segment, count(*) filter (where status = 'alarm') + 0.3 * count(*) filter (where status = 'notice') as n
  from monitoring.column_verdict_current where {{this_version}} group by 1, 2)
select window_end as time, segment as metric, n as value from cell join big using (segment) order by 1, 2

-- name: sizes
with big as ({{ten}})
select s.window_start as time, big.rank || ' ' || s.segment as metric,
       s.n_rows / nullif((select w.n_rows from monitoring.segment_window_current w where w.monitor = s.monitor
                          and w.model_version = s.model_version and w.window_start = s.window_start and w.segment = '*'), 0)::float8 as value
from monitoring.segment_window_current s join big using (segment) where {{this_version}} and segment <> '*' order by 1, 2

-- Row `*` of a protected column: the largest difference between any two groups.
-- name: gaps
select window_start, protected_column, metric, value, ci_low, ci_high, threshold, violated, mature, detail
from monitoring.fairness_current
where {{this_version}} and group_name = '*' and value is not null and metric ~ '_(difference|ratio)(\[|$)'

-- name: fairness
select protected_column, metric, (array_agg(value order by window_start desc) filter (where mature))[1] as newest,
       (array_agg(ci_low order by window_start desc) filter (where mature))[1] as low,
       (array_agg(ci_high order by window_start desc) filter (where mature))[1] as high,
       (array_agg(threshold order by window_start desc))[1] as threshold, count(*) filter (where violated) as violated,
       (array_agg(detail order by window_start desc) filter (where mature))[1] as groups
from ({{gaps}}) g group by 1, 2 order by violated desc, 1, 2

-- name: fairness_lines
with named as (select window_start, protected_column || ': ' || metric as name, value from ({{gaps}}) g
               where mature and metric ~ '_difference$'),
ten as (select name, chr(9311 + row_number() over (order by avg(abs(value)) desc, name)::integer) as rank from named
        group by 1 order by avg(abs(value)) desc, name limit 10)
select window_start as time, rank || ' ' || name as metric, value from named join ten using (name) order by 1, 2
