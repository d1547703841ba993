"""One query a rule. Each returns text columns, which become the labels of an alert, and ``state``, which is judged.

``state`` is 1 while the alert fires. A row whose text changes is a new alert of the same group: that is how an update
reaches people, as Grafana sends nothing when only an annotation changes.
"""

from __future__ import annotations

# Labels come from the newest open revision, so that they are the same when the incident is closed: the alert then
# resolves by its value, which tells how: 0 resolved, -1 retracted, -2 replaced by another incident. A closed incident
# stays in the answer for an hour, in which every evaluation has seen it. time_range is for links: from two weeks before
# it, to the end of a replay or now; it never changes while the incident lasts.
INCIDENTS = """
select o.monitor, o.incident_id, o.kind, o.change, o.summary as sentence, coalesce(o.told_by, '') as run_id,
       concat('from=', extract(epoch from o.first_window - interval '14 days')::bigint * 1000, '&to=',
              coalesce((extract(epoch from p.ends_on)::bigint * 1000)::text, 'now')) as time_range,
       case c.state when 'open' then 1 when 'resolved' then 0 when 'retracted' then -1 else -2 end as state
from (
  select distinct on (h.monitor, h.incident_id) h.monitor, h.incident_id, h.kind, h.change, h.severity, h.summary,
         h.first_window, h.superseded_at,
         first_value(h.run_id) over (
           partition by h.monitor, h.incident_id, h.severity, h.summary order by h.as_known_at) as told_by
  from monitoring.incident_history h
  where h.state = 'open'
  order by h.monitor, h.incident_id, h.as_known_at desc
) o
join monitoring.monitor_progress_current p on p.monitor = o.monitor
left join monitoring.incident_current c on c.monitor = o.monitor and c.incident_id = o.incident_id
where o.severity = '{severity}'
  and (c.state = 'open' or coalesce(c.as_known_at, o.superseded_at) > now() - interval '1 hour')
order by o.monitor, o.incident_id
"""


def unless_said(query: str, row: str) -> str:
    """The query with its mark UNSAID written out: ``row``'s window lies in no open incident, which says it already."""
    unsaid = """not exists (
    select from monitoring.incident_current i
    where i.monitor = ROW.monitor and i.state = 'open' and ROW.window_start between i.first_window and i.last_window)"""
    return query.replace("UNSAID", unsaid.replace("ROW", row))


PERFORMANCE = unless_said(
    """
select p.monitor, p.model_version, p.sentence, p.run_id, 1 as state
from monitoring.monitor_progress_current m
cross join lateral (
  select p.monitor, p.model_version, p.window_start, bool_or(p.degraded) as degraded,
         coalesce(max(p.run_id), '') as run_id,
         concat(string_agg(concat(
                  p.metric, ' ', round(p.value::numeric, 3),
                  ' (95 % interval ' || round(p.ci_low::numeric, 3) || ' to ' || round(p.ci_high::numeric, 3) || ')',
                  ', limit ' || round(p.threshold::numeric, 3),
                  ', reference ' || round(p.reference_value::numeric, 3)), '; ' order by p.metric)
                filter (where p.degraded),
                ' in the window of ', to_char(p.window_start, 'YYYY-MM-DD HH24:MI'), ' UTC') as sentence,
         row_number() over (partition by p.model_version order by p.window_start desc) as age
  from monitoring.performance_current p
  where p.monitor = m.monitor and p.kind = 'realized' and p.segment = '*' and p.mature
    and p.window_start >= m.last_window_end - m.label_max_delay - 7 * m.window_length
  group by p.monitor, p.model_version, p.window_start
) p
where not m.ended and p.age = 1 and p.degraded and UNSAID
order by p.monitor, p.model_version
""",
    row="p",
)

LATE_LABELS = unless_said(
    """
select w.monitor,
       concat(round(100 * coalesce(w.coverage, 0)::numeric, 1), ' % of the predictions of ',
              to_char(w.window_start, 'YYYY-MM-DD HH24:MI'), ' UTC have an outcome; all are due, and ',
              round(100 * m.label_coverage::numeric, 1), ' % are expected') as sentence, 1 as state
from monitoring.monitor_progress_current m
cross join lateral (
  select s.monitor, s.window_start, s.coverage
  from monitoring.window_status s
  where s.monitor = m.monitor and s.n_rows > 0
    and s.window_start >= least(m.last_window_end, m.due_at - m.label_max_delay) - 7 * m.window_length
    and s.window_end <= m.due_at - m.label_max_delay
  order by s.window_start desc limit 1
) w
where m.has_ground_truth and not m.ended and coalesce(w.coverage, 0) < m.label_coverage
  and UNSAID
order by w.monitor
""",
    row="w",
)

VOLUME = unless_said(
    """
select v.monitor,
       concat(round(v.value::numeric), ' rows in the window of ', to_char(v.window_start, 'YYYY-MM-DD HH24:MI'),
              ' UTC', ', expected about ' || round(v.expected::numeric)) as sentence,
       coalesce(v.run_id, '') as run_id, 1 as state
from monitoring.monitor_progress_current m
cross join lateral (
  select v.monitor, v.window_start, v.status, v.value, v.expected, v.run_id
  from monitoring.window_verdict_current v
  where v.monitor = m.monitor and v.kind = 'volume' and v.segment = '*'
    and v.window_start >= m.last_window_end - 7 * m.window_length
  order by v.window_start desc limit 1
) v
where not m.ended and v.status = 'alarm' and UNSAID
order by v.monitor
""",
    row="v",
)

FRESHNESS = """
select m.monitor,
       concat(case when m.last_window_end is null then 'no window has been profiled yet; the first was due '
                   else 'the newest profiled window ended ' end,
              to_char(coalesce(m.last_window_end, m.starts_on at time zone 'UTC'), 'YYYY-MM-DD HH24:MI'), ' UTC')
         as sentence,
       1 as state
from monitoring.monitor_progress_current m
where m.lag_seconds > 2 * extract(epoch from m.window_length)
order by m.monitor
"""

FAILED_WINDOWS = """
select s.monitor,
       concat(count(distinct s.window_start),
              case when count(distinct s.window_start) = 1 then ' window' else ' windows' end,
              ' failed; the newest, ', to_char(max(s.window_start), 'YYYY-MM-DD HH24:MI'), ' UTC, in ',
              (array_agg(s.stage order by s.window_start desc, s.stage))[1], ': ',
              left((array_agg(s.last_error order by s.window_start desc, s.stage))[1], 300)) as sentence,
       coalesce((array_agg(s.run_id order by s.window_start desc, s.stage))[1], '') as run_id, 1 as state
from monitoring.stage_status s
where s.last_error is not null
group by s.monitor
order by s.monitor
"""

# False incidents are rare events: more than the budget and three of its standard deviations is no chance.
BUDGET = """
select b.monitor,
       concat(b.incidents_opened, ' incidents in ', to_char(b.month, 'YYYY-MM'), '; at most ', b.budget,
              ' false ones a month are accepted, ', round(b.expected_false_alarms::numeric, 2), ' expected so far')
         as sentence, 1 as state
from monitoring.monitor_progress_current m
cross join lateral (
  select * from monitoring.alarm_budget_current b where b.monitor = m.monitor order by b.month desc limit 1
) b
where not m.ended and b.incidents_opened > b.budget + 3 * sqrt(b.budget)
order by b.monitor
"""
