-- What did it cost us?
-- Each incident beside the realized performance of its windows and of the reference, in metrics that are means over labels.
select i.monitor, i.incident_id, i.change, i.first_window, i.last_window, p.metric,
       sum(p.value * p.n_labelled) / nullif(sum(p.n_labelled), 0) as during,
       sum(p.reference_value * p.n_labelled) / nullif(sum(p.n_labelled), 0) as in_the_reference,
       sum(p.n_labelled) as outcomes
from monitoring.incident_current i
join monitoring.performance_current p
  on p.monitor = i.monitor and p.window_start between i.first_window and i.last_window
 and p.segment = '*' and p.kind = 'realized' and p.metric in ('accuracy', 'brier', 'log_loss', 'mae')
where i.state <> 'retracted' and p.value is not null
group by i.monitor, i.incident_id, i.change, i.first_window, i.last_window, p.metric
order by i.monitor, i.first_window, p.metric;
