-- Incidents with every revision, and what the budget of false alarms was spent on.

create or replace view monitoring.incident_history as
select monitor, incident_id, kind, severity, state, opened_at, first_window, last_window, columns, summary, resolved_at,
       segments, evidence, run_id, as_known_at, superseded_at, change, actions, n_windows, reason, rank
from monitoring.incident;
comment on view monitoring.incident_history is 'Incidents, every revision with its reason.';

create or replace view monitoring.alarm_budget_current as
with month as (
  select w.monitor, date_trunc('month', w.window_start at time zone 'UTC') at time zone 'UTC' as month,
         coalesce(sum(w.level) filter (where w.n_judged > 0), 0) as expected_drift, count(*) as n_windows, sum(w.n_judged) as n_judged, sum(w.n_alarms) as n_alarms,
         sum(w.n_notices) as n_notices
  from monitoring.judged_window w group by 1, 2
)
select m.monitor, m.month, (d.declaration #>> '{alarms,budget}')::double precision as budget,
       m.expected_drift as expected_false_alarms, coalesce(i.n, 0) as incidents_opened, m.n_windows, m.n_judged, m.n_alarms,
       m.n_notices
from month m
left join monitoring.monitor n on n.monitor = m.monitor
left join monitoring.monitor_declaration d on d.monitor = n.monitor and d.config_version = n.config_version
left join lateral (
  select count(*) as n from monitoring.incident_current i
  where i.monitor = m.monitor and i.state <> 'retracted' and i.first_window >= m.month
    and i.first_window < m.month + interval '1 month') i on true;
comment on view monitoring.alarm_budget_current is
  'By month: the false incidents that the budget allows, those expected from the levels spent, and the incidents opened.';
comment on column monitoring.alarm_budget_current.month is 'First moment of the month, UTC.';
comment on column monitoring.alarm_budget_current.budget is 'False incidents a month that the declaration accepts.';
comment on column monitoring.alarm_budget_current.expected_false_alarms is
  'Sum of the levels that the verdicts on columns spent in the month''s windows.';
comment on column monitoring.alarm_budget_current.incidents_opened is
  'Incidents whose first window lies in the month, without those retracted.';
comment on column monitoring.alarm_budget_current.n_windows is 'Judged windows.';
comment on column monitoring.alarm_budget_current.n_judged is 'Columns of all segments judged, over these windows.';
comment on column monitoring.alarm_budget_current.n_alarms is 'How many of them alarm.';
comment on column monitoring.alarm_budget_current.n_notices is 'How many differ only as earlier weeks led to expect.';
