-- Which model versions served when, and which share of the traffic did each carry?
select w.monitor, v.key as model_version, m.role, date_trunc('week', w.window_start, 'UTC') as week,
       sum(v.value::bigint) as predictions,
       sum(v.value::bigint)::double precision / nullif(sum(sum(v.value::bigint)) over (
         partition by w.monitor, date_trunc('week', w.window_start, 'UTC')), 0) as share
from monitoring.prediction_window w
cross join lateral jsonb_each_text(w.versions) v
left join monitoring.model_version_current m on m.monitor = w.monitor and m.model_version = v.key
group by w.monitor, v.key, m.role, week
order by w.monitor, week, share desc;
