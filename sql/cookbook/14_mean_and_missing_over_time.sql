-- How did the mean, the spread and the missing share of each numerical column change from week to week?
with column_part as (
  select monitor, model_version, column_name, date_trunc('week', window_start, 'UTC') as week, n, n_missing,
         n - n_missing - n_nan - n_inf as finite, mean, m2
  from monitoring.column_profile_current
  where segment = '*' and kind = 'numerical'
), column_week as (
  select monitor, model_version, column_name, week, sum(n) as n, sum(n_missing) as n_missing, sum(finite) as finite,
         sum(finite * mean) / nullif(sum(finite), 0) as mean,
         sum(m2) + sum(finite * mean ^ 2) - sum(finite * mean) ^ 2 / nullif(sum(finite), 0) as m2
  from column_part
  group by monitor, model_version, column_name, week
)
select monitor, model_version, column_name, week, n, n_missing::double precision / nullif(n, 0) as missing_share, mean,
       sqrt(greatest(m2, 0) / nullif(finite, 0)) as standard_deviation
from column_week
order by monitor, column_name, week, model_version;
