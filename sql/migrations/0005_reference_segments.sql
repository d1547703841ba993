-- depends: 0004_decisions
-- What the reference says of each segment, with its outcomes: what windows of that segment are compared with.

create table monitoring.reference_segment (
  monitor text not null,
  model_version text not null,
  segment text not null check (segment <> ''),
  layout_id text not null references monitoring.layout,
  n_rows bigint not null check (n_rows >= 0),
  counts bigint[] not null,
  sums double precision[] not null,
  n_labelled bigint not null check (n_labelled >= 0),
  outcome_counts bigint[] not null,
  outcome_sums double precision[] not null,
  target_counts bigint[],
  target_sums double precision[],
  primary key (monitor, model_version, segment),
  foreign key (monitor, model_version) references monitoring.reference_profile on delete cascade,
  check (n_labelled <= n_rows),
  check ((target_counts is null) = (target_sums is null))
);
comment on table monitoring.reference_segment is 'The reference by segment (`*` is everything), with its outcomes.';
comment on column monitoring.reference_segment.n_rows is 'Rows of the reference in the segment.';
comment on column monitoring.reference_segment.n_labelled is 'Rows with an outcome.';
comment on column monitoring.reference_segment.outcome_counts is 'As labelled_profile.counts.';
comment on column monitoring.reference_segment.outcome_sums is 'As labelled_profile.sums.';
comment on column monitoring.reference_segment.target_counts is 'As labelled_profile.target_counts.';
comment on column monitoring.reference_segment.target_sums is 'As labelled_profile.target_sums.';
