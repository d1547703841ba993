-- depends: 0022_evidently_reports
-- What verdicts on whole windows are folded from, so that a new window is judged without the first one being read again.

create table monitoring.window_fold_state (
  monitor text not null references monitoring.monitor,
  kind text not null check (kind in ('performance', 'volume', 'coverage')),
  window_start timestamptz not null,
  made_from text not null,
  series text not null,
  state bytea not null,
  primary key (monitor, kind, window_start)
);
comment on table monitoring.window_fold_state is 'What later windows need to know of a judged one. Whatever is missing, or made from something else, is folded anew from the first such window on.';
comment on column monitoring.window_fold_state.kind is 'performance, volume or coverage.';
comment on column monitoring.window_fold_state.made_from is 'Digest of the rules and of what this window and all before it were judged from.';
comment on column monitoring.window_fold_state.series is 'What the rows of the state are about, as a JSON list.';
comment on column monitoring.window_fold_state.state is 'A row of 8-byte floats for each of them.';

create table monitoring.performance_calibration (
  monitor text not null references monitoring.monitor,
  model_version text not null,
  made_from text not null,
  calibration text not null,
  primary key (monitor, model_version)
);
comment on table monitoring.performance_calibration is 'What the reference of a model version teaches about its performance in windows: contrasts and how much they vary. Made anew when the reference or the rules change.';
comment on column monitoring.performance_calibration.made_from is 'Digest of the reference''s version and of the rules.';
comment on column monitoring.performance_calibration.calibration is 'By segment and subject, as JSON.';
