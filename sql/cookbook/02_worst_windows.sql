-- In which windows did the most columns drift at once?
select monitor, model_version, window_start,
       count(distinct column_name) filter (where drifted) as drifted_columns,
       count(distinct column_name) as columns,
       round(100.0 * count(distinct column_name) filter (where drifted) / count(distinct column_name), 1) as percent
from monitoring.drift_current
where baseline = 'training' and segment = '*' and role = 'feature'
group by monitor, model_version, window_start
having count(*) filter (where drifted) > 0
order by percent desc, window_start
limit 20;
