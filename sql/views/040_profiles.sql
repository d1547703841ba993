-- Stored profiles, unnested: one row per column. A count is in the array counts, or its two bytes are in low and high.

create or replace view monitoring.column_profile_current as
select p.monitor, p.model_version, p.window_start, p.window_end, p.segment, c.column_name, c.role, c.kind,
       coalesce(p.counts[c.first_count], get_byte(p.low, c.first_count - 1) + (coalesce(get_byte(p.high, c.first_count - 1), 0) << 8)) as n,
       coalesce(p.counts[c.first_count + 1], get_byte(p.low, c.first_count) + (coalesce(get_byte(p.high, c.first_count), 0) << 8)) as n_missing,
       coalesce(p.counts[c.first_count + 2], get_byte(p.low, c.first_count + 1) + (coalesce(get_byte(p.high, c.first_count + 1), 0) << 8)) as n_nan,
       coalesce(p.counts[c.first_count + 3], get_byte(p.low, c.first_count + 2) + (coalesce(get_byte(p.high, c.first_count + 2), 0) << 8)) as n_inf,
       coalesce(p.counts[c.first_count + 4], get_byte(p.low, c.first_count + 3) + (coalesce(get_byte(p.high, c.first_count + 3), 0) << 8)) as n_zero,
       nullif(p.sums[c.first_sum], 'Infinity') as minimum, nullif(p.sums[c.first_sum + 1], '-Infinity') as maximum,
       case when p.sums[c.first_sum] <= p.sums[c.first_sum + 1] then p.sums[c.first_sum + 2] end as mean,
       case when p.sums[c.first_sum] <= p.sums[c.first_sum + 1] then p.sums[c.first_sum + 3] end as m2,
       coalesce(p.counts[c.first_count + 5 : c.first_count + 4 + c.n_bins], array(
         select (get_byte(p.low, i) + (coalesce(get_byte(p.high, i), 0) << 8))::bigint
         from generate_series(c.first_count + 4, c.first_count + 3 + c.n_bins) i)) as bin_counts,
       c.edges, c.categories, p.layout_id, s.data_version, s.completed_at as computed_at, s.run_id
from monitoring.profile p
join monitoring.layout_column c on c.layout_id = p.layout_id and c.role not in ('target', 'segment')
left join monitoring.window_stage s on s.monitor = p.monitor and s.window_start = p.window_start and s.stage = 'profile'
where p.scope = 'window' and p.part = 'columns';
comment on view monitoring.column_profile_current is
  'Profiles of the windows, one row per column: counts by bin, with the edges or categories of the bins.';

create or replace view monitoring.reference_profile_current as
select p.monitor, p.model_version, p.window_start, p.window_end, p.segment, c.column_name, c.role, c.kind,
       coalesce(p.counts[c.first_count], get_byte(p.low, c.first_count - 1) + (coalesce(get_byte(p.high, c.first_count - 1), 0) << 8)) as n,
       coalesce(p.counts[c.first_count + 1], get_byte(p.low, c.first_count) + (coalesce(get_byte(p.high, c.first_count), 0) << 8)) as n_missing,
       coalesce(p.counts[c.first_count + 2], get_byte(p.low, c.first_count + 1) + (coalesce(get_byte(p.high, c.first_count + 1), 0) << 8)) as n_nan,
       coalesce(p.counts[c.first_count + 3], get_byte(p.low, c.first_count + 2) + (coalesce(get_byte(p.high, c.first_count + 2), 0) << 8)) as n_inf,
       coalesce(p.counts[c.first_count + 4], get_byte(p.low, c.first_count + 3) + (coalesce(get_byte(p.high, c.first_count + 3), 0) << 8)) as n_zero,
       nullif(p.sums[c.first_sum], 'Infinity') as minimum, nullif(p.sums[c.first_sum + 1], '-Infinity') as maximum,
       case when p.sums[c.first_sum] <= p.sums[c.first_sum + 1] then p.sums[c.first_sum + 2] end as mean,
       case when p.sums[c.first_sum] <= p.sums[c.first_sum + 1] then p.sums[c.first_sum + 3] end as m2,
       coalesce(p.counts[c.first_count + 5 : c.first_count + 4 + c.n_bins], array(
         select (get_byte(p.low, i) + (coalesce(get_byte(p.high, i), 0) << 8))::bigint
         from generate_series(c.first_count + 4, c.first_count + 3 + c.n_bins) i)) as bin_counts,
       c.edges, c.categories, p.layout_id, r.source_version as data_version, r.computed_at, r.run_id
from monitoring.reference_profile r
join monitoring.profile p
  on p.monitor = r.monitor and p.window_start = r.window_start and p.window_end = r.window_end and p.scope = 'reference'
 and p.model_version = r.model_version and p.part = 'columns'
join monitoring.layout_column c on c.layout_id = p.layout_id and c.role not in ('target', 'segment');
comment on view monitoring.reference_profile_current is
  'Profiles of the references, one row per column: counts by bin, with the edges or categories of the bins.';
