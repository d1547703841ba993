-- When was a model retrained, why, what came of it, and was the new one better?
select d.monitor, d.as_of, d.trigger, d.reason, d.challenger_version, d.outcome, a.reason as why, a.error, v.n_rows,
       v.duration_seconds, v.training_metrics
from monitoring.retrain_decision_current d
left join lateral (
  select * from monitoring.retrain_attempt_current a where a.decision_id = d.decision_id order by a.attempt_id desc limit 1) a on true
left join monitoring.model_version_current v on v.monitor = d.monitor and v.model_version = d.challenger_version
where d.decision = 'retrain'
order by d.as_of desc, d.monitor
limit 50;
