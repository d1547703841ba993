-- How many rows were rejected at ingestion, and why?
select w.monitor, q.reason, sum(q.count) as rows, count(*) as windows, min(w.window_start) as first, max(w.window_start) as last
from monitoring.window_quarantine q
join monitoring.prediction_window w using (monitor, window_start)
group by w.monitor, q.reason
order by rows desc, w.monitor, q.reason;
