"""What stands against the newest window of a monitor, by check: its contract, and the incidents seen in it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, text

NEWEST_VERDICTS = text("""
with newest as (
  select window_start from monitoring.measurement
  where monitor = :monitor and family = 'quality' and superseded_at is null order by window_start desc limit 1
), problem as (
  select 'schema_contract' as check_name, metric || ' of ' || column_name || coalesce(': ' || detail, '') as problem
  from monitoring.quality_current q join newest n using (window_start)
  where q.monitor = :monitor and q.violated and metric in
    ('quarantined_share', 'type_violation_share', 'column_missing', 'column_extra', 'retyped', 'duplicate_share')
  union all
  select distinct case a.value ->> 'kind' when 'drift' then 'drifted_columns'
                  when 'performance' then 'model_performance' else 'data_quality' end,
         i.severity || ': ' || i.summary
  from monitoring.incident_current i join newest n on i.last_window >= n.window_start
  cross join lateral jsonb_array_elements(i.evidence -> 'alarms') a
  where i.monitor = :monitor and i.state = 'open'
)
select n.window_start, f.check_name, f.problem from newest n left join problem f on true order by 2, 3
""")


@dataclass(frozen=True)
class NewestVerdicts:
    """Problems by check, of the window that starts at ``window_start`` (None before any)."""

    window_start: datetime | None
    by_check: dict[str, list[str]] = field(default_factory=dict)


def newest_verdicts(conn: Connection, monitor: str) -> NewestVerdicts:
    """Violations of the contract in the newest window that has measurements, and the open incidents seen in it."""
    by_check: dict[str, list[str]] = defaultdict(list)
    start = None
    for window_start, check, problem in conn.execute(NEWEST_VERDICTS, {"monitor": monitor}):
        start = window_start
        if check is not None:
            by_check[check].append(problem)
    return NewestVerdicts(start, dict(by_check))
