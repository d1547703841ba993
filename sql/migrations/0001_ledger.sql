-- The ledger: monitors, their sources, the windows taken in, label batches, and what each stage was computed from.

create schema if not exists monitoring;
comment on schema monitoring is
  'Model monitoring. Views named *_current show the latest figures; the tables behind them keep every revision.';

create table monitoring.monitor (
  monitor text primary key check (monitor ~ '^[A-Za-z][A-Za-z0-9_]*$'),
  description text not null default '',
  task text not null check (task in ('binary', 'multiclass', 'regression')),
  window_size text not null check (window_size in ('hour', 'day')),
  starts_on date not null,
  owner_team text,
  owner_email text,
  baselines text[] not null default '{}',
  segmentations text[] not null default '{}',
  has_ground_truth boolean not null,
  label_coverage double precision not null check (label_coverage >= 0 and label_coverage <= 1),
  label_max_delay interval not null check (label_max_delay >= interval '0'),
  config_version text not null,
  declared_at timestamptz not null default now(),
  source_revision bigint not null default 0 check (source_revision >= 0),
  ingestion_revision bigint not null default 0 check (ingestion_revision >= 0)
);
comment on table monitoring.monitor is 'Declared models, as declared last. One row a monitor.';
comment on column monitoring.monitor.description is 'What the owner says the model does.';
comment on column monitoring.monitor.task is 'binary, multiclass or regression.';
comment on column monitoring.monitor.window_size is 'Length of the smallest window: hour or day (UTC).';
comment on column monitoring.monitor.starts_on is 'First day that is monitored.';
comment on column monitoring.monitor.owner_team is 'Team that answers for the model.';
comment on column monitoring.monitor.owner_email is 'Where that team is reached.';
comment on column monitoring.monitor.baselines is 'What windows are compared with: training, previous, seasonal.';
comment on column monitoring.monitor.segmentations is 'Declared segmentations; columns of a combination are joined by a comma.';
comment on column monitoring.monitor.has_ground_truth is 'Whether true outcomes are declared.';
comment on column monitoring.monitor.label_coverage is 'Labelled share in [0, 1] at which a window counts as mature.';
comment on column monitoring.monitor.label_max_delay is 'Age at which a window counts as mature whatever its coverage.';
comment on column monitoring.monitor.declared_at is 'When this declaration was first seen.';
comment on column monitoring.monitor.source_revision is 'Counter: grows whenever a source file is found new or changed.';
comment on column monitoring.monitor.ingestion_revision is 'Counter: grows whenever a window is taken in.';

create table monitoring.monitor_declaration (
  monitor text not null references monitoring.monitor,
  config_version text not null,
  declaration jsonb not null,
  declared_at timestamptz not null default now(),
  primary key (monitor, config_version)
);
comment on table monitoring.monitor_declaration is 'Every declaration a monitor ever had, by config version.';
comment on column monitoring.monitor_declaration.declaration is 'The whole declaration with its defaults, as JSON.';
comment on column monitoring.monitor_declaration.declared_at is 'When this declaration was first seen.';

create table monitoring.source_file (
  monitor text not null references monitoring.monitor,
  role text not null check (role in ('predictions', 'ground_truth', 'reference')),
  path text not null check (path <> ''),
  size bigint not null check (size >= 0),
  modified_at timestamptz not null,
  n_rows bigint not null check (n_rows >= 0),
  n_unplaced bigint not null default 0 check (n_unplaced >= 0),
  unplaced_example text,
  error text,
  revision bigint not null check (revision > 0),
  first_seen_at timestamptz not null default now(),
  indexed_at timestamptz not null default now(),
  primary key (monitor, role, path),
  check (n_unplaced <= n_rows)
);
comment on table monitoring.source_file is 'Source files looked at. A SQL table is one pseudo file a window: sql:<table>@<window start>.';
comment on column monitoring.source_file.role is 'predictions, ground_truth or reference.';
comment on column monitoring.source_file.path is 'Path or URL of the file.';
comment on column monitoring.source_file.size is 'Bytes; for a SQL pseudo file the number of rows.';
comment on column monitoring.source_file.modified_at is 'Last change of the file as its store says.';
comment on column monitoring.source_file.n_rows is 'Rows in the file.';
comment on column monitoring.source_file.n_unplaced is 'Rows without a readable event time; they belong to no window.';
comment on column monitoring.source_file.unplaced_example is 'One of the unreadable event times.';
comment on column monitoring.source_file.error is 'Why the file cannot be read; null when it can.';
comment on column monitoring.source_file.revision is 'The monitor''s source_revision when the file was last found new or changed.';
comment on column monitoring.source_file.first_seen_at is 'When the file was first found.';
comment on column monitoring.source_file.indexed_at is 'When the file was last read.';

create table monitoring.source_file_window (
  monitor text not null,
  role text not null,
  path text not null,
  window_start timestamptz not null,
  n_rows bigint not null check (n_rows >= 0),
  revision bigint not null check (revision > 0),
  primary key (monitor, role, window_start, path),
  foreign key (monitor, role, path) references monitoring.source_file on delete cascade
);
comment on table monitoring.source_file_window is 'Which rows of which source file fall in which window.';
comment on column monitoring.source_file_window.role is 'predictions, ground_truth or reference.';
comment on column monitoring.source_file_window.path is 'Path or URL of the file.';
comment on column monitoring.source_file_window.n_rows is 'Rows of the file in the window; 0 when a changed file no longer has any.';
comment on column monitoring.source_file_window.revision is 'Revision of the file when this was last counted.';

create table monitoring.prediction_window (
  monitor text not null references monitoring.monitor,
  window_start timestamptz not null,
  window_end timestamptz not null,
  n_rows bigint not null check (n_rows >= 0),
  n_duplicates bigint not null check (n_duplicates >= 0),
  n_quarantined bigint not null check (n_quarantined >= 0),
  last_event_at timestamptz,
  data_version text not null check (data_version <> ''),
  source_revision bigint not null check (source_revision >= 0),
  ingestion_revision bigint not null check (ingestion_revision > 0),
  lake_files text[] not null,
  versions jsonb not null default '{}' check (jsonb_typeof(versions) = 'object'),
  contract jsonb not null default '{}' check (jsonb_typeof(contract) = 'object'),
  run_id text,
  ingested_at timestamptz not null default now(),
  primary key (monitor, window_start),
  check (window_start < window_end),
  check (last_event_at is null or (last_event_at >= window_start and last_event_at < window_end))
);
comment on table monitoring.prediction_window is 'Windows of the prediction log taken into the lake, as taken in last.';
comment on column monitoring.prediction_window.n_rows is 'Predictions kept.';
comment on column monitoring.prediction_window.n_duplicates is 'Rows dropped because their prediction id was there already.';
comment on column monitoring.prediction_window.n_quarantined is 'Rows set aside as unusable; reasons in window_quarantine.';
comment on column monitoring.prediction_window.last_event_at is 'Latest event time among the rows kept.';
comment on column monitoring.prediction_window.source_revision is 'Newest revision among the source files that were read.';
comment on column monitoring.prediction_window.ingestion_revision is 'The monitor''s ingestion_revision when the window was taken in.';
comment on column monitoring.prediction_window.lake_files is 'Parquet files of the window.';
comment on column monitoring.prediction_window.versions is 'Rows by model version.';
comment on column monitoring.prediction_window.contract is
  'How the columns met differ from those declared: missing, extra, retyped, invalid.';
comment on column monitoring.prediction_window.ingested_at is 'When the window was last taken in.';

create table monitoring.window_quarantine (
  monitor text not null,
  window_start timestamptz not null,
  reason text not null check (reason <> ''),
  count bigint not null check (count > 0),
  primary key (monitor, window_start, reason),
  foreign key (monitor, window_start) references monitoring.prediction_window on delete cascade
);
comment on table monitoring.window_quarantine is 'Why prediction rows of a window were set aside.';
comment on column monitoring.window_quarantine.reason is 'What was wrong with the rows.';
comment on column monitoring.window_quarantine.count is 'Number of rows.';

create table monitoring.label_batch (
  monitor text not null references monitoring.monitor,
  batch bigint not null check (batch > 0),
  n_rows bigint not null check (n_rows >= 0),
  n_matched bigint not null check (n_matched >= 0),
  n_unknown bigint not null check (n_unknown >= 0),
  n_duplicates bigint not null check (n_duplicates >= 0),
  n_quarantined bigint not null check (n_quarantined >= 0),
  quarantine jsonb not null default '{}' check (jsonb_typeof(quarantine) = 'object'),
  pending_file text,
  ingestion_revision bigint not null check (ingestion_revision >= 0),
  run_id text,
  taken_in_at timestamptz not null default now(),
  primary key (monitor, batch)
);
comment on table monitoring.label_batch is 'Intakes of ground truth, numbered by monitor.';
comment on column monitoring.label_batch.batch is 'Number of the intake; a later one wins over an earlier.';
comment on column monitoring.label_batch.n_rows is 'Label rows read, pending ones of earlier batches included.';
comment on column monitoring.label_batch.n_matched is 'Labels whose prediction is known.';
comment on column monitoring.label_batch.n_unknown is 'Labels whose prediction id is not known (yet); tried again with the next batch.';
comment on column monitoring.label_batch.n_duplicates is 'Labels superseded by another row of the same batch.';
comment on column monitoring.label_batch.n_quarantined is 'Rows set aside as unusable.';
comment on column monitoring.label_batch.quarantine is 'Rows set aside, by reason.';
comment on column monitoring.label_batch.pending_file is 'Lake file of all labels still unmatched after this batch.';
comment on column monitoring.label_batch.ingestion_revision is 'The monitor''s ingestion_revision that the labels were matched against.';
comment on column monitoring.label_batch.taken_in_at is 'When the batch was taken in.';

create table monitoring.label_batch_window (
  monitor text not null,
  batch bigint not null,
  window_start timestamptz not null,
  n_labels bigint not null check (n_labels >= 0),
  lake_file text not null,
  primary key (monitor, window_start, batch),
  foreign key (monitor, batch) references monitoring.label_batch,
  foreign key (monitor, window_start) references monitoring.prediction_window
);
comment on table monitoring.label_batch_window is 'Windows a label batch touched.';
comment on column monitoring.label_batch_window.batch is 'Number of the label batch.';
comment on column monitoring.label_batch_window.n_labels is 'Labels of the batch that belong to the window.';
comment on column monitoring.label_batch_window.lake_file is 'Where in the lake these labels lie.';

create table monitoring.label_batch_file (
  monitor text not null,
  batch bigint not null,
  path text not null,
  revision bigint not null check (revision > 0),
  primary key (monitor, path, batch),
  foreign key (monitor, batch) references monitoring.label_batch
);
comment on table monitoring.label_batch_file is 'Ground-truth files a batch read, at which revision.';
comment on column monitoring.label_batch_file.batch is 'Number of the label batch.';
comment on column monitoring.label_batch_file.path is 'Path or URL of the file.';
comment on column monitoring.label_batch_file.revision is 'Revision of the file when it was read; see source_file.';

create table monitoring.window_stage (
  monitor text not null references monitoring.monitor,
  window_start timestamptz not null,
  window_end timestamptz not null,
  stage text not null check (stage in ('ingestion', 'profile', 'ground_truth', 'drift', 'quality', 'performance')),
  data_version text,
  label_batch bigint check (label_batch >= 0),
  config_version text,
  code_version text,
  run_id text,
  completed_at timestamptz,
  changed_at timestamptz,
  attempts integer not null default 0 check (attempts >= 0),
  last_error text,
  failed_at timestamptz,
  failed_source_revision bigint,
  failed_label_batch bigint,
  failed_config_version text,
  primary key (monitor, window_start, stage),
  check (window_start < window_end),
  check ((completed_at is null) = (data_version is null)),
  check ((last_error is null) = (attempts = 0))
);
comment on table monitoring.window_stage is
  'What each stage of each window was last computed from, and how its attempts since then went.';
comment on column monitoring.window_stage.stage is 'ingestion, profile, ground_truth, drift, quality or performance.';
comment on column monitoring.window_stage.completed_at is 'When the stage was last completed.';
comment on column monitoring.window_stage.changed_at is 'When the stage was first completed from what it is computed from now.';
comment on column monitoring.window_stage.attempts is 'Failures since the last success, from the same sources, labels and declaration.';
comment on column monitoring.window_stage.last_error is 'Why the last attempt failed; null after a success.';
comment on column monitoring.window_stage.failed_at is 'When the last attempt failed.';
comment on column monitoring.window_stage.failed_source_revision is 'Revision of the sources the attempts were made on.';
comment on column monitoring.window_stage.failed_label_batch is 'Label batch the attempts were made on.';
comment on column monitoring.window_stage.failed_config_version is 'Declaration the attempts were made on.';
