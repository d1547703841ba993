-- How did the model perform month by month?
-- What is a mean over labels adds up: windows are weighted by their labels. AUC and F1 do not: no mean of days is that of their month.
-- They come from merged profiles, where the monitor declares `rollups: [month]`.
select monitor, model_version, metric, date_trunc('month', window_start, 'UTC') as month,
       case when metric = 'rmse' then sqrt(sum(value ^ 2 * n_labelled) / nullif(sum(n_labelled), 0))
            else sum(value * n_labelled) / nullif(sum(n_labelled), 0) end as value,
       sum(n_labelled) as n_labelled, count(*) as windows
from monitoring.performance_current
where kind = 'realized' and segment = '*' and value is not null
  and metric in ('accuracy', 'brier', 'log_loss', 'mae', 'rmse', 'bias')
group by monitor, model_version, metric, month
union all
select monitor, model_version, metric, window_start, value, n_labelled, n_windows
from monitoring.rollup_performance_current
where window_size = 'month' and segment = '*' and value is not null and metric in ('roc_auc', 'roc_auc_macro', 'f1', 'f1_macro')
order by monitor, metric, month, model_version;
