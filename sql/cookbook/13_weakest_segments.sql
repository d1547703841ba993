-- In which segments does the model perform worst, given enough labels?
select monitor, model_version, metric, segment, avg(value) as value, sum(n_labelled) as n_labelled, count(*) as windows
from monitoring.performance_current
where kind = 'realized' and metric in ('roc_auc', 'f1', 'accuracy', 'mae') and value is not null
group by monitor, model_version, metric, segment
having sum(n_labelled) >= 30
order by monitor, metric, case when metric = 'mae' then -avg(value) else avg(value) end
limit 30;
