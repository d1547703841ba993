-- One calibrated verdict for each column and window, beside the verdicts on single metrics.

alter table monitoring.threshold_set drop constraint threshold_set_sources_check;
alter table monitoring.threshold_set add constraint threshold_set_sources_check check
  (sources <@ array['default', 'declared', 'calibrated', 'calibrated-short', 'learnt', 'provisional', 'none']);
comment on column monitoring.threshold_set.sources is
  'declared, default, or how the column''s own verdict was reached: calibrated, calibrated-short, learnt or provisional; none: not judged.';
comment on column monitoring.metric_keys.family is 'drift, quality, realized, estimated, or column for verdicts on columns.';

create table monitoring.judged_window (
  monitor text not null references monitoring.monitor,
  window_start timestamptz not null,
  window_end timestamptz not null,
  profile_version text not null,
  null_version text not null,
  level double precision not null check (level >= 0 and level <= 1),
  n_judged integer not null check (n_judged >= 0),
  n_alarms integer not null check (n_alarms >= 0),
  n_notices integer not null check (n_notices >= 0),
  judgement_id bigint not null,
  primary key (monitor, window_start),
  check (window_start < window_end)
);
comment on table monitoring.judged_window is
  'What the verdicts on the columns of a window rest on. When it changes, this window and all later ones are judged again.';
comment on column monitoring.judged_window.profile_version is 'Version of the window''s profile.';
comment on column monitoring.judged_window.null_version is 'Digest of the references, the settings under alarms and the version of the rules.';
comment on column monitoring.judged_window.level is 'Chance of a false incident that the budget allows this window; q-values up to it alarm.';
comment on column monitoring.judged_window.n_judged is 'Columns of all segments that were judged.';
comment on column monitoring.judged_window.n_alarms is 'How many of them alarm.';
comment on column monitoring.judged_window.n_notices is 'How many differ from the reference as earlier weeks led to expect.';
comment on column monitoring.judged_window.judgement_id is 'The declaration and policy; see judgement.';

create table monitoring.column_verdict (
  monitor text not null,
  window_start timestamptz not null,
  window_end timestamptz not null,
  model_version text not null,
  segment text not null check (segment <> ''),
  metric_keys_id integer not null references monitoring.metric_keys,
  p_value real[] not null,
  p_alarm real[] not null,
  q_value real[] not null,
  season_known boolean[] not null,
  status smallint[] not null,
  moved text[] not null,
  horizon smallint[] not null,
  effect real[] not null,
  n bigint[] not null,
  sources text[] not null,
  pinned smallint[],
  primary key (window_start, monitor, model_version, segment),
  check (window_start < window_end),
  check (cardinality(p_value) = cardinality(status) and cardinality(moved) = cardinality(status))
) partition by range (window_start);
comment on table monitoring.column_verdict is 'Verdicts on columns: one row per window, model version and segment. In SQL use column_verdict_current.';
comment on column monitoring.column_verdict.metric_keys_id is 'Column at each position of the arrays; see metric_keys.';
comment on column monitoring.column_verdict.p_value is 'p-value against the reference, over contrasts and horizons; NaN: not judged.';
comment on column monitoring.column_verdict.p_alarm is 'The p-value that counts: also against the same hours of earlier weeks, unless the difference has just begun.';
comment on column monitoring.column_verdict.q_value is 'p_alarm adjusted for all columns and segments of the window (Benjamini-Hochberg).';
comment on column monitoring.column_verdict.season_known is 'Whether there were earlier weeks to compare with.';
comment on column monitoring.column_verdict.status is '2 alarm, 1 notice: explained by earlier weeks, 0 quiet, -1 not judged.';
comment on column monitoring.column_verdict.moved is 'What moved most: location, spread, shape, outside, missing, unseen or category X; null: nothing beyond the floor.';
comment on column monitoring.column_verdict.horizon is 'Number of trailing windows that were merged to see it.';
comment on column monitoring.column_verdict.effect is 'Signed size of what moved, in standard deviations of the reference or of a share''s arcsine.';
comment on column monitoring.column_verdict.n is 'Values in the window.';
comment on column monitoring.column_verdict.sources is 'How the variance between windows is known: calibrated, calibrated-short, learnt or provisional; one for all columns alike.';
comment on column monitoring.column_verdict.pinned is 'Status by a pinned threshold, which replaces the calibrated one; null: none is pinned.';

create table monitoring.drift_null (
  monitor text not null references monitoring.monitor,
  model_version text not null,
  segment text not null check (segment <> ''),
  valid_from timestamptz not null,
  column_names text[] not null,
  contrasts text[] not null,
  s2 double precision[] not null,
  noise double precision[] not null,
  df double precision[] not null,
  rho double precision[] not null,
  tail double precision[] not null,
  season_s2 double precision[] not null,
  season_df double precision[] not null,
  sources text[] not null,
  primary key (monitor, model_version, segment)
);
comment on table monitoring.drift_null is 'How much each contrast of each column varies between windows without drift, as last learnt.';
comment on column monitoring.drift_null.valid_from is 'Start of the week it was last used for.';
comment on column monitoring.drift_null.column_names is 'Column at each position.';
comment on column monitoring.drift_null.contrasts is 'location, spread, outside, missing, unseen or category X.';
comment on column monitoring.drift_null.s2 is 'Variance of the contrast between reference blocks.';
comment on column monitoring.drift_null.noise is 'The part of it that is sampling.';
comment on column monitoring.drift_null.df is 'Degrees of freedom.';
comment on column monitoring.drift_null.rho is 'Autocorrelation between neighbouring windows.';
comment on column monitoring.drift_null.tail is 'Degrees of freedom of Student''s t that the effects of windows follow.';
comment on column monitoring.drift_null.season_s2 is 'The same variance about what earlier weeks lead to expect.';
comment on column monitoring.drift_null.season_df is 'Its degrees of freedom.';
comment on column monitoring.drift_null.sources is 'calibrated, calibrated-short, learnt or provisional.';
