-- In which segments does the model perform worst, given enough labels?
-- Metrics that are means over labels, so that windows add up; AUC and F1 of a segment over longer time: `rollup_performance_current`.
select monitor, model_version, metric, segment, sum(value * n_labelled) / sum(n_labelled) as value,
       sum(n_labelled) as n_labelled, count(*) as windows
from monitoring.performance_current
where kind = 'realized' and metric in ('accuracy', 'brier', 'mae') and value is not null
group by monitor, model_version, metric, segment
having sum(n_labelled) >= 30
order by monitor, metric, case when metric = 'accuracy' then 1 else -1 end * sum(value * n_labelled) / sum(n_labelled)
limit 30;
