-- Column: what moved in one column, when, against what, in which segments?

-- name: of_column
monitor = '$monitor' and model_version = {{version}} and column_name = {{column}} and {{in_range}}

-- name: here_column
{{of_column}} and segment = {{segment}}

-- name: newest
monitoring.column_verdict_current where {{here_column}} order by window_start desc limit 1

-- name: newest_status
select array_position(array['abstained', 'quiet', 'notice', 'alarm'], status)::text as status from {{newest}}

-- name: newest_effect
select effect from {{newest}}

-- name: newest_moved
select coalesce(moved, 'nothing beyond the floor') as moved from {{newest}}

-- name: newest_q
select q_value from {{newest}}

-- name: newest_n
select n_current from {{newest}}

-- name: importance
select importance from {{newest}}

-- name: distribution
with shape as (
  select column_name, role, kind, layout_id, bin_counts, edges, categories from monitoring.reference_profile_current
  where monitor = '$monitor' and column_name = {{column}}
  order by model_version = {{version}} desc, segment = {{segment}} desc, segment = '*' desc limit 1
), bins as ({{bins}}
), seen as (
  select b.n, sum(b.rows) as rows, sum(b.rows) filter (where p.window_start > {{newest_window}} - interval '7 days') as recent from shape s
  join monitoring.column_profile_current p on p.monitor = '$monitor' and p.model_version = {{version}} and p.layout_id = s.layout_id
    and p.segment = {{segment}} and p.column_name = s.column_name and p.role = s.role
    and p.window_start >= $__timeFrom()::timestamptz and p.window_start < $__timeTo()::timestamptz
  cross join unnest(p.bin_counts) with ordinality b (rows, n) group by 1
)
select bin, reference / nullif(sum(reference) over (), 0) as reference, rows / nullif(sum(rows) over (), 0) as seen,
       recent / nullif(sum(recent) over (), 0) as recent
from bins left join seen using (n) where reference > 0 or rows > 0 {{bin_order}}

-- name: effect
select window_start as time, effect, case when status in ('quiet', 'abstained') then effect end as quiet,
       case when status = 'notice' then effect end as notice, case when status = 'alarm' then effect end as alarm
from monitoring.column_verdict_current where {{here_column}} order by 1

-- name: value_by_baseline
select window_start as time, baseline as metric, value from monitoring.drift_current
where {{here_column}} and method = {{method}} order by 1, 2

-- name: p_by_baseline
select window_start as time, baseline as metric, greatest(p_value, 1e-12) as value from monitoring.drift_current
where {{here_column}} and method = {{method}} and p_value is not null order by 1, 2

-- name: q_over_time
select window_start as time, greatest(q_value, 1e-12) as "q-value", level as "level" from monitoring.column_verdict_current
where {{here_column}} order by 1

-- name: moments
select time, mean, mean - sd as low, mean + sd as high, reference from (
  select p.window_start as time, p.mean, sqrt(p.m2 / nullif(p.n - p.n_missing - p.n_nan - p.n_inf, 0)) as sd,
         (select r.mean from monitoring.reference_profile_current r
          where r.monitor = '$monitor' and r.column_name = {{column}} and r.role = p.role
          order by r.model_version = {{version}} desc, r.segment = {{segment}} desc, r.segment = '*' desc limit 1) as reference
  from monitoring.column_profile_current p where {{here_column}} and p.kind = 'numerical'
) m order by 1

-- name: shares
select window_start as time, metric, value from monitoring.quality_current
where {{here_column}} and metric in ('missing_share', 'unseen_share', 'out_of_range_share', 'nan_share') and value is not null
order by 1, 2

-- name: segments
select segment, replace(segment, '$', '＄') as key, sum(n_current) as n, count(*) filter (where status = 'alarm') as alarms,
       count(*) filter (where status = 'notice') as notices, (array_agg(effect order by window_start desc))[1] as newest,
       (array_agg(effect order by abs(effect) desc nulls last))[1] as peak,
       (array_agg(window_start order by abs(effect) desc nulls last))[1] as peak_at,
       (array_agg(moved order by abs(effect) desc nulls last))[1] as moved
from monitoring.column_verdict_current where {{of_column}} group by 1 order by segment <> '*', 4 desc, 3 desc

-- The ten largest; * among them.
-- name: effect_by_segment
with big as (
  select segment, chr(9311 + row_number() over (order by sum(n_rows) desc, segment)::integer) as rank
  from monitoring.segment_window_current where monitor = '$monitor' and model_version = {{version}} and {{in_range}}
  group by 1 order by sum(n_rows) desc, segment limit 10)
select window_start as time, rank || ' ' || segment as metric, effect as value from monitoring.column_verdict_current join big using (segment)
where {{of_column}} order by 1, 2
