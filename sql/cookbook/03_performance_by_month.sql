-- How did the model perform month by month, weighting each window by its labels?
select monitor, model_version, metric, date_trunc('month', window_start, 'UTC') as month,
       sum(value * n_labelled) / nullif(sum(n_labelled), 0) as value,
       sum(n_labelled) as n_labelled, count(*) as windows
from monitoring.performance_current
where kind = 'realized' and segment = '*' and value is not null
  and metric in ('roc_auc', 'f1', 'accuracy', 'brier', 'log_loss', 'mae', 'rmse', 'bias')
group by monitor, model_version, metric, month
order by monitor, metric, month, model_version;
