-- What is known of each window, and what of it is out of date. Staleness is derived here and stored nowhere.

create or replace view monitoring.label_batch_current as
select distinct on (monitor)
       monitor, batch, taken_in_at, n_rows, n_matched, n_unknown, n_duplicates, n_quarantined, quarantine, pending_file,
       sum(n_matched) over every as n_matched_ever, sum(n_quarantined) over every as n_quarantined_ever
from monitoring.label_batch
window every as (partition by monitor)
order by monitor, batch desc;
comment on view monitoring.label_batch_current is
  'The last label batch of each monitor; n_unknown is the number of labels that still match no prediction.';

create or replace view monitoring.window_input as
with source as (
  select monitor, window_start, max(revision) as source_revision
  from monitoring.source_file_window where role = 'predictions' group by monitor, window_start
), label as (
  select monitor, window_start, max(batch) as label_batch
  from monitoring.label_batch_window group by monitor, window_start
), known as (
  select monitor, window_start from source
  union select monitor, window_start from monitoring.prediction_window
  union select monitor, window_start from monitoring.window_stage
)
select k.monitor, k.window_start,
       k.window_start + case m.window_size when 'hour' then interval '1 hour' else interval '24 hours' end as window_end,
       coalesce(s.source_revision, 0) as source_revision, coalesce(l.label_batch, 0) as label_batch, m.config_version
from known k
join monitoring.monitor m using (monitor)
left join source s using (monitor, window_start)
left join label l using (monitor, window_start);
comment on view monitoring.window_input is 'What each window would be computed from today: newest source revision, label batch, declaration.';

create or replace view monitoring.stage_status as
select i.monitor, i.window_start, i.window_end, s.stage, s.completed_at, s.data_version, s.label_batch, s.config_version,
       case when s.failed_source_revision = i.source_revision and s.failed_label_batch = i.label_batch
             and s.failed_config_version = i.config_version then s.attempts else 0 end as attempts,
       s.last_error, s.failed_at, s.run_id
from monitoring.window_input i
join monitoring.window_stage s using (monitor, window_start);
comment on view monitoring.stage_status is
  'How each stage of each window stands; attempts count the failures on what there is now: something new begins at 0.';

create or replace view monitoring.stale_window as
with stage (stage, on_labels) as (
  values ('profile', false), ('drift', false), ('quality', false), ('performance', true)
), reference as (
  select monitor, model_version, computed_at from monitoring.reference_profile
), ingested as (
  select i.*, p.data_version, p.source_revision as ingested_revision, p.versions, m.baselines,
         (select max(r.computed_at) from reference r where r.monitor = i.monitor and p.versions ? r.model_version) as reference_at
  from monitoring.window_input i
  join monitoring.prediction_window p using (monitor, window_start)
  join monitoring.monitor m using (monitor)
), found as (
  select monitor, window_start, window_end, 'ingestion' as stage, 'source' as reason
  from ingested where source_revision > ingested_revision
  union all
  select i.monitor, i.window_start, i.window_end, 'ingestion', 'failed'
  from monitoring.window_stage s
  join monitoring.window_input i using (monitor, window_start)
  where s.stage = 'ingestion' and s.last_error is not null
    and not exists (select from ingested g where g.monitor = i.monitor and g.window_start = i.window_start
                    and g.source_revision > g.ingested_revision)
  union all
  select i.monitor, i.window_start, i.window_end, t.stage,
         case
           when s.completed_at is null or s.data_version <> i.data_version then 'data'
           when coalesce(s.label_batch, case when t.on_labels then 0 end) < i.label_batch then 'labels'
           when i.reference_at > s.completed_at then 'reference'
           when t.stage = 'drift' and 'previous' = any (i.baselines) and before.changed_at > s.completed_at then 'baseline'
           when t.stage <> 'profile' and s.config_version <> i.config_version then 'config'
           when s.last_error is not null then 'failed'
         end
  from ingested i
  cross join stage t
  left join monitoring.window_stage s
    on s.monitor = i.monitor and s.window_start = i.window_start and s.stage = t.stage
  left join monitoring.window_stage before
    on before.monitor = i.monitor and before.window_end = i.window_start and before.stage = 'profile'
  where not t.on_labels or s.completed_at is not null or s.last_error is not null or i.label_batch > 0
)
select f.monitor, f.window_start, f.window_end, f.reason, f.stage, coalesce(s.attempts, 0) as attempts, s.last_error
from found f
left join monitoring.stage_status s
  on s.monitor = f.monitor and s.window_start = f.window_start and s.stage = f.stage
where f.reason is not null;
comment on view monitoring.stale_window is
  'Stages whose figures are older than what they are computed from. Reasons: source (rows came after ingestion), failed, data '
  '(the window was taken in again), labels (a newer batch), reference, baseline (the previous window changed), config.';

create or replace view monitoring.window_status as
with labelled as (
  select monitor, window_start, sum(n_labelled)::bigint as n_labelled
  from monitoring.labelled_profile where segment = '*' group by monitor, window_start
), stale as (
  select distinct monitor, window_start from monitoring.stale_window
), failure as (
  select distinct on (monitor, window_start) monitor, window_start, stage || ': ' || last_error as last_error
  from monitoring.window_stage where last_error is not null order by monitor, window_start, failed_at desc
)
select i.monitor, i.window_start, i.window_end, p.n_rows, p.n_duplicates, p.n_quarantined,
       case when m.has_ground_truth and p.n_rows is not null then least(coalesce(l.n_labelled, 0), p.n_rows) end as n_labelled,
       case when m.has_ground_truth and p.n_rows > 0
            then least(coalesce(l.n_labelled, 0), p.n_rows)::double precision / p.n_rows end as coverage,
       p.ingested_at, s.completed_at as profiled_at, t.monitor is not null as stale, f.last_error
from monitoring.window_input i
join monitoring.monitor m using (monitor)
left join monitoring.prediction_window p using (monitor, window_start)
left join labelled l using (monitor, window_start)
left join monitoring.window_stage s
  on s.monitor = i.monitor and s.window_start = i.window_start and s.stage = 'profile'
left join stale t on t.monitor = i.monitor and t.window_start = i.window_start
left join failure f on f.monitor = i.monitor and f.window_start = i.window_start;
comment on view monitoring.window_status is 'One row a window: what came in, how much of it is labelled, whether its figures are up to date.';
