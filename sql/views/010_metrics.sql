-- The latest figures, and every revision of the performance figures.

create or replace view monitoring.drift_current as
select monitor, model_version, window_start, window_end, baseline, segment, column_name, role, method, value, threshold,
       threshold_source, p_value, effect, error_bound, drifted, n_reference, n_current, data_version, label_batch,
       computed_at, run_id, code_version, config_version, as_known_at
from monitoring.drift_metric
where superseded_at is null;
comment on view monitoring.drift_current is 'How far each column moved from each baseline: one row a window, column, baseline and method.';

create or replace view monitoring.quality_current as
select monitor, model_version, window_start, window_end, segment, column_name, metric, value, threshold, threshold_source,
       violated, n, detail, data_version, label_batch, computed_at, run_id, code_version, config_version, as_known_at
from monitoring.quality_metric
where superseded_at is null;
comment on view monitoring.quality_current is 'Data-quality figures: one row a window, column and metric.';

create or replace view monitoring.performance_current as
select monitor, model_version, window_start, window_end, segment, metric, kind, value, ci_low, ci_high, threshold,
       threshold_source, degraded, n_predictions, n_labelled, coverage, mature, as_known_at, data_version, label_batch,
       computed_at, run_id, code_version, config_version
from monitoring.performance_metric
where superseded_at is null;
comment on view monitoring.performance_current is 'How well the model predicts, by what is known now: one row a window, metric and kind.';

create or replace view monitoring.performance_history as
select monitor, model_version, window_start, window_end, segment, metric, kind, value, ci_low, ci_high, threshold,
       threshold_source, degraded, n_predictions, n_labelled, coverage, mature, as_known_at, data_version, label_batch,
       computed_at, run_id, code_version, config_version, superseded_at
from monitoring.performance_metric;
comment on view monitoring.performance_history is
  'Every revision of the performance figures; one was in force from as_known_at until superseded_at.';
