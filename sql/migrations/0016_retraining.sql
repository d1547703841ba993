-- depends: 0015_window_verdicts
-- Retraining: decisions that fold, attempts, comparisons, promotions, training curves; more about versions and trials.

-- A decision. Equal consecutive waits are one row with a count.
alter table monitoring.retrain_decision
  add column evidence_key text,
  add column fold_key text,
  add column last_evaluated_at timestamptz,
  add column n_evaluations bigint not null default 1 check (n_evaluations >= 1),
  add column policy_version text,
  add column as_of timestamptz;
update monitoring.retrain_decision set last_evaluated_at = decided_at, as_of = decided_at;
create unique index retrain_decision_fires_once on monitoring.retrain_decision (monitor, evidence_key)
  where decision = 'retrain' and superseded_at is null;
alter table monitoring.retrain_decision drop constraint retrain_decision_outcome_check;
alter table monitoring.retrain_decision add constraint retrain_decision_outcome_check
  check (outcome in ('training', 'shadowing', 'promoted', 'kept', 'inconclusive', 'failed', 'rejected'));
comment on column monitoring.retrain_decision.evidence_key is
  'SHA-256 of the keys of the rows that fired; the same evidence asks for one retraining only. Null when nothing fired.';
comment on column monitoring.retrain_decision.fold_key is 'Digest of decision, trigger and reason: an equal decision that follows raises n_evaluations.';
comment on column monitoring.retrain_decision.last_evaluated_at is 'When the policy last came to this decision.';
comment on column monitoring.retrain_decision.n_evaluations is 'How many times in a row the policy came to this decision.';
comment on column monitoring.retrain_decision.policy_version is 'Digest of the retrain policy in force.';
comment on column monitoring.retrain_decision.as_of is
  'The moment the decision speaks of: end of the newest judged window. Differs from decided_at when history is replayed.';
comment on column monitoring.retrain_decision.outcome is
  'training, shadowing, promoted, kept (the champion stays), inconclusive, failed; rejected in old rows.';

create table monitoring.retrain_attempt (
  attempt_id bigint generated always as identity primary key,
  monitor text not null references monitoring.monitor,
  decision_id bigint not null references monitoring.retrain_decision,
  challenger_version text not null,
  champion_version text,
  state text not null check (state in ('training', 'trained', 'compared', 'shadowing', 'promoted', 'kept', 'inconclusive', 'failed')),
  state_since timestamptz not null default clock_timestamp(),
  started_at timestamptz not null default clock_timestamp(),
  epoch integer not null default 0,
  as_of timestamptz not null,
  failed_in text,
  error text,
  reason text,
  run_id text,
  shadow_until timestamptz,
  foreign key (monitor, challenger_version) references monitoring.known_version,
  check ((state = 'failed') = (error is not null))
);
create unique index retrain_attempt_one_open on monitoring.retrain_attempt (monitor)
  where state in ('training', 'trained', 'compared', 'shadowing');
create unique index retrain_attempt_one_a_decision on monitoring.retrain_attempt (decision_id) where state <> 'failed';
comment on table monitoring.retrain_attempt is 'One try at a better model: from the decision to promoted, kept, inconclusive or failed.';
comment on column monitoring.retrain_attempt.decision_id is 'revision_id of the retrain_decision it carries out.';
comment on column monitoring.retrain_attempt.challenger_version is 'The version that is trained.';
comment on column monitoring.retrain_attempt.champion_version is
  'The version it is compared with; if that is no longer the champion at promotion, the attempt is inconclusive.';
comment on column monitoring.retrain_attempt.state is
  'training, trained, compared, shadowing (waits for windows), then promoted, kept (the champion stays), inconclusive or failed.';
comment on column monitoring.retrain_attempt.epoch is 'Raised by whoever takes the attempt over; updates of an earlier owner then change nothing.';
comment on column monitoring.retrain_attempt.as_of is 'The cut: nothing that became known later is used.';
comment on column monitoring.retrain_attempt.failed_in is 'The state it failed in.';
comment on column monitoring.retrain_attempt.error is 'Why it failed, and the remedy.';
comment on column monitoring.retrain_attempt.reason is 'One sentence on its outcome.';
comment on column monitoring.retrain_attempt.shadow_until is 'End of the windows a shadow waits for.';

alter table monitoring.model_version
  add column attempt_id bigint references monitoring.retrain_attempt,
  add column parent_version text,
  add column n_rows bigint check (n_rows >= 0),
  add column labels_known_at timestamptz,
  add column data_version text,
  add column artifact_format text check (artifact_format in ('skops', 'pickle', 'trainer')),
  add column artifact_bytes bigint check (artifact_bytes >= 0),
  add column environment jsonb not null default '{}' check (jsonb_typeof(environment) = 'object'),
  add column duration_seconds double precision check (duration_seconds >= 0),
  add column cpu_seconds double precision check (cpu_seconds >= 0),
  add column peak_rss_bytes bigint check (peak_rss_bytes >= 0),
  add column pruned_at timestamptz;
comment on column monitoring.model_version.attempt_id is 'The attempt that trained it; null when it was registered by hand.';
comment on column monitoring.model_version.parent_version is 'The version it was continued from, when training was stateful.';
comment on column monitoring.model_version.n_rows is 'Rows it was trained on.';
comment on column monitoring.model_version.labels_known_at is 'Only labels that had arrived before this moment were used.';
comment on column monitoring.model_version.data_version is 'Digest of the windows, label batches and rows it was trained on.';
comment on column monitoring.model_version.artifact_format is 'skops (loads without running code), pickle (only where the declaration trusts it) or trainer (its own).';
comment on column monitoring.model_version.artifact_bytes is 'Size of the artifact.';
comment on column monitoring.model_version.environment is 'Versions of Python and of the packages it was trained with.';
comment on column monitoring.model_version.duration_seconds is 'How long training took.';
comment on column monitoring.model_version.cpu_seconds is 'CPU time of training, all processes.';
comment on column monitoring.model_version.peak_rss_bytes is 'Largest resident memory of the training process.';
comment on column monitoring.model_version.pruned_at is 'When its artifact was deleted; it cannot be rolled back to.';

create table monitoring.promotion (
  seq bigint generated always as identity primary key,
  monitor text not null references monitoring.monitor,
  model_version text not null,
  previous_version text,
  attempt_id bigint references monitoring.retrain_attempt,
  kind text not null check (kind in ('first', 'promotion', 'rollback', 'manual')),
  by_whom text not null,
  reason text not null,
  at timestamptz not null default clock_timestamp(),
  as_of timestamptz,
  foreign key (monitor, model_version) references monitoring.known_version
);
create index promotion_by_monitor on monitoring.promotion (monitor, seq desc);
comment on table monitoring.promotion is 'Every change of champion, append only; seq is the order services see.';
comment on column monitoring.promotion.seq is 'Number of the promotion; a service refuses a smaller one than it has.';
comment on column monitoring.promotion.previous_version is 'The champion before.';
comment on column monitoring.promotion.kind is 'first, promotion (after a comparison), rollback or manual.';
comment on column monitoring.promotion.by_whom is 'policy, or the user.';
comment on column monitoring.promotion.reason is 'One sentence.';
comment on column monitoring.promotion.at is 'When it took effect.';
comment on column monitoring.promotion.as_of is 'The moment of the monitored history it belongs to; differs from at when history is replayed.';

create table monitoring.model_comparison (
  attempt_id bigint not null references monitoring.retrain_attempt,
  guard text not null check (guard in ('headline', 'segment', 'calibration', 'fairness', 'shadow')),
  segment text not null,
  metric text not null,
  champion_version text not null,
  challenger_version text not null,
  rows_from timestamptz not null,
  rows_to timestamptz not null,
  labels_known_at timestamptz not null,
  n bigint not null check (n >= 0),
  n_blocks integer not null check (n_blocks >= 0),
  method text not null,
  champion_value double precision,
  challenger_value double precision,
  difference double precision,
  ci_low double precision,
  ci_high double precision,
  level double precision not null,
  delta double precision not null,
  verdict text not null check (verdict in ('better', 'not worse', 'worse', 'undecided', 'abstained')),
  reason text not null,
  computed_at timestamptz not null default clock_timestamp(),
  primary key (attempt_id, guard, segment, metric)
);
comment on table monitoring.model_comparison is 'Champion against challenger on rows neither was trained on.';
comment on column monitoring.model_comparison.guard is 'headline decides; segment, calibration, fairness can only forbid; shadow: the headline on windows after the decision.';
comment on column monitoring.model_comparison.rows_from is 'First moment of the compared rows (UTC, included).';
comment on column monitoring.model_comparison.rows_to is 'End of the compared rows (UTC, excluded).';
comment on column monitoring.model_comparison.n_blocks is 'Days, the blocks within which rows are not taken as independent.';
comment on column monitoring.model_comparison.difference is 'Challenger minus champion, turned so that positive is better.';
comment on column monitoring.model_comparison.level is 'Confidence level of the interval, after the correction for several segments.';
comment on column monitoring.model_comparison.labels_known_at is 'Only labels that had arrived before this moment were used.';
comment on column monitoring.model_comparison.n is 'Compared rows.';
comment on column monitoring.model_comparison.method is 'How the interval was computed.';
comment on column monitoring.model_comparison.champion_value is 'The metric of the champion.';
comment on column monitoring.model_comparison.challenger_value is 'The metric of the challenger.';
comment on column monitoring.model_comparison.ci_low is 'Lower end of the interval of the difference, at this level.';
comment on column monitoring.model_comparison.ci_high is 'Upper end of the interval of the difference, at this level.';
comment on column monitoring.model_comparison.reason is 'One sentence.';
comment on column monitoring.model_comparison.delta is 'How much worse still counts as not worse.';
comment on column monitoring.model_comparison.verdict is 'better, not worse, worse, undecided or abstained (too few rows, classes or days).';

create table monitoring.training_curve (
  monitor text not null,
  model_version text not null,
  split text not null check (split in ('train', 'validation')),
  metric text not null,
  per_iteration double precision[] not null,
  primary key (monitor, model_version, split, metric),
  foreign key (monitor, model_version) references monitoring.known_version
);
comment on table monitoring.training_curve is 'A metric after each iteration of a training, for estimators that report it.';
comment on column monitoring.training_curve.split is 'train or validation.';
comment on column monitoring.training_curve.per_iteration is 'Values in the order of the iterations.';

alter table monitoring.tuning_trial
  add column attempt_id bigint references monitoring.retrain_attempt,
  add column rung integer check (rung >= 0),
  add column n_resources bigint check (n_resources >= 0),
  add column fold_values double precision[],
  add column cpu_seconds double precision check (cpu_seconds >= 0);
comment on column monitoring.tuning_trial.attempt_id is 'The attempt the search belongs to.';
comment on column monitoring.tuning_trial.rung is 'Round of a halving search.';
comment on column monitoring.tuning_trial.n_resources is 'Rows (or the declared resource) the trial was given.';
comment on column monitoring.tuning_trial.fold_values is 'The metric on each validation fold.';
comment on column monitoring.tuning_trial.cpu_seconds is 'CPU time of the trial.';
