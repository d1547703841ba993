-- Why was I alerted?
-- The open incidents, and the alarms each one rests on, the largest first.
select i.monitor, i.incident_id, i.severity, i.change, a.value ->> 'kind' as kind, a.value ->> 'column' as column_name,
       a.value ->> 'segment' as segment, a.value ->> 'moved' as moved, (a.value ->> 'effect')::double precision as effect,
       (a.value ->> 'q_value')::double precision as q_value, (a.value ->> 'windows')::integer as windows, i.summary
from monitoring.incident_current i
cross join lateral jsonb_array_elements(i.evidence -> 'alarms') with ordinality a (value, position)
where i.state = 'open'
order by i.monitor, i.first_window, a.position;
