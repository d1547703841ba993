-- Which windows are out of date or failed, why, and how often was it tried?
select monitor, window_start, stage, reason, attempts, last_error
from monitoring.stale_window
order by monitor, window_start, stage
limit 100;
