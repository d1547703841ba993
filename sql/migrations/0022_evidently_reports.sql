-- depends: 0021_rollups
-- Where Evidently's reports lie, so that dashboards can name them.

create table monitoring.evidently_report (
  monitor text not null references monitoring.monitor,
  window_start timestamptz not null,
  window_end timestamptz not null,
  model_version text not null,
  path text not null,
  performance_path text,
  n_current bigint not null check (n_current >= 0),
  n_reference bigint not null check (n_reference >= 0),
  n_labelled bigint not null check (n_labelled >= 0),
  sampled boolean not null,
  code_version text not null,
  run_id text,
  computed_at timestamptz not null default clock_timestamp(),
  primary key (monitor, window_start, window_end),
  check (window_start < window_end)
);
comment on table monitoring.evidently_report is 'Evidently''s reports in HTML: of one window when asked for, of each period where the monitor declares evidently.';
comment on column monitoring.evidently_report.model_version is 'Version with the most rows; its reference is what they are compared with.';
comment on column monitoring.evidently_report.path is 'File with drift and summary of the columns, on the machine of the run.';
comment on column monitoring.evidently_report.performance_path is 'File with drift of the outcome and performance, of the labelled rows; null: too few labels.';
comment on column monitoring.evidently_report.n_current is 'Rows of the window that it shows.';
comment on column monitoring.evidently_report.n_reference is 'Rows of the reference that it shows.';
comment on column monitoring.evidently_report.n_labelled is 'Rows of the window that it shows with their outcome.';
comment on column monitoring.evidently_report.sampled is 'Whether there were more rows than it shows, on either side.';
