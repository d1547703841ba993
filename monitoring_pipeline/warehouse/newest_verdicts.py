"""What is violated, drifted or degraded in the newest window of a monitor, by check."""

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
  select 'data_quality', format('%s of %s is %s in %s (threshold %s)', metric, column_name, round(value::numeric, 4),
                                segment, threshold)
  from monitoring.quality_current q join newest n using (window_start)
  where q.monitor = :monitor and q.violated and segment = '*' and metric not in
    ('quarantined_share', 'type_violation_share', 'column_missing', 'column_extra', 'retyped', 'duplicate_share')
  union all
  select 'drifted_columns', format('%s of the features drifted against %s (threshold %s)', round(value::numeric, 3),
                                   baseline, threshold)
  from monitoring.drift_current d join newest n using (window_start)
  where d.monitor = :monitor and d.drifted and segment = '*' and method = 'drifted_columns_share'
  union all
  select 'model_performance', format('%s is %s (threshold %s, %s labelled)', metric, round(value::numeric, 4),
                                     round(threshold::numeric, 4), n_labelled)
  from monitoring.performance_current p join newest n using (window_start)
  where p.monitor = :monitor and p.degraded and p.mature and segment = '*'
)
select n.window_start, f.check_name, f.problem from newest n left join problem f on true order by 2, 3
""")


@dataclass(frozen=True)
class NewestVerdicts:
    """Problems by check, of the window that starts at ``window_start`` (None before any)."""

    window_start: datetime | None
    by_check: dict[str, list[str]] = field(default_factory=dict)


def newest_verdicts(conn: Connection, monitor: str) -> NewestVerdicts:
    """What is violated, drifted or degraded in the newest window that has measurements."""
    by_check: dict[str, list[str]] = defaultdict(list)
    start = None
    for window_start, check, problem in conn.execute(NEWEST_VERDICTS, {"monitor": monitor}):
        start = window_start
        if check is not None:
            by_check[check].append(problem)
    return NewestVerdicts(start, dict(by_check))
