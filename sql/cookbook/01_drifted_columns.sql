-- Which columns drifted most from the training data, and when did it begin?
select monitor, model_version, column_name,
       max(value) as worst_psi,
       min(window_start) filter (where drifted) as first_drifted,
       count(*) filter (where drifted) as drifted_windows,
       count(*) as windows
from monitoring.drift_current
where baseline = 'training' and segment = '*' and method = 'psi'
group by monitor, model_version, column_name
order by worst_psi desc nulls last, monitor, column_name
limit 20;
