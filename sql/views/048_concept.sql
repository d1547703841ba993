-- What estimates could not know: outcomes that no longer follow the scores as they did in the reference.

create or replace view monitoring.concept_current as
with gap as (
  select e.monitor, e.model_version, e.window_start, e.window_end, e.segment, e.metric, e.value as estimated, r.value as realized,
         r.value - e.value as gap,
         sqrt(((e.ci_high - e.ci_low) / 3.919927969080108) ^ 2
              + greatest(1 - r.coverage, 0) * coalesce(((r.ci_high - r.ci_low) / 3.919927969080108) ^ 2, 0)) as sd,
         r.n_predictions, r.n_labelled, r.coverage, r.mature, r.label_batch, greatest(e.computed_at, r.computed_at) as computed_at,
         r.run_id, r.code_version, r.config_version, greatest(e.as_known_at, r.as_known_at) as as_known_at
  from monitoring.performance_current e
  join monitoring.performance_current r
    on r.monitor = e.monitor and r.window_start = e.window_start and r.window_end = e.window_end
   and r.model_version = e.model_version and r.segment = e.segment and r.metric = e.metric and r.kind = 'realized'
  where e.kind = 'estimated' and e.metric not like 'confusion[%'
)
select monitor, model_version, window_start, window_end, segment, metric, estimated, realized, gap,
       gap - 1.959963984540054 * sd as ci_low, gap + 1.959963984540054 * sd as ci_high, gap / nullif(sd, 0) as z,
       n_predictions, n_labelled, coverage, mature, label_batch, computed_at, run_id, code_version, config_version, as_known_at
from gap
where gap is not null;
comment on view monitoring.concept_current is
  'The error of each estimate, once outcomes are known: realized minus estimated metric against what chance, calibration and the '
  'estimates'' own record explain. A large z that stays: outcomes no longer follow the scores as they did in the reference.';
comment on column monitoring.concept_current.estimated is 'The metric as estimated without outcomes.';
comment on column monitoring.concept_current.realized is 'The metric of the labelled rows.';
comment on column monitoring.concept_current.gap is 'realized minus estimated.';
comment on column monitoring.concept_current.ci_low is 'Lower end of the gap''s 95 % interval.';
comment on column monitoring.concept_current.ci_high is 'Upper end of it.';
comment on column monitoring.concept_current.z is
  'Gap in its standard deviations: that of the estimate and, where rows wait for labels, of the realized value''s share in it.';
