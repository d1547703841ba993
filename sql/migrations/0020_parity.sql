-- depends: 0016_retraining
-- Served features against the same features computed again.

create table monitoring.parity (
  monitor text not null references monitoring.monitor,
  window_start timestamptz not null,
  window_end timestamptz not null,
  column_name text not null,
  n_compared bigint not null check (n_compared >= 0),
  n_differing bigint not null check (n_differing >= 0 and n_differing <= n_compared),
  n_unmatched bigint not null check (n_unmatched >= 0),
  example text not null,
  tolerance double precision not null check (tolerance >= 0),
  data_version text not null,
  code_version text not null,
  run_id text,
  computed_at timestamptz not null default clock_timestamp(),
  primary key (monitor, window_start, column_name),
  check (window_start < window_end)
);
comment on table monitoring.parity is 'Sampled predictions whose features were computed again and compared with those served.';
comment on column monitoring.parity.column_name is 'Feature; * for rows: differing in any feature.';
comment on column monitoring.parity.n_compared is 'Sampled predictions that were compared.';
comment on column monitoring.parity.n_differing is 'How many of them differ by more than the tolerance.';
comment on column monitoring.parity.n_unmatched is 'Sampled predictions that the recomputation does not know; they are not compared.';
comment on column monitoring.parity.example is 'The first that differs: its id, the served and the recomputed value.';
comment on column monitoring.parity.tolerance is 'Relative difference up to which numbers are equal.';
