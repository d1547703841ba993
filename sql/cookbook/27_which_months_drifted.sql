-- Which weeks and months drifted, and did the model suffer in them?
-- Whole rollups (`rollups:` of the monitor), the newest first: how many columns alarm, the largest change among them, and the
-- headline metric of each model version with its interval.
with moved as (
  select monitor, window_size, window_end, count(distinct column_name) as drifted_columns,
         (array_agg(column_name || ': ' || moved order by abs(effect) desc nulls last, column_name))[1] as largest_change
  from monitoring.rollup_verdict_current
  where kind = 'drift' and segment = '*' and status = 'alarm'
  group by monitor, window_size, window_end
)
select r.monitor, r.window_size, r.window_start, r.n_rows, coalesce(d.drifted_columns, 0) as drifted_columns, d.largest_change,
       p.model_version, p.metric, p.value, p.ci_low, p.ci_high, p.coverage
from monitoring.rollup_current r
join monitoring.monitor_current m on m.monitor = r.monitor
left join moved d on d.monitor = r.monitor and d.window_size = r.window_size and d.window_end = r.window_end
left join monitoring.rollup_performance_current p
  on p.monitor = r.monitor and p.window_size = r.window_size and p.window_end = r.window_end and p.segment = '*'
 and p.metric = m.headline_metric
where r.window_size in ('week', 'month') and not r.partial
order by r.monitor, r.window_size, r.window_start desc, p.model_version;
