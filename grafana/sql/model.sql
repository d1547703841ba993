-- Model: how well does it predict, what moved, and what came of it?

-- name: newest_realized
monitoring.performance_current where {{here}} and metric = {{metric}} and kind = 'realized' and mature and value is not null
  and {{in_range}} order by window_start desc limit 1

-- name: newest_metric
select value from {{newest_realized}}

-- name: better
coalesce((select case when c.higher_is_better then 1 when not c.higher_is_better then -1 end from monitoring.metric_catalog c
          where c.family = 'performance' and c.metric = regexp_replace(split_part({{metric}}, '[', 1), '_(macro|weighted)', '')), 1)

-- name: margin
select to_char(100 * {{better}} * (value - coalesce(threshold, reference_value)) / nullif(abs(coalesce(threshold, reference_value)), 0),
               'FMSG9990.0 %') || case when degraded then ' ▼' else '' end as margin from {{newest_realized}}

-- name: mature_until
select window_end from {{newest_realized}}

-- name: n_drifted
select n_drifted || ' of ' || n_judged as n from monitoring.window_summary_current
where monitor = '$monitor' and model_version = {{version}} and window_start = {{newest_window}}

-- name: n_open
select count(*) from monitoring.incident_current where {{this_monitor}} and state = 'open'

-- name: n_violated
select n_violated from monitoring.window_summary_current
where monitor = '$monitor' and model_version = {{version}} and window_start = {{newest_window}}

-- name: realized
select window_start as time, case when mature and degraded is not true then value end as fine,
       case when mature and degraded then value end as degraded, case when not mature then value end as provisional,
       ci_high as high, ci_low as low, threshold, case when threshold is null then reference_value end as reference
from monitoring.performance_current
where {{here}} and metric = {{metric}} and kind = 'realized' and {{in_range}} order by 1

-- Windows merged, not their mean: a mean of daily AUCs is not the AUC of their rows. A step as long as what was merged; a
-- null ends it where the next does not follow.
-- name: merged
with period as (
  select greatest(window_start, $__timeFrom()::timestamptz) as begins, least(window_end, $__timeTo()::timestamptz) as ends, value
  from monitoring.rollup_performance_current
  where {{here}} and metric = {{metric}} and kind = 'realized' and mature and value is not null and window_size = {{shortest_rollup}}
    and {{touches_range}}
), last as (select * from period where ends not in (select begins from period))
select begins as time, value as merged from period
union all select ends - interval '1 second', value from last
union all select ends, null from last order by 1

-- name: estimated
select window_start as time, value as estimated from monitoring.performance_current
where {{here}} and metric = {{metric}} and kind = 'estimated' and {{in_range}} order by 1

-- One row a kind: the worst verdict of the window, of all rows and the segment. A state must be a number to be a series.
-- name: verdicts
select time, kind as metric, rank as value from (
  select window_start as time, kind, max(array_position(array['abstained', 'quiet', 'notice', 'alarm'], status)) as rank
  from monitoring.window_verdict_current
  where {{this_monitor}} and model_version in ('', {{version}}) and segment in ('*', {{segment}}) and {{in_range}} group by 1, 2
  union all
  select window_start, 'drift', case when n_drifted > 0 then 4 when n_judged > 0 then 2 else 1 end
  from monitoring.window_summary_current
  where monitor = '$monitor' and model_version = {{version}} and {{in_range}}
) v order by 1, 2

-- In limits: 1 is the effect, or the evidence, from which a column is called drifted; at most 50 columns, the most moved.
-- name: heat_values
select window_end, window_start, column_name, role, status, effect, moved,
       case '$shade' when 'effect' then abs(effect) / 0.15
                     when 'evidence' then log(greatest(q_value, 1e-30)) / nullif(log(level), 0)
                     else case status when 'alarm' then 5 when 'notice' then 1.5 when 'quiet' then 0 end end as shade
from monitoring.column_verdict_current where {{here}} and {{in_range}}

-- name: heat
with cell as ({{heat_values}}), worst as (
  select column_name from cell group by 1 order by sum(shade) desc nulls last, column_name limit 50)
select window_end as time, case role when 'feature' then column_name else '▸ ' || column_name end as metric, shade as value
from cell join worst using (column_name) order by 1, 2

-- name: method_heat
with cell as (
  select window_end, column_name, role, coalesce(effect, value) / nullif(threshold, 0) as times, value from monitoring.drift_current
  where {{here}} and baseline = {{baseline}} and method = {{method}} and column_name <> '*' and {{in_range}}
), worst as (select column_name from cell group by 1 order by sum(value) desc nulls last, column_name limit 50)
select window_end as time, case role when 'feature' then column_name else '▸ ' || column_name end as metric, value
from cell join worst using (column_name) order by 1, 2

-- name: columns
select column_name, replace(column_name, '$', '＄') as key, count(*) filter (where status = 'alarm') as alarms,
       count(*) filter (where status = 'notice') as notices, (array_agg(effect order by window_start desc))[1] as newest,
       (array_agg(effect order by abs(effect) desc nulls last))[1] as peak,
       (array_agg(window_start order by abs(effect) desc nulls last))[1] as peak_at,
       (array_agg(moved order by abs(effect) desc nulls last))[1] as moved
from monitoring.column_verdict_current where {{here}} and {{in_range}}
group by 1 order by 3 desc, 4 desc, abs((array_agg(effect order by abs(effect) desc nulls last))[1]) desc nulls last

-- name: incidents
select state, severity, incident_id, first_window, n_windows, split_part(summary, ' To do: ', 1) as summary,
       round(extract(epoch from first_window - interval '21 days') * 1000) as from_ms,
       round(extract(epoch from least(now(), last_window + interval '10 days')) * 1000) as to_ms
from monitoring.incident_current where {{this_monitor}} and {{incident_in_range}}
order by state <> 'open', first_window desc

-- name: scores
with shape as (
  select column_name, role, kind, layout_id, bin_counts, edges, categories from monitoring.reference_profile_current
  where monitor = '$monitor' and role in ('score', 'prediction') and segment = '*'
  order by model_version = {{version}} desc, role desc, column_name limit 1
), bins as ({{bins}}
), recent as (
  select b.n, sum(b.rows) as rows from shape s
  join monitoring.column_profile_current p on p.monitor = '$monitor' and p.model_version = {{version}} and p.layout_id = s.layout_id
    and p.segment = {{segment}} and p.column_name = s.column_name and p.role = s.role
    and p.window_start > {{newest_window}} - interval '7 days' and p.window_start < $__timeTo()::timestamptz
  cross join unnest(p.bin_counts) with ordinality b (rows, n) group by 1
)
select bin, reference / nullif(sum(reference) over (), 0) as reference, rows / nullif(sum(rows) over (), 0) as recent
from bins left join recent using (n) where reference > 0 or rows > 0 {{bin_order}}

-- name: labels
select s.window_start as time, s.coverage as labelled, m.label_coverage as wanted
from monitoring.window_summary_current s join monitoring.monitor_current m using (monitor)
where s.monitor = '$monitor' and s.model_version = {{version}} and m.has_ground_truth and {{in_range}} order by 1

-- name: reports
select {{report_columns}}
where {{this_monitor}} and window_end > $__timeFrom()::timestamptz and window_start < $__timeTo()::timestamptz
order by window_start desc limit 100
