-- depends: 0002_profiles
-- Metric rows. Each figure is a row that explains itself; a changed figure supersedes the old one, which stays.

create function monitoring.same_figure(a double precision, b double precision) returns boolean
  language sql immutable parallel safe
  return a is not distinct from b
    or (a is not null and b is not null and abs(a - b) <= 1e-12 * greatest(abs(a), abs(b)));
comment on function monitoring.same_figure(double precision, double precision) is
  'Equal up to the order in which two threads added: 1e-12 relative. Nulls are equal.';

create domain monitoring.figure as double precision
  check (value > '-Infinity'::double precision and value < 'Infinity'::double precision);
comment on domain monitoring.figure is 'A finite number: neither NaN nor infinite.';
create domain monitoring.share as double precision check (value >= 0 and value <= 1);
comment on domain monitoring.share is 'A share or probability in [0, 1].';

create table monitoring.drift_metric (
  revision_id bigint generated always as identity primary key,
  monitor text not null,
  model_version text not null,
  window_start timestamptz not null,
  window_end timestamptz not null,
  baseline text not null check (baseline <> ''),
  segment text not null check (segment <> ''),
  column_name text not null check (column_name <> ''),
  role text not null,
  method text not null check (method <> ''),
  value monitoring.figure,
  threshold monitoring.figure,
  threshold_source text not null check (threshold_source in ('default', 'declared', 'calibrated')),
  p_value monitoring.share,
  effect monitoring.figure,
  error_bound monitoring.figure check (error_bound >= 0),
  drifted boolean,
  n_reference bigint not null check (n_reference >= 0),
  n_current bigint not null check (n_current >= 0),
  data_version text not null,
  label_batch bigint check (label_batch >= 0),
  config_version text not null,
  code_version text not null,
  run_id text,
  computed_at timestamptz not null,
  as_known_at timestamptz not null,
  superseded_at timestamptz,
  foreign key (monitor, model_version) references monitoring.known_version,
  check (window_start < window_end),
  check (superseded_at >= as_known_at),
  check (drifted is null or value is not null)
);
create unique index drift_metric_one_current on monitoring.drift_metric
  (monitor, window_start, window_end, model_version, baseline, segment, column_name, method) where superseded_at is null;
create index drift_metric_superseded on monitoring.drift_metric (monitor, window_start) where superseded_at is not null;
comment on table monitoring.drift_metric is 'How far each column moved from each baseline by each method, every revision.';

create table monitoring.quality_metric (
  revision_id bigint generated always as identity primary key,
  monitor text not null,
  model_version text not null,
  window_start timestamptz not null,
  window_end timestamptz not null,
  segment text not null check (segment <> ''),
  column_name text not null check (column_name <> ''),
  metric text not null check (metric <> ''),
  value monitoring.figure,
  threshold monitoring.figure,
  threshold_source text not null check (threshold_source in ('default', 'declared', 'calibrated')),
  violated boolean,
  n bigint not null check (n >= 0),
  detail text,
  data_version text not null,
  label_batch bigint check (label_batch >= 0),
  config_version text not null,
  code_version text not null,
  run_id text,
  computed_at timestamptz not null,
  as_known_at timestamptz not null,
  superseded_at timestamptz,
  foreign key (monitor, model_version) references monitoring.known_version,
  check (window_start < window_end),
  check (superseded_at >= as_known_at),
  check (violated is null or value is not null)
);
create unique index quality_metric_one_current on monitoring.quality_metric
  (monitor, window_start, window_end, model_version, segment, column_name, metric) where superseded_at is null;
create index quality_metric_superseded on monitoring.quality_metric (monitor, window_start) where superseded_at is not null;
comment on table monitoring.quality_metric is 'Data-quality figures, every revision.';

create table monitoring.performance_metric (
  revision_id bigint generated always as identity primary key,
  monitor text not null,
  model_version text not null,
  window_start timestamptz not null,
  window_end timestamptz not null,
  segment text not null check (segment <> ''),
  metric text not null check (metric <> ''),
  kind text not null check (kind in ('realized', 'estimated')),
  value monitoring.figure,
  ci_low monitoring.figure,
  ci_high monitoring.figure,
  threshold monitoring.figure,
  threshold_source text not null check (threshold_source in ('default', 'declared', 'calibrated')),
  degraded boolean,
  n_predictions bigint not null check (n_predictions >= 0),
  n_labelled bigint not null check (n_labelled >= 0),
  coverage monitoring.share,
  mature boolean not null,
  data_version text not null,
  label_batch bigint check (label_batch >= 0),
  config_version text not null,
  code_version text not null,
  run_id text,
  computed_at timestamptz not null,
  as_known_at timestamptz not null,
  superseded_at timestamptz,
  foreign key (monitor, model_version) references monitoring.known_version,
  check (window_start < window_end),
  check (superseded_at >= as_known_at),
  check (n_labelled <= n_predictions),
  check (ci_low <= ci_high),
  check (degraded is null or value is not null)
);
create unique index performance_metric_one_current on monitoring.performance_metric
  (monitor, window_start, window_end, model_version, segment, metric, kind) where superseded_at is null;
create index performance_metric_superseded on monitoring.performance_metric (monitor, window_start)
  where superseded_at is not null;
comment on table monitoring.performance_metric is 'How well the model predicts, every revision: late labels supersede figures.';
