-- depends: 0008_read_as
-- One store of profiles: a row for each (monitor, scope, window, model version, segment, part), in monthly partitions.
--
-- scope: the profile of a window of the prediction log, of a whole reference, or of a block (a time slice) of a reference.
-- part: what was counted; its format number says how to read the arrays, so that arrays can be added later.

drop view if exists monitoring.stale_window, monitoring.window_status, monitoring.column_profile_current;

create or replace function monitoring.ensure_months(parent text, starts timestamptz[]) returns integer
  language plpgsql as $$
declare
  month timestamptz;
  made integer := 0;
  child text;
begin
  for month in
    select distinct date_trunc('month', s at time zone 'UTC') at time zone 'UTC' from unnest(starts) s order by 1
  loop
    child := format('%s_y%sm%s', parent, to_char(month at time zone 'UTC', 'YYYY'), to_char(month at time zone 'UTC', 'MM'));
    if to_regclass(format('monitoring.%I', child)) is null then
      perform pg_advisory_xact_lock(hashtextextended('monitoring:month:' || child, 0));
      if to_regclass(format('monitoring.%I', child)) is null then
        execute format('create table monitoring.%I partition of monitoring.%I for values from (%L) to (%L)', child, parent,
                       month, (month at time zone 'UTC' + interval '1 month') at time zone 'UTC');
        made := made + 1;
      end if;
    end if;
  end loop;
  return made;
end
$$;
comment on function monitoring.ensure_months(text, timestamptz[]) is
  'Creates the monthly partitions (UTC) of a table that contain these windows, where missing. Returns how many were created.';

alter table monitoring.profile rename to profile_before;
alter table monitoring.profile_before rename constraint profile_pkey to profile_before_pkey;

-- No foreign keys: making a partition would lock the tables they refer to against every writer.
create table monitoring.profile (
  monitor text not null,
  scope text not null check (scope in ('window', 'reference', 'block')),
  window_start timestamptz not null,
  window_end timestamptz not null,
  model_version text not null,
  segment text not null check (segment <> ''),
  part text not null check (part <> ''),
  format smallint not null check (format >= 1),
  layout_id text not null,
  n_rows bigint not null check (n_rows >= 0),
  n_labelled bigint check (n_labelled >= 0),
  label_batch bigint check (label_batch >= 0),
  counts bigint[] not null,
  sums double precision[] not null,
  primary key (monitor, window_start, window_end, scope, model_version, segment, part),
  check (window_start < window_end),
  check (n_labelled <= n_rows)
) partition by range (window_start);
comment on table monitoring.profile is
  'Mergeable summaries: for SQL use the views column_profile_current and reference_profile_current. They add up over windows and segments.';
comment on column monitoring.profile.scope is 'window: a window of the prediction log; reference: a whole reference; block: a time slice of a reference.';
comment on column monitoring.profile.part is
  'columns (every column by bin), target (the outcome''s own column), outcomes (predictions against outcomes), prediction_bins, labelled_bins, comoments.';
comment on column monitoring.profile.format is 'Format of the part''s arrays.';
comment on column monitoring.profile.n_rows is 'Rows of the window, model version and segment.';
comment on column monitoring.profile.n_labelled is 'Rows with a known outcome; only of part outcomes.';
comment on column monitoring.profile.label_batch is 'Newest label batch used; null in parts that need no labels.';
comment on column monitoring.profile.counts is 'Counts of the part, in the order of its format.';
comment on column monitoring.profile.sums is 'Sums, means and extremes of the part, in the order of its format.';

select monitoring.ensure_months('profile', (
  select array_agg(distinct month) from (
    select date_trunc('month', window_start, 'UTC') as month from monitoring.profile_before
    union select date_trunc('month', window_start, 'UTC') from monitoring.labelled_profile
    union select date_trunc('month', window_start, 'UTC') from monitoring.reference_profile) months));

insert into monitoring.profile (monitor, scope, window_start, window_end, model_version, segment, part, format, layout_id, n_rows, counts, sums)
select monitor, 'window', window_start, window_end, model_version, segment, 'columns', 1, layout_id, n_rows, counts, sums
from monitoring.profile_before;

insert into monitoring.profile (monitor, scope, window_start, window_end, model_version, segment, part, format, layout_id, n_rows, n_labelled,
  label_batch, counts, sums)
select l.monitor, 'window', l.window_start, l.window_end, l.model_version, l.segment, p.part, 1, l.layout_id, l.n_predictions, p.n_labelled,
       l.label_batch, p.counts, p.sums
from monitoring.labelled_profile l
cross join lateral (values ('outcomes', l.n_labelled, l.counts, l.sums), ('target', null, l.target_counts, l.target_sums))
  p (part, n_labelled, counts, sums)
where p.counts is not null;

insert into monitoring.profile (monitor, scope, window_start, window_end, model_version, segment, part, format, layout_id, n_rows, n_labelled,
  label_batch, counts, sums)
select r.monitor, 'reference', r.window_start, r.window_end, r.model_version, s.segment, p.part, 1, s.layout_id, s.n_rows, p.n_labelled,
       p.label_batch, p.counts, p.sums
from monitoring.reference_profile r
join monitoring.reference_segment s on s.monitor = r.monitor and s.model_version = r.model_version
cross join lateral (values ('columns', null, null, s.counts, s.sums), ('outcomes', s.n_labelled, 0, s.outcome_counts, s.outcome_sums),
                           ('target', null, 0, s.target_counts, s.target_sums))
  p (part, n_labelled, label_batch, counts, sums)
where p.counts is not null;
-- References of before migration 0005 have no segments.
insert into monitoring.profile (monitor, scope, window_start, window_end, model_version, segment, part, format, layout_id, n_rows, counts, sums)
select monitor, 'reference', window_start, window_end, model_version, '*', 'columns', 1, layout_id, n_rows, counts, sums
from monitoring.reference_profile
on conflict do nothing;

drop table monitoring.profile_before;
drop table monitoring.labelled_profile;
drop table monitoring.reference_segment;
alter table monitoring.reference_profile drop column counts;
alter table monitoring.reference_profile drop column sums;
comment on table monitoring.reference_profile is
  'The references: layout and number of rows that each model version was validated on; their profiles are in table profile.';
comment on table monitoring.layout_column is 'Columns of a layout, and where their values are in the arrays of part columns of profile.';

alter table monitoring.layout_column drop constraint layout_column_role_check;
alter table monitoring.layout_column add constraint layout_column_role_check
  check (role in ('feature', 'prediction', 'score', 'target', 'segment'));
comment on column monitoring.layout_column.role is 'feature, prediction, score, target, or segment: a column that only divides rows into segments.';
