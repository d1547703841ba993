-- Data quality and ingestion: did the rows arrive, and can they be used?

-- name: n_received
select sum(n_received) from monitoring.ingestion_current where {{this_monitor}} and {{in_range}}

-- name: quarantined_share
select sum(n_quarantined)::float8 / nullif(sum(n_received), 0) from monitoring.ingestion_current where {{this_monitor}} and {{in_range}}

-- name: duplicate_share
select sum(n_duplicates)::float8 / nullif(sum(n_received), 0) from monitoring.ingestion_current where {{this_monitor}} and {{in_range}}

-- name: n_violated
select n_violated from monitoring.window_summary_current
where monitor = '$monitor' and model_version = {{version}} and {{in_range}} order by window_start desc limit 1

-- name: coverage
select sum(s.n_labelled)::float8 / nullif(sum(s.n_predictions), 0) from monitoring.window_summary_current s
join monitoring.monitor_current m using (monitor) where s.monitor = '$monitor' and m.has_ground_truth and {{in_range}}

-- name: n_unknown
select n_unknown from monitoring.label_batch_current where {{this_monitor}}

-- name: volume
select p.window_start as time, p.n_rows as rows, v.expected, case when v.status = 'alarm' then p.n_rows end as alarm
from monitoring.ingestion_current p
left join monitoring.window_verdict_current v
  on v.monitor = p.monitor and v.window_start = p.window_start and v.kind = 'volume' and v.segment = '*'
where p.monitor = '$monitor' and p.window_start >= $__timeFrom()::timestamptz and p.window_start < $__timeTo()::timestamptz order by 1

-- name: set_aside
select window_start as time, n_quarantined::float8 / nullif(n_received, 0) as quarantined,
       n_duplicates::float8 / nullif(n_received, 0) as duplicate
from monitoring.ingestion_current where {{this_monitor}} and {{in_range}} order by 1

-- name: violations
with checked as materialized (
  select window_start, column_name, metric, value, threshold, threshold_source, violated, detail
  from monitoring.quality_current where {{whole}} and {{in_range}} and threshold is not null
), bad as (
  select column_name, metric, count(*) as windows, max(window_start) as last_at from checked where violated group by 1, 2
), newest as (
  select distinct on (column_name, metric) column_name, metric, value, threshold, threshold_source
  from checked join bad using (column_name, metric) order by 1, 2, window_start desc
)
select b.column_name, replace(b.column_name, '$', '＄') as key, b.metric, b.windows, n.value as newest, n.threshold,
       n.threshold_source as source, b.last_at, c.detail
from bad b join newest n using (column_name, metric)
join checked c on c.column_name = b.column_name and c.metric = b.metric and c.window_start = b.last_at
order by 4 desc, 1, 3

-- name: violated_grid
with cell as (
  select window_end, column_name, count(*) filter (where violated) as n from monitoring.quality_current
  where {{whole}} and {{in_range}} and threshold is not null group by 1, 2
), worst as (select column_name from cell group by 1 having sum(n) > 0 order by sum(n) desc, 1 limit 50)
select window_end as time, case column_name when '*' then '▸ whole rows' else column_name end as metric, n as value
from cell join worst using (column_name) order by 1, 2

-- name: missing
with of_column as (
  select window_start, column_name, value, reference_value from monitoring.quality_current
  where {{whole}} and {{in_range}} and metric = 'missing_share' and value is not null
), most as (
  select column_name, chr(9311 + row_number() over (order by max(abs(value - coalesce(reference_value, 0))) desc, column_name)::integer) as rank
  from of_column group by 1 having max(value) > 0 order by max(abs(value - coalesce(reference_value, 0))) desc, 1 limit 8)
select window_start as time, rank || ' ' || column_name as metric, value from of_column join most using (column_name) order by 1, 2

-- name: coverage_over_time
select p.window_start as time, sum(s.n_labelled)::float8 / nullif(max(p.n_rows), 0) as labelled,
       max(v.expected) as expected, case when bool_or(v.status = 'alarm') then sum(s.n_labelled)::float8 / nullif(max(p.n_rows), 0) end as alarm
from monitoring.ingestion_current p
join monitoring.monitor_current m on m.monitor = p.monitor and m.has_ground_truth
join monitoring.window_summary_current s on s.monitor = p.monitor and s.window_start = p.window_start
left join monitoring.window_verdict_current v
  on v.monitor = p.monitor and v.window_start = p.window_start and v.kind = 'coverage' and v.segment = '*'
where p.monitor = '$monitor' and p.window_start >= $__timeFrom()::timestamptz and p.window_start < $__timeTo()::timestamptz
group by 1 order by 1

-- name: intake
select window_start, n_received, n_rows, n_duplicates, n_quarantined, quarantine, model_versions, ingested_at, run_id
from monitoring.ingestion_current where {{this_monitor}} and {{in_range}} order by window_start desc limit 400

-- name: parity
with of_column as (
  select window_start, column_name, differing_share from monitoring.parity_current
  where {{this_monitor}} and {{in_range}} and differing_share is not null
), most as (
  select column_name, chr(9311 + row_number() over (order by column_name <> '*', max(differing_share) desc, column_name)::integer) as rank
  from of_column group by 1 order by column_name <> '*', max(differing_share) desc, 1 limit 8)
select window_start as time, rank || ' ' || case column_name when '*' then 'any feature' else column_name end as metric,
       differing_share as value
from of_column join most using (column_name) order by 1, 2

-- name: parity_now
with newest as (select max(window_start) as at from monitoring.parity_current where {{this_monitor}} and {{in_range}} and n_compared > 0)
select case column_name when '*' then '▸ any feature' else column_name end as column_name, n_compared, n_differing, differing_share,
       n_unmatched, example, window_start
from monitoring.parity_current join newest on window_start = at where {{this_monitor}}
order by column_name <> '*', 4 desc nulls last, 1
