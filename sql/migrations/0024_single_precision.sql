-- depends: 0023_fold_states
-- Smaller measurements: p-values in single precision, and effects only where they say what the value does not.
--
-- null in measurement.effect: undefined; of missing_share_change, whose effect it is, the size of the value.
-- A p-value below 1.17549435e-38, the smallest that keeps its digits in single precision, is kept as that one.

-- The type of a column that a view reads cannot be changed; all views are made anew after the migrations.
do $$
declare
  names text;
begin
  select string_agg(format('monitoring.%I', viewname), ', ') into names from pg_views where schemaname = 'monitoring';
  if names is not null then
    execute 'drop view ' || names;
  end if;
end
$$;

create function monitoring.in_single(float8[]) returns real[] language sql immutable as
  'select coalesce(array_agg(case when e > 0 then greatest(e, 1.17549435e-38) else e end::real order by o), ''{}'')
   from unnest($1) with ordinality u (e, o) where $1 is not null having $1 is not null';
create function monitoring.told_effects(effect float8[], value float8[], keys integer) returns float8[] language sql stable as
  'select case when count(told) > 0 then array_agg(told order by o) end
   from (select o, case when method = ''missing_share_change'' then nullif(e, abs(coalesce(v, 0))) else nullif(e, ''NaN'') end as told
         from unnest($1, $2, (select metrics from monitoring.metric_keys where metric_keys_id = $3)) with ordinality
           u (e, v, method, o)) x';

do $$
declare
  former text;
begin
  select conname into strict former from pg_constraint
  where conrelid = 'monitoring.measurement'::regclass and contype = 'c'
    and pg_get_constraintdef(oid) like '%p_value%' and pg_get_constraintdef(oid) not like '%cardinality%';
  execute format('alter table monitoring.measurement drop constraint %I', former);
end
$$;
-- The rows are inserted anew, the large ones of a monitor first: a table that is rewritten in place leaves the rest of a page empty
-- behind each row that did not fit in.
do $$
declare
  one record;
  n integer := 0;
begin
  for one in select i.inhrelid::regclass as partition from pg_inherits i where i.inhparent = 'monitoring.measurement'::regclass order by 1
  loop
    n := n + 1;
    execute format('create temporary table %I on commit drop as select * from %s', 'before_' || n, one.partition);
    execute format('truncate %s', one.partition);
    execute format('alter table %I alter column p_value type real[] using monitoring.in_single(p_value),
      alter column effect type float8[] using monitoring.told_effects(effect, value, metric_keys_id)', 'before_' || n);
  end loop;
  alter table monitoring.measurement alter column p_value type real[], alter column p_value set storage main;
  for i in 1..n loop
    execute format('insert into monitoring.measurement select * from %I order by monitor, cardinality(value) desc, measurement_id', 'before_' || i);
    execute format('drop table %I', 'before_' || i);
  end loop;
end
$$;
alter table monitoring.measurement add constraint measurement_p_value_check
  check (0 <= all (p_value) and 1 >= all (array_replace(p_value, 'NaN'::real, 0::real)));
comment on column monitoring.measurement.p_value is
  'Probability of such a difference without any drift, where the method is a test, to 7 digits and at least 1.2e-38; null: 1.';
comment on column monitoring.measurement.effect is
  'Size of the difference where it is not the value; null: none; of missing_share_change the size of the value.';
drop function monitoring.in_single(float8[]);
drop function monitoring.told_effects(float8[], float8[], integer);
