-- depends: 0003_metrics
-- What was concluded from the figures: incidents, retraining, trainings and their trials.

create table monitoring.incident (
  revision_id bigint generated always as identity primary key,
  monitor text not null references monitoring.monitor,
  incident_id text not null check (incident_id <> ''),
  kind text not null check (kind <> ''),
  severity text not null check (severity in ('info', 'warning', 'critical')),
  state text not null check (state in ('open', 'resolved', 'retracted')),
  opened_at timestamptz not null,
  first_window timestamptz not null,
  last_window timestamptz not null,
  columns text[] not null default '{}',
  segments text[] not null default '{}',
  summary text not null,
  evidence jsonb not null default '{}' check (jsonb_typeof(evidence) = 'object'),
  resolved_at timestamptz,
  run_id text,
  as_known_at timestamptz not null default now(),
  superseded_at timestamptz,
  check (first_window <= last_window),
  check ((state = 'open') = (resolved_at is null)),
  check (resolved_at >= opened_at),
  check (superseded_at >= as_known_at)
);
create unique index incident_one_current on monitoring.incident (monitor, incident_id) where superseded_at is null;
comment on table monitoring.incident is 'One cause seen in one or more columns or segments over consecutive windows, every revision.';
comment on column monitoring.incident.incident_id is 'Stable name of the incident within its monitor.';
comment on column monitoring.incident.kind is 'drift, quality, performance, freshness …';
comment on column monitoring.incident.severity is 'info, warning or critical.';
comment on column monitoring.incident.state is 'open, resolved, or retracted (the figures it rested on changed).';
comment on column monitoring.incident.opened_at is 'When it was opened.';
comment on column monitoring.incident.first_window is 'Start of the first window it was seen in.';
comment on column monitoring.incident.last_window is 'Start of the last window it was seen in.';
comment on column monitoring.incident.columns is 'Columns it was seen in.';
comment on column monitoring.incident.segments is 'Segments it was seen in.';
comment on column monitoring.incident.summary is 'One sentence for the person on call.';
comment on column monitoring.incident.evidence is 'The figures it rests on.';
comment on column monitoring.incident.resolved_at is 'When it was resolved or retracted.';

create table monitoring.retrain_decision (
  revision_id bigint generated always as identity primary key,
  monitor text not null references monitoring.monitor,
  decided_at timestamptz not null,
  trigger text not null check (trigger <> ''),
  decision text not null check (decision in ('retrain', 'wait', 'skip')),
  reason text not null,
  evidence jsonb not null default '{}' check (jsonb_typeof(evidence) = 'object'),
  challenger_version text,
  outcome text check (outcome in ('training', 'promoted', 'rejected', 'failed')),
  run_id text,
  as_known_at timestamptz not null default now(),
  superseded_at timestamptz,
  foreign key (monitor, challenger_version) references monitoring.known_version,
  check (outcome is null or decision = 'retrain'),
  check (superseded_at >= as_known_at)
);
create unique index retrain_decision_one_current on monitoring.retrain_decision (monitor, decided_at)
  where superseded_at is null;
comment on table monitoring.retrain_decision is 'Whether to retrain, why, and what came of it, every revision.';
comment on column monitoring.retrain_decision.decided_at is 'When the decision was taken.';
comment on column monitoring.retrain_decision.trigger is 'What asked for a decision: schedule, drift, performance, a person.';
comment on column monitoring.retrain_decision.decision is 'retrain, wait (not enough evidence yet) or skip.';
comment on column monitoring.retrain_decision.reason is 'One sentence.';
comment on column monitoring.retrain_decision.evidence is 'The figures it rests on.';
comment on column monitoring.retrain_decision.challenger_version is 'The version that was trained.';
comment on column monitoring.retrain_decision.outcome is 'training, promoted, rejected or failed.';

create table monitoring.training_metric (
  revision_id bigint generated always as identity primary key,
  monitor text not null,
  model_version text not null,
  split text not null check (split in ('train', 'validation', 'test')),
  metric text not null check (metric <> ''),
  value monitoring.figure not null,
  ci_low monitoring.figure,
  ci_high monitoring.figure,
  n bigint not null check (n >= 0),
  run_id text,
  code_version text,
  computed_at timestamptz not null default now(),
  as_known_at timestamptz not null default now(),
  superseded_at timestamptz,
  foreign key (monitor, model_version) references monitoring.known_version,
  check (ci_low <= ci_high),
  check (superseded_at >= as_known_at)
);
create unique index training_metric_one_current on monitoring.training_metric (monitor, model_version, split, metric)
  where superseded_at is null;
comment on table monitoring.training_metric is 'Figures of a model version on its own data, every revision.';
comment on column monitoring.training_metric.split is 'train, validation or test.';

create table monitoring.tuning_trial (
  revision_id bigint generated always as identity primary key,
  monitor text not null,
  model_version text not null,
  trial integer not null check (trial >= 0),
  state text not null check (state in ('complete', 'pruned', 'failed')),
  hyperparameters jsonb not null check (jsonb_typeof(hyperparameters) = 'object'),
  metric text not null check (metric <> ''),
  value monitoring.figure,
  started_at timestamptz,
  finished_at timestamptz,
  error text,
  run_id text,
  as_known_at timestamptz not null default now(),
  superseded_at timestamptz,
  foreign key (monitor, model_version) references monitoring.known_version,
  check (started_at <= finished_at),
  check (state <> 'complete' or value is not null),
  check (superseded_at >= as_known_at)
);
create unique index tuning_trial_one_current on monitoring.tuning_trial (monitor, model_version, trial)
  where superseded_at is null;
comment on table monitoring.tuning_trial is 'Trials of a hyperparameter search, every revision.';
comment on column monitoring.tuning_trial.trial is 'Number of the trial within its search.';
comment on column monitoring.tuning_trial.state is 'complete, pruned or failed.';
comment on column monitoring.tuning_trial.hyperparameters is 'What was tried.';
comment on column monitoring.tuning_trial.started_at is 'When the trial began.';
comment on column monitoring.tuning_trial.finished_at is 'When the trial ended.';
comment on column monitoring.tuning_trial.error is 'Why the trial failed.';

create table monitoring.applied_views (
  one boolean primary key default true check (one),
  sha256 text not null,
  applied_at timestamptz not null default now()
);
comment on table monitoring.applied_views is 'Which text of the views is in force.';
comment on column monitoring.applied_views.one is 'Always true: the table has one row.';
comment on column monitoring.applied_views.sha256 is 'SHA-256 of the files of the views.';
comment on column monitoring.applied_views.applied_at is 'When they were applied.';
