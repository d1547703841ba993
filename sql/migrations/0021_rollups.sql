-- Longer windows, merged from stored profiles: their measurements and verdicts, apart from those of the base windows.

create table monitoring.rollup (
  monitor text not null references monitoring.monitor,
  window_size text not null check (window_size <> ''),
  window_start timestamptz not null,
  window_end timestamptz not null,
  n_windows integer not null check (n_windows > 0),
  partial boolean not null,
  n_rows bigint not null check (n_rows >= 0),
  inputs text not null,
  config_version text not null,
  policy_version text not null,
  code_version text not null,
  run_id text,
  computed_at timestamptz not null default clock_timestamp(),
  primary key (monitor, window_size, window_end),
  check (window_start < window_end)
);
comment on table monitoring.rollup is 'Weeks, months, quarters, or as many trailing windows as hold a number of rows; merged from stored profiles.';
comment on column monitoring.rollup.n_rows is 'Rows of the merged windows.';
comment on column monitoring.rollup.inputs is 'Digest of everything it was made from: profiles, outcomes and maturity of its windows and of the rollup before, references, policy.';

create table monitoring.rollup_measurement (
  monitor text not null,
  window_size text not null,
  window_end timestamptz not null,
  family text not null check (family in ('drift', 'quality', 'realized')),
  model_version text not null,
  baseline text not null,
  segment text not null check (segment <> ''),
  metric_keys_id integer not null references monitoring.metric_keys,
  n_predictions bigint,
  n_labelled bigint,
  value double precision[] not null,
  n bigint[] not null,
  n_reference bigint[],
  p_value double precision[],
  effect double precision[],
  error_bound double precision[],
  ci_low double precision[],
  ci_high double precision[],
  reference_value double precision[],
  detail text[],
  thresholds double precision[] not null,
  sources text[] not null,
  flagged boolean[] not null,
  mature boolean,
  primary key (monitor, window_size, window_end, family, model_version, baseline, segment),
  foreign key (monitor, window_size, window_end) references monitoring.rollup on delete cascade
);
comment on table monitoring.rollup_measurement is 'Measurements of rollups with the verdict on each. In SQL use rollup_drift_current and its siblings.';
comment on column monitoring.rollup_measurement.family is 'drift, quality or realized.';
comment on column monitoring.rollup_measurement.metric_keys_id is 'What each position of the arrays is about; see metric_keys.';
comment on column monitoring.rollup_measurement.value is 'Values, NaN where undefined.';
comment on column monitoring.rollup_measurement.p_value is 'p-values of the methods that are tests.';
comment on column monitoring.rollup_measurement.effect is 'What a threshold is compared with, where that is not the value.';
comment on column monitoring.rollup_measurement.reference_value is 'The same metrics in the reference.';
comment on column monitoring.rollup_measurement.thresholds is 'Thresholds, NaN where there is none.';
comment on column monitoring.rollup_measurement.sources is 'Where each threshold or verdict is from.';
comment on column monitoring.rollup_measurement.flagged is 'Drifted, violated or degraded; null: not judged.';

create table monitoring.rollup_verdict (
  monitor text not null,
  window_size text not null,
  window_end timestamptz not null,
  kind text not null check (kind in ('drift', 'performance')),
  model_version text not null,
  segment text not null check (segment <> ''),
  metric_keys_id integer not null references monitoring.metric_keys,
  level double precision not null check (level >= 0 and level <= 1),
  status text[] not null,
  moved text[] not null,
  p_value double precision[] not null,
  q_value double precision[] not null,
  effect double precision[] not null,
  sources text[] not null,
  reasons text[] not null,
  primary key (monitor, window_size, window_end, kind, model_version, segment),
  foreign key (monitor, window_size, window_end) references monitoring.rollup on delete cascade
);
comment on table monitoring.rollup_verdict is 'Calibrated verdicts on rollups: on columns, and on performance. In SQL use rollup_verdict_current.';
comment on column monitoring.rollup_verdict.kind is 'drift or performance.';
comment on column monitoring.rollup_verdict.metric_keys_id is 'Column (drift) or subject (performance) at each position; see metric_keys.';
comment on column monitoring.rollup_verdict.status is 'alarm, quiet or abstained (not judged, see reasons).';
comment on column monitoring.rollup_verdict.moved is 'What moved most: a contrast of the column, or auc, level, slope, bias, scale, error; null: nothing beyond the floor.';
comment on column monitoring.rollup_verdict.p_value is 'p-value against the reference''s blocks merged to the rollup''s length; NaN: not judged.';
comment on column monitoring.rollup_verdict.q_value is 'p-value adjusted for all columns or subjects and segments of the rollup.';
comment on column monitoring.rollup_verdict.effect is 'Signed size of what moved.';
comment on column monitoring.rollup_verdict.sources is 'How the variance between such spans is known: calibrated or calibrated-short.';
comment on column monitoring.rollup_verdict.reasons is 'Why it was not judged; null where it was.';

-- When rows of a window came, what verdicts on performance know of its labels, and verdicts on rows that stay away.

alter table monitoring.prediction_window add column rows_since timestamptz;
update monitoring.prediction_window set rows_since = ingested_at where n_rows > 0;
comment on column monitoring.prediction_window.rows_since is 'When rows of it were first taken in; null: it never had any.';

alter table monitoring.window_verdict drop constraint window_verdict_kind_check;
alter table monitoring.window_verdict add constraint window_verdict_kind_check check
  (kind in ('performance', 'volume', 'coverage', 'freshness'));
alter table monitoring.window_verdict add column mature boolean;
alter table monitoring.window_verdict add column clock timestamptz;
comment on table monitoring.window_verdict is
  'Calibrated verdicts on performance, volume, coverage and freshness. In SQL use window_verdict_current.';
comment on column monitoring.window_verdict.kind is 'performance, volume, coverage or freshness.';
comment on column monitoring.window_verdict.subject is
  'Empty for the whole, class=X against the rest, or macro; of coverage: the age, such as 3d, empty once all labels are due.';
comment on column monitoring.window_verdict.value is 'Rows, labelled share, or seconds from its end until rows came, of the window.';
comment on column monitoring.window_verdict.mature is
  'Performance: whether the labels are complete, or missing ones cannot move the rarer class by more than a tenth.';
comment on column monitoring.window_verdict.clock is 'Freshness: the moment it is judged at: when rows came, or while none had.';

alter table monitoring.incident add column rank double precision not null default 0 check (rank >= 0);
comment on column monitoring.incident.rank is
  'What to look at first: importance x effect (in the least one that may alarm) x (1 + 10 x relative loss of the headline metric).';
