-- In windows where the model degraded, which columns had drifted?
select p.monitor, p.window_start, p.metric, p.value, p.threshold,
       string_agg(distinct d.column_name, ', ' order by d.column_name) as drifted_columns
from monitoring.performance_current p
join monitoring.drift_current d
  using (monitor, model_version, window_start, window_end, segment)
where p.degraded and p.kind = 'realized' and p.segment = '*' and d.drifted and d.baseline = 'training'
group by p.monitor, p.window_start, p.metric, p.value, p.threshold
order by p.window_start, p.monitor, p.metric
limit 50;
