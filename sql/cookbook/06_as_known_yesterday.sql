-- Which performance values were known a day ago, beside the values of today?
select h.monitor, h.model_version, h.window_start, h.metric, h.value as known_then, c.value as known_now, c.n_labelled
from monitoring.performance_history h
left join monitoring.performance_current c
  using (monitor, model_version, window_start, window_end, segment, metric, kind)
where h.segment = '*' and h.kind = 'realized'
  and h.as_known_at <= now() - interval '1 day' and (h.superseded_at is null or h.superseded_at > now() - interval '1 day')
order by h.window_start desc, h.monitor, h.metric
limit 50;
