-- Stored profiles, unnested: one row per column.

create or replace view monitoring.column_profile_current as
select p.monitor, p.model_version, p.window_start, p.window_end, p.segment, c.column_name, c.role, c.kind,
       p.counts[c.first_count] as n, p.counts[c.first_count + 1] as n_missing, p.counts[c.first_count + 2] as n_nan,
       p.counts[c.first_count + 3] as n_inf, p.counts[c.first_count + 4] as n_zero,
       nullif(p.sums[c.first_sum], 'Infinity') as minimum, nullif(p.sums[c.first_sum + 1], '-Infinity') as maximum,
       case when p.sums[c.first_sum] <= p.sums[c.first_sum + 1] then p.sums[c.first_sum + 2] end as mean,
       case when p.sums[c.first_sum] <= p.sums[c.first_sum + 1] then p.sums[c.first_sum + 3] end as m2,
       p.counts[c.first_count + 5 : c.first_count + 4 + c.n_bins] as bin_counts,
       c.edges, c.categories, p.layout_id, s.data_version, s.completed_at as computed_at, s.run_id
from monitoring.profile p
join monitoring.layout_column c on c.layout_id = p.layout_id and c.role not in ('target', 'segment')
left join monitoring.window_stage s on s.monitor = p.monitor and s.window_start = p.window_start and s.stage = 'profile'
where p.scope = 'window' and p.part = 'columns';
comment on view monitoring.column_profile_current is
  'Profiles of the windows, one row per column: counts by bin, with the edges or categories of the bins.';

create or replace view monitoring.reference_profile_current as
select p.monitor, p.model_version, p.window_start, p.window_end, p.segment, c.column_name, c.role, c.kind,
       p.counts[c.first_count] as n, p.counts[c.first_count + 1] as n_missing, p.counts[c.first_count + 2] as n_nan,
       p.counts[c.first_count + 3] as n_inf, p.counts[c.first_count + 4] as n_zero,
       nullif(p.sums[c.first_sum], 'Infinity') as minimum, nullif(p.sums[c.first_sum + 1], '-Infinity') as maximum,
       case when p.sums[c.first_sum] <= p.sums[c.first_sum + 1] then p.sums[c.first_sum + 2] end as mean,
       case when p.sums[c.first_sum] <= p.sums[c.first_sum + 1] then p.sums[c.first_sum + 3] end as m2,
       p.counts[c.first_count + 5 : c.first_count + 4 + c.n_bins] as bin_counts,
       c.edges, c.categories, p.layout_id, r.source_version as data_version, r.computed_at, r.run_id
from monitoring.reference_profile r
join monitoring.profile p
  on p.monitor = r.monitor and p.window_start = r.window_start and p.window_end = r.window_end and p.scope = 'reference'
 and p.model_version = r.model_version and p.part = 'columns'
join monitoring.layout_column c on c.layout_id = p.layout_id and c.role not in ('target', 'segment');
comment on view monitoring.reference_profile_current is
  'Profiles of the references, one row per column: counts by bin, with the edges or categories of the bins.';
