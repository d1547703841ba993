-- depends: 0001_ledger
-- Model versions, the layouts their references fix, and the mergeable profiles.

create table monitoring.known_version (
  monitor text not null references monitoring.monitor,
  model_version text not null check (model_version <> ''),
  first_seen_at timestamptz not null default now(),
  primary key (monitor, model_version)
);
comment on table monitoring.known_version is 'Model versions that figures may belong to.';
comment on column monitoring.known_version.first_seen_at is 'When the version was first met.';

create table monitoring.model_version (
  revision_id bigint generated always as identity primary key,
  monitor text not null,
  model_version text not null,
  role text not null check (role in ('champion', 'challenger', 'retired', 'rejected')),
  trained_at timestamptz,
  train_start timestamptz,
  train_end timestamptz,
  algorithm text,
  hyperparameters jsonb not null default '{}' check (jsonb_typeof(hyperparameters) = 'object'),
  training_metrics jsonb not null default '{}' check (jsonb_typeof(training_metrics) = 'object'),
  artifact_uri text,
  artifact_sha256 text check (artifact_sha256 ~ '^[0-9a-f]{64}$'),
  run_id text,
  code_version text,
  as_known_at timestamptz not null default now(),
  superseded_at timestamptz,
  foreign key (monitor, model_version) references monitoring.known_version,
  check (train_start < train_end),
  check (superseded_at >= as_known_at)
);
create unique index model_version_one_current on monitoring.model_version (monitor, model_version)
  where superseded_at is null;
create unique index model_version_one_champion on monitoring.model_version (monitor)
  where superseded_at is null and role = 'champion';
comment on table monitoring.model_version is 'Registered model versions, every revision; a version has one current row, a monitor one champion.';
comment on column monitoring.model_version.role is 'champion (in service), challenger (candidate), retired or rejected.';
comment on column monitoring.model_version.trained_at is 'When training ended.';
comment on column monitoring.model_version.train_start is 'First event time of the training data.';
comment on column monitoring.model_version.train_end is 'End of the training data.';
comment on column monitoring.model_version.algorithm is 'Name of the learning algorithm.';
comment on column monitoring.model_version.hyperparameters is 'Hyperparameters by name.';
comment on column monitoring.model_version.training_metrics is 'Figures of the training by name.';
comment on column monitoring.model_version.artifact_uri is 'Where the serialized model lies.';
comment on column monitoring.model_version.artifact_sha256 is 'SHA-256 of the serialized model, verified before it is loaded.';

create table monitoring.layout (
  layout_id text primary key,
  layout jsonb not null check (jsonb_typeof(layout) = 'object'),
  created_at timestamptz not null default now()
);
comment on table monitoring.layout is 'Bins and categories that a reference fixed. The id names the content.';
comment on column monitoring.layout.layout is 'Columns with edges and categories, and how outcomes are counted.';
comment on column monitoring.layout.created_at is 'When the layout was first met.';

create table monitoring.layout_column (
  layout_id text not null references monitoring.layout,
  position integer not null check (position >= 0),
  column_name text not null,
  role text not null check (role in ('feature', 'prediction', 'score', 'target')),
  kind text not null check (kind in ('numerical', 'categorical')),
  edges double precision[] not null,
  categories text[] not null,
  first_count integer check (first_count >= 1),
  n_bins integer not null check (n_bins >= 1),
  first_sum integer check (first_sum >= 1),
  primary key (layout_id, position),
  unique (layout_id, column_name, role)
);
comment on table monitoring.layout_column is 'Columns of a layout, and where their figures stand in the arrays of profile.';
comment on column monitoring.layout_column.position is 'Place in the layout, from 0.';
comment on column monitoring.layout_column.role is 'feature, prediction, score or target.';
comment on column monitoring.layout_column.kind is 'numerical or categorical.';
comment on column monitoring.layout_column.edges is
  'Numerical: edges e0 < … < ek. Bins are (-inf, e0], (e0, e1], …, (ek, inf); the first is the underflow, the last the overflow.';
comment on column monitoring.layout_column.categories is 'Categorical: the categories counted; a last bin counts the unseen ones.';
comment on column monitoring.layout_column.first_count is
  'Index (from 1) in profile.counts of n, n_missing, n_nan, n_inf, n_zero and then the bins. Null for the target.';
comment on column monitoring.layout_column.n_bins is 'Number of bins.';
comment on column monitoring.layout_column.first_sum is
  'Index (from 1) in profile.sums of minimum, maximum, mean and m2. Null for the target.';

create table monitoring.reference_profile (
  monitor text not null,
  model_version text not null,
  window_start timestamptz not null,
  window_end timestamptz not null,
  layout_id text not null references monitoring.layout,
  n_rows bigint not null check (n_rows >= 0),
  counts bigint[] not null,
  sums double precision[] not null,
  source_version text not null,
  run_id text,
  computed_at timestamptz not null default now(),
  primary key (monitor, model_version),
  foreign key (monitor, model_version) references monitoring.known_version,
  check (window_start < window_end)
);
comment on table monitoring.reference_profile is 'The profile of the rows each model version was validated on.';
comment on column monitoring.reference_profile.n_rows is 'Rows of the reference.';
comment on column monitoring.reference_profile.source_version is 'Version of the reference''s source.';
comment on column monitoring.reference_profile.computed_at is 'When the reference last changed.';

create table monitoring.profile (
  monitor text not null,
  model_version text not null,
  window_start timestamptz not null,
  window_end timestamptz not null,
  segment text not null check (segment <> ''),
  layout_id text not null references monitoring.layout,
  n_rows bigint not null check (n_rows >= 0),
  counts bigint[] not null,
  sums double precision[] not null,
  data_version text not null,
  run_id text,
  computed_at timestamptz not null default now(),
  primary key (monitor, window_start, window_end, model_version, segment),
  foreign key (monitor, model_version) references monitoring.known_version,
  check (window_start < window_end)
);
comment on table monitoring.profile is
  'Mergeable summaries of windows: for SQL use the view column_profile_current. They add up over windows and segments.';
comment on column monitoring.profile.n_rows is 'Rows of the window, version and segment.';

create table monitoring.labelled_profile (
  monitor text not null,
  model_version text not null,
  window_start timestamptz not null,
  window_end timestamptz not null,
  segment text not null check (segment <> ''),
  layout_id text not null references monitoring.layout,
  label_batch bigint not null check (label_batch >= 0),
  n_predictions bigint not null check (n_predictions >= 0),
  n_labelled bigint not null check (n_labelled >= 0),
  counts bigint[] not null,
  sums double precision[] not null,
  target_counts bigint[],
  target_sums double precision[],
  data_version text not null,
  run_id text,
  computed_at timestamptz not null default now(),
  primary key (monitor, window_start, window_end, model_version, segment),
  foreign key (monitor, model_version) references monitoring.known_version,
  check (window_start < window_end),
  check (n_labelled <= n_predictions),
  check ((target_counts is null) = (target_sums is null))
);
comment on table monitoring.labelled_profile is 'Predictions counted against outcomes, as known at the last label batch.';
comment on column monitoring.labelled_profile.n_predictions is 'Predictions of the window, version and segment.';
comment on column monitoring.labelled_profile.n_labelled is 'Predictions with a known outcome.';
comment on column monitoring.labelled_profile.counts is
  'n_predictions, n_labelled, n_scored, n_nonzero, then score counts, labelled counts, positive counts, confusion, error counts.';
comment on column monitoring.labelled_profile.sums is 'Score sums, labelled score sums, then the sums of the task.';
comment on column monitoring.labelled_profile.target_counts is 'The outcome''s own column: n, n_missing, n_nan, n_inf, n_zero, bins.';
comment on column monitoring.labelled_profile.target_sums is 'The outcome''s own minimum, maximum, mean and m2.';
