-- The headline metric of each window in a row of its own. From the arrays a year of a hundred monitors takes a second: each row
-- is 10 KB of which dashboards want eight numbers.

create table monitoring.window_headline (
  monitor text not null references monitoring.monitor,
  window_start timestamptz not null,
  window_end timestamptz not null,
  model_version text not null,
  metric text not null,
  value double precision,
  ci_low double precision,
  ci_high double precision,
  threshold double precision,
  reference_value double precision,
  degraded boolean,
  mature boolean not null,
  n_predictions bigint check (n_predictions >= 0),
  n_labelled bigint check (n_labelled >= 0),
  primary key (monitor, window_start, model_version),
  check (window_start < window_end)
);
comment on table monitoring.window_headline is
  'The headline metric of all rows of a window, as last judged. Written with the verdicts; kept when measurements are deleted.';
comment on column monitoring.window_headline.metric is 'roc_auc (f1_macro without a score), f1_macro or mae.';
comment on column monitoring.window_headline.value is 'Its realized value; null where it is undefined.';
comment on column monitoring.window_headline.threshold is 'Pinned threshold; null: none.';

insert into monitoring.window_headline
select m.monitor, m.window_start, m.window_end, m.model_version, k.metrics[k.at], nullif(m.value[k.at], 'NaN'), nullif(m.ci_low[k.at], 'NaN'),
       nullif(m.ci_high[k.at], 'NaN'), nullif(t.thresholds[k.at], 'NaN'),
       nullif(coalesce(r.reference_values[k.at], m.reference_value[k.at]), 'NaN'), v.flagged[k.at], coalesce(v.mature, false),
       m.n_predictions, m.n_labelled
from monitoring.measurement m
join (select s.metric_keys_id, s.metrics, coalesce(array_position(s.metrics, 'mae'), array_position(s.metrics, 'roc_auc'),
                                                   array_position(s.metrics, 'f1_macro')) as at
      from monitoring.metric_keys s where s.family = 'realized') k on k.metric_keys_id = m.metric_keys_id and k.at is not null
join monitoring.verdict v on v.window_start = m.window_start and v.measurement_id = m.measurement_id
left join monitoring.threshold_set t on t.threshold_set_id = v.threshold_set_id
left join monitoring.reference_values r on r.reference_values_id = m.reference_values_id
where m.family = 'realized' and m.segment = '*' and m.baseline = '' and m.superseded_at is null
on conflict do nothing;
