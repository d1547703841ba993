-- When was a model retrained or not, why, and was the new one better?
select d.monitor, d.decided_at, d.trigger, d.decision, d.reason, d.challenger_version, d.outcome, v.training_metrics
from monitoring.retrain_decision_current d
left join monitoring.model_version_current v on v.monitor = d.monitor and v.model_version = d.challenger_version
order by d.decided_at desc, d.monitor
limit 50;
