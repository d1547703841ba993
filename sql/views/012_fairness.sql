-- Fairness unnested like the views in 010_metrics.sql, whose comments on nulls and NaN hold here too.

create or replace view monitoring.fairness_current as
select m.monitor, m.model_version, m.window_start, m.window_end, u.column_name as protected_column,
       case m.segment when '*' then '*' else substr(m.segment, length(u.column_name) + 2) end as group_name,
       substr(m.baseline, length(u.column_name) + 2) as reference_group, u.metric, nullif(coalesce(u.value, 0), 'NaN') as value,
       nullif(case when m.ci_low is not null then coalesce(u.ci_low, u.value, 0) end, 'NaN') as ci_low,
       nullif(case when m.ci_high is not null then coalesce(u.ci_high, u.value, 0) end, 'NaN') as ci_high,
       nullif(u.threshold, 'NaN') as threshold, coalesce(u.source, 'default') as threshold_source,
       case when get_bit(v.flags, 2 * u.position::int - 2) = 1 then get_bit(v.flags, 2 * u.position::int - 1) = 1 end as violated,
       coalesce(u.n, m.n[1]) as n_group, coalesce(u.n_reference, m.n_reference[1]) as n_reference_group,
       coalesce(v.mature, false) or u.metric ~ '^(groups|selection_rate|demographic_parity_(difference|ratio))' as mature,
       u.detail, m.segment, m.as_known_at, c.data_version, c.label_batch, c.computed_at, c.run_id, c.code_version, c.config_version,
       j.policy_version, j.judged_at
from monitoring.measurement m
join monitoring.computation c using (computation_id)
join monitoring.metric_keys k using (metric_keys_id)
left join monitoring.verdict v on v.window_start = m.window_start and v.measurement_id = m.measurement_id
left join monitoring.threshold_set t on t.threshold_set_id = v.threshold_set_id
left join monitoring.judgement j on j.judgement_id = v.judgement_id
cross join lateral unnest(k.column_names, k.metrics, m.value, m.ci_low, m.ci_high, m.n, m.n_reference, m.detail, t.thresholds, t.sources)
  with ordinality u (column_name, metric, value, ci_low, ci_high, n, n_reference, detail, threshold, source, position)
where m.family = 'fairness' and m.superseded_at is null;
comment on view monitoring.fairness_current is
  'How a model treats the groups of protected columns: one row per window, group and metric, and group * for the largest difference of any two.';
comment on column monitoring.fairness_current.protected_column is 'Column whose values are the groups.';
comment on column monitoring.fairness_current.group_name is 'Value of the column; ∅: none; *: the largest difference between any two groups.';
comment on column monitoring.fairness_current.reference_group is 'Group that the others are held against: declared, else the reference''s largest.';
comment on column monitoring.fairness_current.n_group is 'Rows behind the group''s rate; of *: of the first group of the two in detail.';
comment on column monitoring.fairness_current.n_reference_group is 'Rows behind the reference group''s rate; of *: of the second group in detail.';
comment on column monitoring.fairness_current.mature is 'Whether what the metric rests on is complete enough to be judged; without outcomes always.';
comment on column monitoring.fairness_current.detail is 'The two groups of the largest difference with their rates, or what was left out.';
