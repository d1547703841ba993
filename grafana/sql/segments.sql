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

-- name: worst
with p as (
  select segment, sum(value * n_labelled) / nullif(sum(n_labelled), 0) as mean from monitoring.performance_current
  where {{this_version}} and metric = {{metric}} and kind = 'realized' and mature and segment <> '*' group by 1)
select segment from p where mean is not null
order by mean * case when (select c.higher_is_better is false from monitoring.metric_catalog c
                           where c.family = 'performance' and c.metric = regexp_replace({{metric}}, '_(macro|weighted)', '')) then -1 else 1 end
limit 1

-- name: n_alarms
select count(*) from monitoring.column_verdict_current where {{this_version}} and segment <> '*' and status = 'alarm'

-- name: table
with size as ({{size}}), perf as (
  select segment, sum(value * n_labelled) filter (where mature) / nullif(sum(n_labelled) filter (where mature and value is not null), 0) as mean,
         (array_agg(value order by window_start desc) filter (where mature and value is not null))[1] as newest,
         (array_agg(ci_low order by window_start desc) filter (where mature and value is not null))[1] as low,
         (array_agg(ci_high order by window_start desc) filter (where mature and value is not null))[1] as high,
         (array_agg(reference_value order by window_start desc))[1] as reference, count(*) filter (where degraded) as degraded
  from monitoring.performance_current where {{this_version}} and metric = {{metric}} and kind = 'realized' group by 1
), alarm as (
  select segment, count(*) filter (where status = 'alarm') as alarms, count(distinct column_name) filter (where status = 'alarm') as columns
  from monitoring.column_verdict_current where {{this_version}} group by 1
)
select s.segment, replace(s.segment, '$', '＄') as key, s.n_rows, s.n_rows / nullif(max(s.n_rows) over (), 0) as share,
       p.newest, p.low, p.high, p.mean, p.reference, p.degraded, a.alarms, a.columns
from size s left join perf p using (segment) left join alarm a using (segment) order by segment <> '*', s.n_rows desc, segment

-- Each as the mean of seven windows weighted by labels.
-- name: performance
with big as ({{ten}})
select window_start as time, rank || ' ' || segment as metric, sum(value * n_labelled) over w / nullif(sum(n_labelled) over w, 0) as value
from monitoring.performance_current join big using (segment)
where {{this_version}} and metric = {{metric}} and kind = 'realized' and mature
window w as (partition by rank, segment order by window_start rows 6 preceding) order by 1, 2

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
