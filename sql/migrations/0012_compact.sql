-- depends: 0011_retention
-- Arrays are compressed in their row. Postgres compresses a row of 2 KB and more only, and moves most of one that is still
-- larger to another table, by an index of its own: with many arrays of half a kilobyte that is neither small nor quick.

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
        execute format('create table monitoring.%I partition of monitoring.%I for values from (%L) to (%L) with (toast_tuple_target = 128)',
                       child, parent, month, (month at time zone 'UTC' + interval '1 month') at time zone 'UTC');
        made := made + 1;
      end if;
    end if;
  end loop;
  return made;
end
$$;
comment on function monitoring.ensure_months(text, timestamptz[]) is
  'Creates the monthly partitions (UTC) of a table that contain these windows, where missing. Returns how many were created.';

create table monitoring.reference_values (
  reference_values_id integer generated always as identity primary key,
  digest text not null unique check (digest <> ''),
  reference_values double precision[] not null
);
comment on table monitoring.reference_values is 'Values of the metrics in the references: the same for every window, kept once. Content never changes.';
comment on column monitoring.reference_values.reference_values_id is 'Number of the values.';
comment on column monitoring.reference_values.digest is 'Digest of the content.';
comment on column monitoring.reference_values.reference_values is 'Value of each position of the metric_keys of the measurements; NaN where there is none.';

alter table monitoring.measurement add column reference_values_id integer;
comment on column monitoring.measurement.reference_values_id is 'Values of the same metrics in the reference; see reference_values. Older rows have them in reference_value.';
comment on column monitoring.measurement.reference_value is 'Only in rows written before reference_values_id.';

alter table monitoring.profile alter column counts drop not null;
alter table monitoring.profile alter column sums drop not null;
alter table monitoring.profile add column packed bytea;
alter table monitoring.profile add check (case when packed is null then counts is not null and sums is not null
                                          else counts is null and sums is null end);
comment on column monitoring.profile.counts is 'Counts of the part, in the order of its format; null where they are packed.';
comment on column monitoring.profile.sums is 'Sums, means and extremes of the part, in the order of its format; null where they are packed.';
comment on column monitoring.profile.packed is 'Both arrays of a part that no view unfolds, compressed; read by the program only.';

do $$
declare
  one record;
begin
  for one in
    select c.relname, a.attname from pg_class c join pg_attribute a on a.attrelid = c.oid
    where c.relnamespace = 'monitoring'::regnamespace and c.relname in ('profile', 'measurement', 'verdict') and a.attnum > 0
      and a.attstorage = 'x' and not a.attisdropped and a.atttypid::regtype::text ~ '(\[\]|bytea)$'
  loop
    execute format('alter table monitoring.%I alter column %I set storage main', one.relname, one.attname);
  end loop;
  for one in
    select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid join pg_class p on p.oid = i.inhparent
    where p.relnamespace = 'monitoring'::regnamespace and p.relname in ('profile', 'measurement', 'verdict') and c.relkind = 'r'
  loop
    execute format('alter table monitoring.%I set (toast_tuple_target = 128)', one.relname);
  end loop;
end
$$;

-- Rows come part by part and family by family, each for many windows: in this order an index grows at few places and its
-- pages are full.
alter table monitoring.profile drop constraint profile_pkey;
alter table monitoring.profile add primary key (monitor, scope, part, window_start, window_end, model_version, segment);
drop index monitoring.measurement_one_current;
create unique index measurement_one_current on monitoring.measurement
  (monitor, family, window_start, window_end, model_version, baseline, segment) where superseded_at is null;
alter table monitoring.measurement drop constraint measurement_pkey;
alter table monitoring.measurement add primary key (measurement_id, window_start);
