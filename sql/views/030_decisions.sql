-- The latest state of incidents, model versions, decisions and trainings.

create or replace view monitoring.incident_current as
select monitor, incident_id, kind, severity, state, opened_at, first_window, last_window, columns, summary, resolved_at,
       segments, evidence, run_id, as_known_at, change, actions, n_windows, reason, rank
from monitoring.incident where superseded_at is null;
comment on view monitoring.incident_current is 'Latest state of each incident.';

create or replace view monitoring.model_version_current as
select monitor, model_version, role, trained_at, train_start, train_end, algorithm, hyperparameters, training_metrics,
       artifact_uri, artifact_sha256, run_id, code_version, as_known_at, attempt_id, parent_version, n_rows, labels_known_at,
       data_version, artifact_format, artifact_bytes, environment, duration_seconds, cpu_seconds, peak_rss_bytes, pruned_at
from monitoring.model_version where superseded_at is null;
comment on view monitoring.model_version_current is 'Model versions and their current roles.';

create or replace view monitoring.retrain_decision_current as
select monitor, decided_at, trigger, decision, reason, evidence, run_id, challenger_version, outcome, as_known_at,
       revision_id as decision_id, as_of, last_evaluated_at, n_evaluations, evidence_key, policy_version
from monitoring.retrain_decision where superseded_at is null;
comment on view monitoring.retrain_decision_current is 'Decisions about retraining and their outcomes.';

create or replace view monitoring.training_metric_current as
select monitor, model_version, split, metric, value, ci_low, ci_high, n, run_id, code_version, computed_at, as_known_at
from monitoring.training_metric where superseded_at is null;
comment on view monitoring.training_metric_current is 'Metrics of the model versions on their own data.';

create or replace view monitoring.tuning_trial_current as
select monitor, model_version, trial, state, hyperparameters, metric, value, started_at, finished_at, error, run_id, as_known_at,
       attempt_id, rung, n_resources, fold_values, cpu_seconds
from monitoring.tuning_trial where superseded_at is null;
comment on view monitoring.tuning_trial_current is 'Trials of the hyperparameter searches.';

create or replace view monitoring.retrain_attempt_current as
select monitor, attempt_id, decision_id, challenger_version, champion_version, state, state_since, started_at, as_of, shadow_until,
       failed_in, error, reason, run_id
from monitoring.retrain_attempt;
comment on view monitoring.retrain_attempt_current is 'Attempts at a better model and how each ended.';

create or replace view monitoring.model_comparison_current as
select a.monitor, c.*
from monitoring.model_comparison c join monitoring.retrain_attempt a using (attempt_id);
comment on view monitoring.model_comparison_current is 'Champion against challenger on rows neither was trained on.';

create or replace view monitoring.promotion_current as
select monitor, seq, model_version, previous_version, kind, by_whom, reason, at, as_of, attempt_id
from monitoring.promotion;
comment on view monitoring.promotion_current is 'Every change of champion.';

create or replace view monitoring.training_curve_current as
select c.monitor, c.model_version, c.split, c.metric, i.iteration::integer as iteration, i.value
from monitoring.training_curve c cross join lateral unnest(c.per_iteration) with ordinality i (value, iteration);
comment on view monitoring.training_curve_current is 'A metric after each iteration of a training.';
comment on column monitoring.training_curve_current.iteration is 'Number of the iteration, from 1.';
