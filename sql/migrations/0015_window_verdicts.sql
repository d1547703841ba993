-- Calibrated verdicts on performance, volume and coverage.

create table monitoring.window_verdict (
  monitor text not null references monitoring.monitor,
  window_start timestamptz not null,
  window_end timestamptz not null,
  kind text not null check (kind in ('performance', 'volume', 'coverage')),
  model_version text not null,
  segment text not null check (segment <> ''),
  subject text not null,
  status text not null check (status in ('alarm', 'notice', 'quiet', 'abstained')),
  contrast text not null,
  horizon integer not null check (horizon > 0),
  effect double precision,
  p_value double precision check (p_value >= 0 and p_value <= 1),
  q_value double precision check (q_value >= 0 and q_value <= 1),
  value double precision,
  expected double precision,
  source text not null,
  reason text not null,
  cause text not null,
  judgement_id bigint not null,
  primary key (monitor, window_start, kind, model_version, segment, subject),
  check (window_start < window_end)
);
comment on table monitoring.window_verdict is 'Calibrated verdicts on performance, volume and coverage. In SQL use window_verdict_current.';
comment on column monitoring.window_verdict.kind is 'performance, volume or coverage.';
comment on column monitoring.window_verdict.model_version is 'Version of the model; empty for volume and coverage.';
comment on column monitoring.window_verdict.subject is 'Empty for the whole, class=X against the rest, or macro.';
comment on column monitoring.window_verdict.status is 'alarm, notice (explained), quiet or abstained (not judged, see reason).';
comment on column monitoring.window_verdict.contrast is
  'What moved most: auc, level, slope (classification), bias, scale (regression), error (no scores), rows or labelled share.';
comment on column monitoring.window_verdict.effect is
  'Its size: change of AUC; log odds; change of slope; reference RMSEs; log ratio of MAE, of rows; change of a share.';
comment on column monitoring.window_verdict.judgement_id is 'The declaration and policy; see judgement.';
comment on column monitoring.window_verdict.value is 'Rows, or labelled share, of the window.';
comment on column monitoring.window_verdict.expected is 'The same as expected from earlier windows.';
comment on column monitoring.window_verdict.reason is 'Why it is not judged, or why an alarm is only a notice.';
comment on column monitoring.window_verdict.cause is 'Likely cause of degraded performance: concept, base rate or calibration, harder mix …';

create table monitoring.window_fold (
  monitor text primary key references monitoring.monitor,
  inputs text not null
);
comment on table monitoring.window_fold is 'What the verdicts on performance, volume and coverage of a monitor were last made from.';
comment on column monitoring.window_fold.inputs is 'Digest of profiles, row counts, ages and rules.';
