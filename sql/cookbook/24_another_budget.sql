-- What would another budget have done?
-- Windows with a drift alarm at other levels; `judge --policy` replays incidents exactly.
select v.monitor, b.budget, count(distinct v.window_start) as windows_with_an_alarm, count(*) as alarms
from monitoring.column_verdict_current v
cross join (values (0.25), (1.0), (4.0), (12.0)) b (budget)
join monitoring.alarm_budget_current a
  on a.monitor = v.monitor and a.month = date_trunc('month', v.window_start at time zone 'UTC') at time zone 'UTC'
where v.q_value <= least(v.level * b.budget / nullif(a.budget, 0), 0.05)
group by v.monitor, b.budget
order by v.monitor, b.budget;
