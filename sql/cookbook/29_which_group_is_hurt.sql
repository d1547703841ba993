-- Which group of a protected column is hurt: differences from the reference group that chance does not explain, the last 30 days?
-- A value below 0 is less than the reference group's. Only groups whose interval excludes 0 in more than a tenth of the windows.
select monitor, model_version, protected_column, group_name, reference_group, metric, count(*) as windows,
       count(*) filter (where ci_low > 0 or ci_high < 0) as windows_that_differ, count(*) filter (where violated) as windows_violated,
       round(avg(value)::numeric, 4) as mean_difference, min(n_group) as least_n
from monitoring.fairness_current
where metric like '%\_difference%' and group_name <> '*' and mature and value is not null
  and window_start >= (select max(window_start) from monitoring.fairness_current) - interval '30 days'
group by monitor, model_version, protected_column, group_name, reference_group, metric
having count(*) filter (where ci_low > 0 or ci_high < 0) > 0.1 * count(*)
order by windows_violated desc, windows_that_differ desc, abs(avg(value)) desc, monitor, group_name, metric
limit 30;
