-- Calibrated verdicts on performance, volume and coverage.

create or replace view monitoring.window_verdict_current as
select v.monitor, v.window_start, v.window_end, v.kind, v.model_version, v.segment, v.subject, v.status, v.contrast, v.horizon,
       v.effect, v.p_value, v.q_value, v.value, v.expected, v.source as threshold_source, v.reason, v.cause,
       j.config_version, j.policy_version, j.code_version, j.run_id, j.judged_at
from monitoring.window_verdict v
join monitoring.judgement j using (judgement_id);
comment on view monitoring.window_verdict_current is
  'Calibrated verdicts on performance, volume and coverage: one row per window, kind, model version, segment and subject.';
