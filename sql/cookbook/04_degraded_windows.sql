-- Which final metrics are worse than their threshold, even at the good end of their interval?
select monitor, model_version, window_start, metric, value, ci_low, ci_high, threshold, n_labelled, coverage
from monitoring.performance_current
where degraded and mature and segment = '*' and kind = 'realized'
  and (threshold < ci_low or threshold > ci_high)
order by window_start desc, monitor, metric
limit 50;
