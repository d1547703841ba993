-- The state of each window, and which stages are stale. Staleness is derived here and not stored.
-- Per-window lookups are subqueries on primary keys (`limit 1` and `offset 0` keep them so): a query for one day costs one
-- day, also before the database has been analyzed.

create or replace view monitoring.label_batch_current as
select distinct on (monitor)
       monitor, batch, taken_in_at, n_rows, n_matched, n_unknown, n_duplicates, n_quarantined, quarantine, pending_file,
       sum(n_matched) over every as n_matched_ever, sum(n_quarantined) over every as n_quarantined_ever
from monitoring.label_batch
window every as (partition by monitor)
order by monitor, batch desc;
comment on view monitoring.label_batch_current is
  'The last label batch of each monitor; n_unknown is the number of labels that still match no prediction.';

create or replace view monitoring.stage_status as
select s.monitor, s.window_start, s.window_end, s.stage, s.completed_at, s.data_version, s.label_batch, s.config_version,
       case when s.failed_config_version = m.config_version
             and s.failed_source_revision = coalesce((
               select max(f.revision) from monitoring.source_file_window f
               where f.monitor = s.monitor and f.role = 'predictions' and f.window_start = s.window_start), 0)
             and s.failed_label_batch = coalesce((
               select max(b.batch) from monitoring.label_batch_window b
               where b.monitor = s.monitor and b.window_start = s.window_start), 0)
            then s.attempts else 0 end as attempts,
       s.last_error, s.failed_at, s.run_id
from monitoring.window_stage s
join monitoring.monitor m using (monitor);
comment on view monitoring.stage_status is
  'Status of each stage of each window; attempts counts failures on the current inputs and restarts at 0 when an input changes.';

create or replace view monitoring.stage_input as
select s.monitor, s.window_start, s.window_end, s.stage, i.input, i.recorded,
       case split_part(split_part(i.input, '@', 1), ':', 1)
         when 'sources' then (select coalesce(max(f.revision), 0)::text from monitoring.source_file_window f
                              where f.monitor = s.monitor and f.role = 'predictions' and f.window_start = s.window_start)
         when 'data' then (select p.data_version from monitoring.prediction_window p
                           where p.monitor = s.monitor and p.window_start = s.window_start limit 1)
         when 'labels' then
           case when i.input = 'labels' then
             (select coalesce(max(b.batch), 0)::text from monitoring.label_batch_window b
              where b.monitor = s.monitor and b.window_start = s.window_start)
           else
             (select w.inputs ->> 'labels' from monitoring.window_stage w
              where w.monitor = s.monitor and w.window_start = s.window_start - split_part(i.input, '@', 2)::integer * interval '1 second' and w.stage = 'ground_truth'
                and w.completed_at is not null limit 1)
           end
         when 'profile' then (select w.output_version from monitoring.window_stage w
                              where w.monitor = s.monitor and w.window_start = s.window_start - split_part(i.input, '@', 2)::integer * interval '1 second'
                                and w.stage = 'profile' and w.completed_at is not null limit 1)
         when 'rows' then (select p.data_version from monitoring.prediction_window p
                           where p.monitor = s.monitor and p.window_start = s.window_start - split_part(i.input, '@', 2)::integer * interval '1 second' limit 1)
         when 'reference' then (select r.source_version || '.' || r.layout_id from monitoring.reference_profile r
                                where r.monitor = s.monitor and r.model_version = substr(i.input, 11) limit 1)
         when 'stage' then (select w.output_version from monitoring.window_stage w
                            where w.monitor = s.monitor and w.window_start = s.window_start and w.stage = substr(i.input, 7)
                              and w.completed_at is not null limit 1)
         when 'config' then m.stage_configs ->> s.stage
         when 'aged' then (now() >= s.window_end + m.label_max_delay)::text
       end as now
from monitoring.window_stage s
join monitoring.monitor m on m.monitor = s.monitor
cross join lateral jsonb_each_text(s.inputs) i (input, recorded)
where s.completed_at is not null;
comment on view monitoring.stage_input is
  'Everything each stage of each window read: the recorded version and the current version. Null: does not exist. A difference makes the stage stale.';

create or replace view monitoring.stale_window as
with found as (
  select p.monitor, p.window_start, p.window_end, t.stage, t.position, s.last_error,
         case
           when p.pruned_at is not null and t.stage <> 'ingestion' then null
           when s.completed_at is null then
             case when s.last_error is not null then 'failed'
                  when t.needs_labels and not exists (select from monitoring.label_batch_window b
                                                      where b.monitor = p.monitor and b.window_start = p.window_start) then null
                  else 'data' end
           else coalesce((
             select case split_part(split_part(i.input, '@', 1), ':', 1)
                      when 'sources' then 'source'
                      when 'data' then 'data'
                      when 'stage' then 'data'
                      when 'reference' then 'reference'
                      when 'config' then case when s.stage in ('verdicts', 'incidents', 'rollups') then 'policy' else 'config' end
                      when 'aged' then 'maturity'
                      when 'labels' then case when i.input = 'labels' then 'labels' else 'baseline' end
                      else 'baseline' end
             from monitoring.stage_input i
             where i.monitor = s.monitor and i.window_start = s.window_start and i.stage = s.stage and i.recorded is distinct from i.now
             order by array_position(array['sources', 'data', 'labels', 'reference', 'profile', 'rows', 'stage', 'aged', 'config'],
                                     split_part(split_part(i.input, '@', 1), ':', 1)), i.input
             limit 1), case when s.last_error is not null then 'failed' end)
         end as reason
  from monitoring.prediction_window p
  cross join monitoring.stage t
  left join lateral (
    select * from monitoring.window_stage s
    where s.monitor = p.monitor and s.window_start = p.window_start and s.stage = t.stage limit 1
  ) s on true
  union all
  select s.monitor, s.window_start, s.window_end, s.stage, 0, s.last_error, 'failed'
  from monitoring.window_stage s
  where s.stage = 'ingestion' and s.last_error is not null
    and not exists (select from monitoring.prediction_window p where p.monitor = s.monitor and p.window_start = s.window_start)
)
select f.monitor, f.window_start, f.window_end, f.reason, f.stage,
       coalesce((select s.attempts from monitoring.stage_status s
                 where s.monitor = f.monitor and s.window_start = f.window_start and s.stage = f.stage), 0) as attempts,
       f.last_error
from found f
where f.reason is not null;
comment on view monitoring.stale_window is
  'Stages that are older than what they were computed from, derived from the inputs each of them recorded. Reasons: source (rows arrived '
  'after ingestion), data (the window was ingested again, or the output of an earlier stage changed), labels (a newer batch), reference, '
  'baseline (another window it was compared with changed or appeared), maturity (the window has come of age), config, policy, failed. '
  'A window that retention has been at is stale only when new rows come for it.';

create or replace view monitoring.window_status as
with known as (
  select monitor, window_start from monitoring.source_file_window where role = 'predictions'
  union select monitor, window_start from monitoring.prediction_window
  union select monitor, window_start from monitoring.window_stage
), labelled as (
  select k.monitor, k.window_start,
         k.window_start + case m.window_size when 'hour' then interval '1 hour' else interval '24 hours' end as window_end,
         p.n_rows, p.n_duplicates, p.n_quarantined, p.ingested_at,
         case when m.has_ground_truth and p.n_rows is not null then
           least(p.n_rows, (select coalesce(sum(l.n_labelled), 0)::bigint from monitoring.profile l
                            where l.monitor = k.monitor and l.window_start = k.window_start and l.segment = '*'
                              and l.scope = 'window' and l.part = 'outcomes'))
         end as n_labelled
  from known k
  join monitoring.monitor m on m.monitor = k.monitor
  left join monitoring.prediction_window p on p.monitor = k.monitor and p.window_start = k.window_start
)
select l.monitor, l.window_start, l.window_end, l.n_rows, l.n_duplicates, l.n_quarantined, l.n_labelled,
       l.n_labelled::double precision / nullif(l.n_rows, 0) as coverage, l.ingested_at,
       (select s.completed_at from monitoring.window_stage s
        where s.monitor = l.monitor and s.window_start = l.window_start and s.stage = 'profile') as profiled_at,
       coalesce((select true from monitoring.stale_window t
                 where t.monitor = l.monitor and t.window_start = l.window_start limit 1), false) as stale,
       (select s.stage || ': ' || s.last_error from monitoring.window_stage s
        where s.monitor = l.monitor and s.window_start = l.window_start and s.last_error is not null
        order by s.failed_at desc limit 1) as last_error
from labelled l;
comment on view monitoring.window_status is 'One row per window: its rows, the labelled share, whether its results are up to date.';
