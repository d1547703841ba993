-- Is it season?
-- Columns that differ from the reference now, and whether the same hours of earlier weeks did too.
select v.monitor, v.window_start, v.column_name, v.segment, v.status, v.moved, round(v.effect::numeric, 2) as effect,
       v.p_value as p_against_reference, v.p_season as p_with_season, v.season
from monitoring.column_verdict_current v
where v.status in ('alarm', 'notice')
  and v.window_start = (select max(window_start) from monitoring.column_verdict n where n.monitor = v.monitor)
order by v.monitor, v.status, v.q_value, v.column_name;
