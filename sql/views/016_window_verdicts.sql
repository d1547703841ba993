-- Calibrated verdicts on performance, volume, coverage and freshness.

create or replace view monitoring.window_verdict_current as
select v.monitor, v.window_start, v.window_end, v.kind, v.model_version, v.segment, v.subject, v.status, v.contrast, v.horizon,
       v.effect, v.p_value, v.q_value, v.value, v.expected, v.source as threshold_source, v.reason, v.cause, v.mature, v.clock,
       j.config_version, j.policy_version, j.code_version, j.run_id, j.judged_at
from monitoring.window_verdict v
join monitoring.judgement j using (judgement_id);
comment on view monitoring.window_verdict_current is
  'Calibrated verdicts on performance, volume, coverage and freshness: one row per window, kind, model version, segment and subject.';
comment on column monitoring.window_verdict_current.kind is 'performance, volume, coverage or freshness.';
comment on column monitoring.window_verdict_current.value is 'Rows, labelled share, or seconds from its end until rows came, of the window.';
comment on column monitoring.window_verdict_current.expected is 'The same as expected from earlier windows.';
comment on column monitoring.window_verdict_current.reason is 'Why it is not judged, or why an alarm is only a notice.';
comment on column monitoring.window_verdict_current.mature is
  'Performance: whether the labels are complete, or missing ones cannot move the rarer class by more than a tenth.';
comment on column monitoring.window_verdict_current.clock is 'Freshness: the moment it is judged at: when rows came, or while none had.';
