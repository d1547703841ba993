"""The demo's summary: values from the metric tables, and months put together from the stored profiles of their
days.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import date
from functools import reduce

from sqlalchemy import Connection

from monitoring_pipeline.demo.report import (
    DriftedColumn,
    MonitorReport,
    MonthPerformance,
    ReportedIncident,
    UncoveredDay,
)
from monitoring_pipeline.metrics.performance import measure_outcome
from monitoring_pipeline.metrics.performance.headline import HEADLINE
from monitoring_pipeline.monitors import Monitor, Window
from monitoring_pipeline.profiles.outcome import OutcomeProfile
from monitoring_pipeline.profiles.profile import EVERYTHING
from monitoring_pipeline.warehouse import incident_store, period_summary, profile_store, reference_store
from monitoring_pipeline.windows import partition_range


def monitor_report(conn: Connection, monitor: Monitor) -> MonitorReport:
    """Everything the report says of one monitor. Reads metric rows and profiles, no raw row."""
    total = period_summary.totals(conn, monitor.name)
    metric = HEADLINE[monitor.task]
    references = reference_store.load_segments(conn, monitor.name)
    reference = references[max(version for version, _ in references), EVERYTHING]
    return MonitorReport(
        monitor=monitor.name,
        n_windows=total.n_windows,
        n_failed=total.n_failed,
        n_rows=total.n_rows,
        n_duplicates=total.n_duplicates,
        n_quarantined=total.n_quarantined,
        metric=metric,
        reference_value=measure_outcome(reference.labelled.outcome)[metric].value,
        drifted=[
            DriftedColumn(d.column_name, d.n_drifted, d.n_windows, d.method, d.value, d.worst.date())
            for d in period_summary.drifted_columns(conn, monitor.name)
        ],
        months=_months(conn, monitor, metric),
        uncovered=[
            UncoveredDay(u.day, u.n_predictions, u.coverage, u.usual)
            for u in period_summary.uncovered_windows(conn, monitor.name)
        ],
        incidents=[
            ReportedIncident(one.first_window.date(), one.severity, one.summary)
            for one in incident_store.current(conn, monitor.name).values()
            if one.state != "retracted"
        ],
        n_notices=period_summary.notices(conn, monitor.name),
    )


def _months(conn: Connection, monitor: Monitor, metric: str) -> list[MonthPerformance]:
    """A month is the sum of its days' profiles: exact counts, and no second look at a row."""
    days: dict[date, list[OutcomeProfile]] = defaultdict(list)
    for profile in profile_store.load_labelled(conn, monitor.name, _everything(monitor), segment=EVERYTHING):
        days[profile.window.start.date().replace(day=1)].append(profile.outcome)
    months = []
    for month, outcomes in sorted(days.items()):
        whole = reduce(OutcomeProfile.merge, outcomes)
        figure = measure_outcome(whole)[metric]
        if figure.value is not None:
            coverage = whole.n_labelled / whole.n_predictions
            months.append(MonthPerformance(month, figure.value, figure.low, figure.high, whole.n_labelled, coverage))
    return months


def _everything(monitor: Monitor) -> Window:
    first, last = partition_range(monitor.start, monitor.end, monitor.window)
    return Window(first.start, last.end)
