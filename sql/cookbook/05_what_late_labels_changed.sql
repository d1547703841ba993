-- How much did late labels change values that had already been published?
with revision as (
  select *,
         first_value(value) over every as first_value, last_value(value) over every as last_value,
         first_value(coverage) over every as first_coverage, last_value(coverage) over every as last_coverage,
         row_number() over every as number, count(*) over every as revisions
  from monitoring.performance_history
  where segment = '*' and kind = 'realized'
  window every as (partition by monitor, model_version, window_start, window_end, metric order by as_known_at
                   rows between unbounded preceding and unbounded following)
)
select monitor, window_start, metric, first_value, last_value, last_value - first_value as moved,
       first_coverage, last_coverage, revisions
from revision
where number = 1 and revisions > 1
order by abs(last_value - first_value) desc nulls last, monitor, window_start, metric
limit 30;
