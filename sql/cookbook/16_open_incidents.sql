-- What is wrong right now, worst first?
select monitor, severity, kind, opened_at, now() - opened_at as open_for, columns, summary
from monitoring.incident_current
where state = 'open'
order by array_position(array['critical', 'warning', 'info'], severity), opened_at;
