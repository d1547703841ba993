-- Rollups: the views of base windows with window_size, partial and n_windows. No view of base windows holds these rows.

create or replace view monitoring.rollup_current as
select monitor, window_size, window_start, window_end, partial, n_windows, n_rows, computed_at, run_id, code_version, config_version,
       policy_version
from monitoring.rollup;
comment on view monitoring.rollup_current is 'Longer windows merged from stored profiles: one row per week, month, quarter or number of rows.';

create or replace view monitoring.rollup_drift_current as
select r.monitor, m.model_version, r.window_size, r.window_start, r.window_end, r.partial, r.n_windows, m.baseline, m.segment,
       u.column_name, u.role, u.method, nullif(u.value, 'NaN') as value, nullif(u.threshold, 'NaN') as threshold,
       u.source as threshold_source, nullif(u.p_value, 'NaN') as p_value, nullif(u.effect, 'NaN') as effect,
       nullif(u.error_bound, 'NaN') as error_bound, u.flagged as drifted, u.n_reference, u.n as n_current, r.computed_at, r.run_id,
       r.code_version, r.config_version, r.policy_version
from monitoring.rollup_measurement m
join monitoring.rollup r using (monitor, window_size, window_end)
join monitoring.metric_keys k using (metric_keys_id)
cross join lateral unnest(k.column_names, k.roles, k.metrics, m.value, m.p_value, m.effect, m.error_bound, m.n_reference, m.n,
                          m.thresholds, m.sources, m.flagged)
  u (column_name, role, method, value, p_value, effect, error_bound, n_reference, n, threshold, source, flagged)
where m.family = 'drift';
comment on view monitoring.rollup_drift_current is
  'Drift of each column of a rollup from training and from the rollup before: one row per rollup, column, baseline and method.';
comment on column monitoring.rollup_drift_current.baseline is 'training (the reference) or previous (the rollup before).';

create or replace view monitoring.rollup_quality_current as
select r.monitor, m.model_version, r.window_size, r.window_start, r.window_end, r.partial, r.n_windows, m.segment, u.column_name, u.metric,
       nullif(u.value, 'NaN') as value, nullif(u.threshold, 'NaN') as threshold, u.source as threshold_source, u.flagged as violated,
       u.n, u.detail, nullif(u.reference_value, 'NaN') as reference_value, r.computed_at, r.run_id, r.code_version, r.config_version,
       r.policy_version
from monitoring.rollup_measurement m
join monitoring.rollup r using (monitor, window_size, window_end)
join monitoring.metric_keys k using (metric_keys_id)
cross join lateral unnest(k.column_names, k.metrics, m.value, m.n, m.reference_value, m.detail, m.thresholds, m.sources, m.flagged)
  u (column_name, metric, value, n, reference_value, detail, threshold, source, flagged)
where m.family = 'quality';
comment on view monitoring.rollup_quality_current is 'Data-quality metrics of rollups: one row per rollup, column and metric.';

create or replace view monitoring.rollup_performance_current as
select r.monitor, m.model_version, r.window_size, r.window_start, r.window_end, r.partial, r.n_windows, m.segment, u.metric,
       m.family as kind, nullif(u.value, 'NaN') as value, nullif(u.ci_low, 'NaN') as ci_low, nullif(u.ci_high, 'NaN') as ci_high,
       nullif(u.threshold, 'NaN') as threshold, u.source as threshold_source, u.flagged as degraded, m.n_predictions,
       u.n as n_labelled, m.n_labelled::double precision / nullif(m.n_predictions, 0) as coverage, m.mature,
       nullif(u.reference_value, 'NaN') as reference_value, r.computed_at as as_known_at, r.computed_at, r.run_id, r.code_version,
       r.config_version, r.policy_version
from monitoring.rollup_measurement m
join monitoring.rollup r using (monitor, window_size, window_end)
join monitoring.metric_keys k using (metric_keys_id)
cross join lateral unnest(k.metrics, m.value, m.ci_low, m.ci_high, m.n, m.reference_value, m.thresholds, m.sources, m.flagged)
  u (metric, value, ci_low, ci_high, n, reference_value, threshold, source, flagged)
where m.family = 'realized';
comment on view monitoring.rollup_performance_current is 'Performance metrics of rollups: one row per rollup and metric.';

create or replace view monitoring.rollup_verdict_current as
select r.monitor, v.model_version, r.window_size, r.window_start, r.window_end, r.partial, r.n_windows, v.kind, v.segment, u.column_name,
       u.role, case when v.kind = 'performance' then u.subject end as subject, u.status,
       case u.status when 'alarm' then true when 'quiet' then false end as flagged, u.reason, u.moved,
       nullif(u.effect, 'NaN') as effect, nullif(u.p_value, 'NaN') as p_value, nullif(u.q_value, 'NaN') as q_value, v.level,
       u.source as threshold_source, r.computed_at as judged_at, r.run_id, r.code_version, r.config_version, r.policy_version
from monitoring.rollup_verdict v
join monitoring.rollup r using (monitor, window_size, window_end)
join monitoring.metric_keys k using (metric_keys_id)
cross join lateral unnest(k.column_names, k.roles, k.metrics, v.status, v.moved, v.p_value, v.q_value, v.effect, v.sources, v.reasons)
  u (column_name, role, subject, status, moved, p_value, q_value, effect, source, reason);
comment on view monitoring.rollup_verdict_current is
  'Calibrated verdicts on rollups: one row per rollup, kind, segment and column or subject. They open no incidents.';
comment on column monitoring.rollup_verdict_current.kind is 'drift or performance.';
comment on column monitoring.rollup_verdict_current.flagged is 'Whether it alarms; null when it was not judged.';
comment on column monitoring.rollup_verdict_current.reason is 'Why it was not judged; null when it was.';
comment on column monitoring.rollup_verdict_current.moved is
  'What moved most: location, spread, shape, outside, missing, unseen or category X; of performance auc, level, slope, bias, scale or error.';
