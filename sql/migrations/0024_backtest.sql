-- depends: 0023_fold_states
-- What `backtest` found: one row a run, its months, its retrainings.

create table monitoring.backtest (
  backtest_id bigint generated always as identity primary key,
  monitor text not null references monitoring.monitor,
  policy_name text not null,
  policy jsonb not null check (jsonb_typeof(policy) = 'object'),
  first_window timestamptz not null,
  last_window timestamptz not null,
  all_promoted boolean not null,
  metric text not null,
  higher_is_better boolean not null,
  n_retrainings integer not null check (n_retrainings >= 0),
  n_promoted integer not null check (n_promoted >= 0),
  minutes double precision not null check (minutes >= 0),
  mean_happened double precision,
  mean_replayed double precision,
  worst_happened double precision,
  worst_replayed double precision,
  gain double precision,
  least_gain double precision,
  ran_at timestamptz not null default clock_timestamp(),
  code_version text not null
);
create index backtest_by_monitor on monitoring.backtest (monitor, backtest_id desc);
comment on table monitoring.backtest is 'Replays of the stored history under another retrain policy, as `monitoring-pipeline backtest` made them.';
comment on column monitoring.backtest.backtest_id is 'Number of the replay; the newest is the largest.';
comment on column monitoring.backtest.policy_name is 'Name of the file that held the policy.';
comment on column monitoring.backtest.policy is 'The whole `retrain` section that was replayed, defaults included.';
comment on column monitoring.backtest.first_window is 'Start of the first window (UTC).';
comment on column monitoring.backtest.last_window is 'End of the last window (UTC, excluded).';
comment on column monitoring.backtest.all_promoted is 'Whether every challenger was promoted without a comparison: what the triggers alone are worth.';
comment on column monitoring.backtest.higher_is_better is 'Whether more of the metric is better.';
comment on column monitoring.backtest.n_retrainings is 'Retrainings under the policy.';
comment on column monitoring.backtest.n_promoted is 'How many of them were promoted.';
comment on column monitoring.backtest.minutes is 'Minutes of training, all retrainings.';
comment on column monitoring.backtest.mean_happened is 'Mean of the metric over the months, as it happened.';
comment on column monitoring.backtest.mean_replayed is 'The same under the policy.';
comment on column monitoring.backtest.worst_happened is 'The metric of the worst month, as it happened.';
comment on column monitoring.backtest.worst_replayed is 'The same under the policy.';
comment on column monitoring.backtest.gain is 'Mean gain over the months, turned so that positive is better.';
comment on column monitoring.backtest.least_gain is 'Gain of the month that gained least.';
comment on column monitoring.backtest.ran_at is 'When it was replayed.';

create table monitoring.backtest_month (
  backtest_id bigint not null references monitoring.backtest on delete cascade,
  month timestamptz not null,
  n bigint not null check (n >= 0),
  happened double precision,
  replayed double precision,
  primary key (backtest_id, month)
);
comment on table monitoring.backtest_month is 'The metric of each month of a replay.';
comment on column monitoring.backtest_month.backtest_id is 'The replay.';
comment on column monitoring.backtest_month.month is 'First moment of the calendar month (UTC).';
comment on column monitoring.backtest_month.n is 'Labelled rows.';
comment on column monitoring.backtest_month.happened is 'The metric as it happened; null where it is not defined.';
comment on column monitoring.backtest_month.replayed is 'The metric under the policy; null where it is not defined.';

create table monitoring.backtest_retraining (
  backtest_id bigint not null references monitoring.backtest on delete cascade,
  position integer not null,
  as_of timestamptz not null,
  trigger text not null,
  reason text not null,
  n_rows bigint not null check (n_rows >= 0),
  seconds double precision not null check (seconds >= 0),
  outcome text not null,
  ended timestamptz not null,
  why text not null,
  primary key (backtest_id, position)
);
comment on table monitoring.backtest_retraining is 'The retrainings of a replay.';
comment on column monitoring.backtest_retraining.backtest_id is 'The replay.';
comment on column monitoring.backtest_retraining.position is 'Number within the replay, from 0.';
comment on column monitoring.backtest_retraining.as_of is 'The moment it was decided on.';
comment on column monitoring.backtest_retraining.trigger is 'What asked for it.';
comment on column monitoring.backtest_retraining.reason is 'Why, in a sentence.';
comment on column monitoring.backtest_retraining.n_rows is 'Rows it was fitted on.';
comment on column monitoring.backtest_retraining.seconds is 'How long it trained.';
comment on column monitoring.backtest_retraining.outcome is 'promoted, kept, inconclusive, failed or shadowing (history ended before it was decided on).';
comment on column monitoring.backtest_retraining.ended is 'When its outcome was known.';
comment on column monitoring.backtest_retraining.why is 'What the outcome rests on.';
