"""What the metric tables say of a whole period: the values of the demo's report."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Connection, text

TOTALS = text("""
select count(*) filter (where ingested_at is not null) as n_windows,
       count(*) filter (where last_error is not null) as n_failed,
       coalesce(sum(n_rows), 0)::bigint as n_rows, coalesce(sum(n_duplicates), 0)::bigint as n_duplicates,
       coalesce(sum(n_quarantined), 0)::bigint as n_quarantined
from monitoring.window_status where monitor = :monitor
""")
DRIFTED_COLUMNS = text("""
select column_name, method, count(*) filter (where drifted) as n_drifted, count(*) as n_windows, max(value) as value,
       (array_agg(window_start order by value desc, window_start))[1] as worst
from monitoring.drift_current
where monitor = :monitor and baseline = 'training' and method = 'psi' and segment = '*' and role = 'feature'
  and value is not null
group by column_name, method order by n_drifted desc, value desc, column_name
""")
UNCOVERED_WINDOWS = text("""
with coverage as (
  select window_start, value, n, violated from monitoring.quality_current
  where monitor = :monitor and metric = 'label_coverage' and segment = '*'
)
select window_start, value as coverage, n as n_predictions,
       (select percentile_cont(0.5) within group (order by value) from coverage) as usual
from coverage where violated order by value, window_start
""")

NOTICES = text("select coalesce(sum(n_notices), 0) from monitoring.judged_window where monitor = :monitor")


@dataclass(frozen=True)
class Totals:
    """What came in over all windows of a monitor."""

    n_windows: int
    n_failed: int
    n_rows: int
    n_duplicates: int
    n_quarantined: int


@dataclass(frozen=True)
class Drifted:
    """How often one feature drifted from training, and its worst window."""

    column_name: str
    method: str
    n_drifted: int
    n_windows: int
    value: float
    worst: datetime


@dataclass(frozen=True)
class Uncovered:
    """A mature window whose labelled share is below the declared one; ``usual`` is the median of all windows."""

    window_start: datetime
    coverage: float
    n_predictions: int
    usual: float

    @property
    def day(self) -> date:
        """The day the window starts on, in UTC."""
        return self.window_start.date()


def totals(conn: Connection, monitor: str) -> Totals:
    """Counts over every window of the monitor."""
    return Totals(**conn.execute(TOTALS, {"monitor": monitor}).mappings().one())


def drifted_columns(conn: Connection, monitor: str) -> list[Drifted]:
    """Every feature by PSI against training, the most often drifted first."""
    return [Drifted(**row) for row in conn.execute(DRIFTED_COLUMNS, {"monitor": monitor}).mappings()]


def uncovered_windows(conn: Connection, monitor: str) -> list[Uncovered]:
    """Mature windows most of whose outcomes never came, the least covered first."""
    return [Uncovered(**row) for row in conn.execute(UNCOVERED_WINDOWS, {"monitor": monitor}).mappings()]


def notices(conn: Connection, monitor: str) -> int:
    """Columns and windows, over all segments, whose difference from the reference earlier weeks led to expect."""
    return int(conn.execute(NOTICES, {"monitor": monitor}).scalar_one())
