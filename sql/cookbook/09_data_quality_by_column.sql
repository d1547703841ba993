-- Which columns violate their data-quality thresholds most often, and how badly?
select monitor, column_name, metric, count(*) filter (where violated) as violations, count(*) as windows,
       max(value) as worst, max(threshold) as threshold, max(detail) filter (where violated) as example
from monitoring.quality_current
where segment = '*'
group by monitor, column_name, metric
having count(*) filter (where violated) > 0
order by violations desc, monitor, column_name, metric
limit 30;
