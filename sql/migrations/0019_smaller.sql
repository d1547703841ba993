-- Smaller rows. Most elements of many arrays are alike: rows behind a metric, shares of a clean column, verdicts on a quiet
-- day. An element that is null takes one bit, also in rows of less than 2 KB, which Postgres does not compress.
--
-- null in measurement.n, n_reference and in the arrays of column_verdict: the same as the first element.
-- null in measurement.value: 0; in p_value: 1; in ci_low and ci_high: the value.
-- The flags of a verdict take two bits each, the counts of a profile two bytes.

alter table monitoring.verdict add column flags bit varying;
alter table monitoring.verdict alter column flagged drop not null;
comment on column monitoring.verdict.flags is
  'Two bits for each position of the measurement''s metric_keys: whether it was judged; whether it drifted, is violated or degraded.';
comment on column monitoring.verdict.flagged is 'Always null; see flags.';
comment on column monitoring.measurement.value is
  'Values in the order of metric_keys; NaN where undefined, as in all arrays here; null: 0.';
comment on column monitoring.measurement.p_value is 'Probability of such a difference without any drift, where the method is a test; null: 1.';
comment on column monitoring.measurement.ci_low is 'Lower end of the 95 % interval; null: the value.';
comment on column monitoring.measurement.ci_high is 'Upper end of the 95 % interval; null: the value.';
comment on column monitoring.measurement.n is
  'Rows or values behind each metric; null: as the first. Drift: values in the window; performance: labelled rows.';
comment on column monitoring.measurement.n_reference is 'Drift: values in the baseline; null: as the first.';
comment on column monitoring.column_verdict.metric_keys_id is
  'Column at each position of the arrays; see metric_keys. Null in any array but moved and pinned: as its first element.';

create function monitoring.like_first(anyarray) returns anyarray language sql immutable as
  'select coalesce(array_agg(case when o > 1 then nullif(e, $1[1]) else e end order by o), $1) from unnest($1) with ordinality u (e, o)';
create function monitoring.unless(float8[], float8[]) returns float8[] language sql immutable as
  'select coalesce(array_agg(case when e::text <> coalesce(v, $2[1])::text then e end order by o), $1)
   from unnest($1, $2) with ordinality u (e, v, o) where o <= cardinality($1)';
create function monitoring.as_bits(boolean[]) returns bit varying language sql immutable as
  'select coalesce(string_agg(case when e then ''11'' when not e then ''10'' else ''00'' end, '''' order by o), '''')::bit varying
   from unnest($1) with ordinality u (e, o)';

create function monitoring.plane(bigint[], integer) returns bytea language sql immutable as $f$
  select coalesce(decode(string_agg(lpad(to_hex((e >> 8 * $2) & 255), 2, '0'), '' order by o), 'hex'), '')
  from unnest($1) with ordinality u (e, o) $f$;

alter table monitoring.profile add column low bytea;
alter table monitoring.profile add column high bytea;
alter table monitoring.profile alter column low set storage main;
alter table monitoring.profile alter column high set storage main;
do $$
declare
  former text;
begin
  select conname into strict former from pg_constraint
  where conrelid = 'monitoring.profile'::regclass and contype = 'c' and pg_get_constraintdef(oid) like '%packed%';
  execute format('alter table monitoring.profile drop constraint %I', former);
end
$$;
alter table monitoring.profile add constraint profile_kept_once check (
  case when packed is not null then counts is null and sums is null and low is null and high is null
       else sums is not null and (counts is null) <> (low is null) and (low is not null or high is null) end);
comment on column monitoring.profile.counts is 'Counts of the part, in the order of its format; null where they are in low and high or packed.';
comment on column monitoring.profile.low is 'The lowest byte of each count, where all are below 65536.';
comment on column monitoring.profile.high is 'The second byte of each count, where all are below 65536; null: all are 0.';

-- A partition is written anew instead of updated, which would double it.
do $$
declare
  one record;
  names text;
begin
  for one in
    select c.relname as name, p.relname as parent, p.oid as parent_oid
    from pg_inherits i join pg_class c on c.oid = i.inhrelid join pg_class p on p.oid = i.inhparent
    where p.relnamespace = 'monitoring'::regnamespace and p.relname in ('measurement', 'verdict', 'column_verdict', 'profile')
    order by c.relname
  loop
    select string_agg(quote_ident(attname), ', ' order by attnum) into names from pg_attribute
    where attrelid = one.parent_oid and attnum > 0 and not attisdropped;
    execute format('create temporary table rows_before on commit drop as select %s from monitoring.%I', names, one.name);
    execute format('drop table monitoring.%I', one.name);
    perform monitoring.ensure_months(one.parent, (select array_agg(distinct window_start) from rows_before));
    if one.parent = 'measurement' then
      update rows_before set n = monitoring.like_first(n), n_reference = monitoring.like_first(n_reference),
        value = monitoring.unless(value, '{0}'), p_value = monitoring.unless(p_value, '{1}'),
        ci_low = monitoring.unless(ci_low, value), ci_high = monitoring.unless(ci_high, value);
    elsif one.parent = 'verdict' then
      update rows_before set flags = monitoring.as_bits(flagged), flagged = null;
    elsif one.parent = 'profile' then
      update rows_before set counts = null, low = monitoring.plane(counts, 0), high = case when not 256 > all (counts) then monitoring.plane(counts, 1) end
      where part = 'columns' and 65536 > all (counts);
    else
      update rows_before set p_value = monitoring.like_first(p_value), p_alarm = monitoring.like_first(p_alarm),
        q_value = monitoring.like_first(q_value), season_known = monitoring.like_first(season_known),
        status = monitoring.like_first(status), horizon = monitoring.like_first(horizon),
        effect = monitoring.like_first(effect), n = monitoring.like_first(n);
    end if;
    execute format('insert into monitoring.%I (%s) select %s from rows_before ', one.parent, names, names);
    drop table rows_before;
  end loop;
end
$$;
alter table monitoring.verdict alter column flags set not null;
drop function monitoring.like_first(anyarray);
drop function monitoring.unless(float8[], float8[]);
drop function monitoring.plane(bigint[], integer);
drop function monitoring.as_bits(boolean[]);
