-- Measurements unnested, each with its verdict: one row per metric. Conditions on window, version, segment and baseline reach the
-- measurement's row before it is unfolded. Arrays hold NaN where a value is undefined; here it is null.
-- A null in an array stands for 0 (value), 1 (p_value), the value (ci_low, ci_high) or the first element (n, n_reference). Flags are two bits each:
-- judged, flagged.

create or replace view monitoring.drift_current as
select m.monitor, m.model_version, m.window_start, m.window_end, m.baseline, m.segment, u.column_name, u.role, u.method,
       nullif(coalesce(u.value, 0), 'NaN') as value, nullif(u.threshold, 'NaN') as threshold, coalesce(u.source, 'default') as threshold_source,
       nullif(case when m.p_value is not null then coalesce(u.p_value, 1) end, 'NaN') as p_value, nullif(u.effect, 'NaN') as effect, nullif(u.error_bound, 'NaN') as error_bound,
      
       case when get_bit(v.flags, 2 * u.position::int - 2) = 1 then get_bit(v.flags, 2 * u.position::int - 1) = 1 end as drifted, coalesce(u.n_reference, m.n_reference[1]) as n_reference,
       coalesce(u.n, m.n[1]) as n_current, c.data_version, c.label_batch, c.computed_at, c.run_id, c.code_version,
       c.config_version, m.as_known_at, j.policy_version, j.judged_at
from monitoring.measurement m
join monitoring.computation c using (computation_id)
join monitoring.metric_keys k using (metric_keys_id)
left join monitoring.verdict v on v.window_start = m.window_start and v.measurement_id = m.measurement_id
left join monitoring.threshold_set t on t.threshold_set_id = v.threshold_set_id
left join monitoring.judgement j on j.judgement_id = v.judgement_id
cross join lateral unnest(k.column_names, k.roles, k.metrics, m.value, m.p_value, m.effect, m.error_bound, m.n_reference, m.n,
                          t.thresholds, t.sources) with ordinality
  u (column_name, role, method, value, p_value, effect, error_bound, n_reference, n, threshold, source, position)
where m.family = 'drift' and m.superseded_at is null
union all
select m.monitor, m.model_version, m.window_start, m.window_end, m.baseline, m.segment, '*', 'feature', 'drifted_columns_share',
       v.share_value, v.share_threshold, v.share_source, null, null, null, v.share_flagged,
       v.share_n_reference, v.share_n_current, c.data_version, c.label_batch, c.computed_at,
       c.run_id, c.code_version, c.config_version, m.as_known_at, j.policy_version, j.judged_at
from monitoring.measurement m
join monitoring.computation c using (computation_id)
join monitoring.verdict v on v.window_start = m.window_start and v.measurement_id = m.measurement_id
join monitoring.judgement j on j.judgement_id = v.judgement_id
where m.family = 'drift' and m.superseded_at is null and v.share_source is not null;
comment on view monitoring.drift_current is 'Drift of each column from each baseline: one row per window, column, baseline and method.';

create or replace view monitoring.quality_current as
select m.monitor, m.model_version, m.window_start, m.window_end, m.segment, u.column_name, u.metric, nullif(coalesce(u.value, 0), 'NaN') as value,
       nullif(u.threshold, 'NaN') as threshold, coalesce(u.source, 'default') as threshold_source,
       case when get_bit(v.flags, 2 * u.position::int - 2) = 1 then get_bit(v.flags, 2 * u.position::int - 1) = 1 end as violated, coalesce(u.n, m.n[1]) as n, u.detail,
       c.data_version, c.label_batch, c.computed_at, c.run_id, c.code_version, c.config_version, m.as_known_at,
       nullif(u.reference_value, 'NaN') as reference_value, j.policy_version, j.judged_at
from monitoring.measurement m
join monitoring.computation c using (computation_id)
join monitoring.metric_keys k using (metric_keys_id)
left join monitoring.verdict v on v.window_start = m.window_start and v.measurement_id = m.measurement_id
left join monitoring.threshold_set t on t.threshold_set_id = v.threshold_set_id
left join monitoring.judgement j on j.judgement_id = v.judgement_id
left join monitoring.reference_values r on r.reference_values_id = m.reference_values_id
cross join lateral unnest(k.column_names, k.metrics, m.value, m.n, coalesce(r.reference_values, m.reference_value), m.detail, t.thresholds, t.sources) with ordinality
  u (column_name, metric, value, n, reference_value, detail, threshold, source, position)
where m.family = 'quality' and m.superseded_at is null;
comment on view monitoring.quality_current is 'Data-quality metrics: one row per window, column and metric.';

create or replace view monitoring.performance_history as
select m.monitor, m.model_version, m.window_start, m.window_end, m.segment, u.metric, m.family as kind, nullif(coalesce(u.value, 0), 'NaN') as value,
       nullif(case when m.ci_low is not null then coalesce(u.ci_low, u.value, 0) end, 'NaN') as ci_low, nullif(case when m.ci_high is not null then coalesce(u.ci_high, u.value, 0) end, 'NaN') as ci_high, nullif(u.threshold, 'NaN') as threshold,
       coalesce(u.source, 'default') as threshold_source,
       case when get_bit(v.flags, 2 * u.position::int - 2) = 1 then get_bit(v.flags, 2 * u.position::int - 1) = 1 end as degraded, m.n_predictions, coalesce(u.n, m.n[1]) as n_labelled,
       m.n_labelled::double precision / nullif(m.n_predictions, 0) as coverage, coalesce(v.mature, false) as mature, m.as_known_at,
       c.data_version, c.label_batch, c.computed_at, c.run_id, c.code_version, c.config_version, m.superseded_at,
       nullif(u.reference_value, 'NaN') as reference_value, j.policy_version, j.judged_at
from monitoring.measurement m
join monitoring.computation c using (computation_id)
join monitoring.metric_keys k using (metric_keys_id)
left join monitoring.verdict v on v.window_start = m.window_start and v.measurement_id = m.measurement_id
left join monitoring.threshold_set t on t.threshold_set_id = v.threshold_set_id
left join monitoring.judgement j on j.judgement_id = v.judgement_id
left join monitoring.reference_values r on r.reference_values_id = m.reference_values_id
cross join lateral unnest(k.metrics, m.value, m.ci_low, m.ci_high, m.n, coalesce(r.reference_values, m.reference_value), t.thresholds, t.sources) with ordinality
  u (metric, value, ci_low, ci_high, n, reference_value, threshold, source, position)
where m.family in ('realized', 'estimated', 'shadow');
comment on view monitoring.performance_history is
  'Every revision of the performance metrics; each was current from as_known_at until superseded_at.';

create or replace view monitoring.performance_current as
select monitor, model_version, window_start, window_end, segment, metric, kind, value, ci_low, ci_high, threshold, threshold_source,
       degraded, n_predictions, n_labelled, coverage, mature, as_known_at, data_version, label_batch, computed_at, run_id, code_version,
       config_version, reference_value, policy_version, judged_at
from monitoring.performance_history
where superseded_at is null;
comment on view monitoring.performance_current is 'Latest performance metrics: one row per window, metric and kind.';
comment on column monitoring.performance_history.kind is
  'realized (measured from outcomes), estimated (without), or shadow: of a challenger on labelled rows that another version served, never judged.';
comment on column monitoring.performance_current.kind is
  'realized (measured from outcomes), estimated (without), or shadow: of a challenger on labelled rows that another version served, never judged.';
