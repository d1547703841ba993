-- Which windows are stale or failed, why, and after how many attempts?
select monitor, window_start, stage, reason, attempts, last_error
from monitoring.stale_window
order by monitor, window_start, stage
limit 100;
