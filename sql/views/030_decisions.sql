-- The latest state of incidents, model versions, decisions and trainings.

create or replace view monitoring.incident_current as
select monitor, incident_id, kind, severity, state, opened_at, first_window, last_window, columns, summary, resolved_at,
       segments, evidence, run_id, as_known_at, change, actions, n_windows, reason
from monitoring.incident where superseded_at is null;
comment on view monitoring.incident_current is 'Latest state of each incident.';

create or replace view monitoring.model_version_current as
select monitor, model_version, role, trained_at, train_start, train_end, algorithm, hyperparameters, training_metrics,
       artifact_uri, artifact_sha256, run_id, code_version, as_known_at
from monitoring.model_version where superseded_at is null;
comment on view monitoring.model_version_current is 'Model versions and their current roles.';

create or replace view monitoring.retrain_decision_current as
select monitor, decided_at, trigger, decision, reason, evidence, run_id, challenger_version, outcome, as_known_at
from monitoring.retrain_decision where superseded_at is null;
comment on view monitoring.retrain_decision_current is 'Decisions about retraining and their outcomes.';

create or replace view monitoring.training_metric_current as
select monitor, model_version, split, metric, value, ci_low, ci_high, n, run_id, code_version, computed_at, as_known_at
from monitoring.training_metric where superseded_at is null;
comment on view monitoring.training_metric_current is 'Metrics of the model versions on their own data.';

create or replace view monitoring.tuning_trial_current as
select monitor, model_version, trial, state, hyperparameters, metric, value, started_at, finished_at, error, run_id, as_known_at
from monitoring.tuning_trial where superseded_at is null;
comment on view monitoring.tuning_trial_current is 'Trials of the hyperparameter searches.';
