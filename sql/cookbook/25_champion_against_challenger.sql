-- Champion against challenger: by how much did they differ, on which rows, and what followed?
select c.monitor, c.challenger_version, c.champion_version, c.guard, c.segment, c.metric, c.challenger_value,
       c.champion_value, c.difference as gain, c.ci_low, c.ci_high, c.level, c.delta as margin, c.verdict,
       c.rows_from, c.rows_to, c.n as rows, c.n_blocks as days, c.labels_known_at, a.state as outcome, a.reason
from monitoring.model_comparison_current c
join monitoring.retrain_attempt_current a using (monitor, attempt_id)
order by c.monitor, c.attempt_id desc, c.guard not in ('headline', 'shadow'), c.ci_high
limit 50;
