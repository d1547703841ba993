-- The role that Grafana reads with. It may not log in until `monitoring-pipeline db grafana-role` gives it a password.
-- Roles belong to the whole server: another database may have made it before, and this user may not be allowed to make
-- one. What it may read is granted whenever the views are applied.

do $$
begin
  if exists (select from pg_roles where rolname = 'grafana_reader') then
    return;
  end if;
  create role grafana_reader nologin;
  alter role grafana_reader set statement_timeout = '30s';
  alter role grafana_reader set default_transaction_read_only = on;
  alter role grafana_reader set timezone = 'UTC';
exception
  when duplicate_object or unique_violation then null;  -- another database of this server was quicker
  when insufficient_privilege then
    raise notice 'role grafana_reader was not made: %', sqlerrm;
end
$$;
