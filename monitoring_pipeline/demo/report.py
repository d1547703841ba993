"""The short report that ends the demo: plain figures in, text out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from textwrap import wrap

N_DRIFTED = 5
N_UNCOVERED = 5


@dataclass(frozen=True)
class DriftedColumn:
    """How often a column drifted from training. ``worst`` is the window of the greatest ``value`` by ``method``."""

    column: str
    n_drifted: int
    n_windows: int
    method: str
    value: float
    worst: date


@dataclass(frozen=True)
class MonthPerformance:
    """One figure of a month; shares in [0, 1], regression figures in the outcome's unit. ``month`` is its first day."""

    month: date
    value: float
    ci_low: float | None
    ci_high: float | None
    n_labelled: int
    coverage: float


@dataclass(frozen=True)
class UncoveredDay:
    """A mature day of which few outcomes ever came: mass cancellation. ``usual``: the monitor's median coverage."""

    day: date
    n_predictions: int
    coverage: float
    usual: float


@dataclass(frozen=True)
class ReportedIncident:
    """One incident of the replay: its first day, severity and sentence."""

    first: date
    severity: str
    sentence: str


@dataclass(frozen=True)
class MonitorReport:
    """What was found about one monitor. ``reference_value`` is ``metric`` on the reference; ``n_notices``
    columns and windows that differ from training as earlier weeks led to expect."""

    monitor: str
    n_windows: int
    n_failed: int
    n_rows: int
    n_duplicates: int
    n_quarantined: int
    metric: str
    reference_value: float | None
    drifted: Sequence[DriftedColumn]
    months: Sequence[MonthPerformance]
    uncovered: Sequence[UncoveredDay]
    incidents: Sequence[ReportedIncident]
    n_notices: int


@dataclass(frozen=True)
class Place:
    """Next steps: what is seen there, and the command or address."""

    what: str
    where: str


def render(
    reports: Sequence[MonitorReport], places: Sequence[Place], seconds: float, others: Sequence[str] = ()
) -> str:
    """The report as text of at most 100 columns; ``others``: texts between the monitors and the next steps."""
    parts = [*(_monitor(report) for report in reports), *others]
    if places:
        width = max(len(place.what) for place in places)
        parts.append("\n".join(["Next steps", *(f"  {place.what:<{width}}  {place.where}" for place in places)]))
    parts.append(f"Done in {seconds:.0f} s.")
    return "\n\n".join(parts)


def _monitor(report: MonitorReport) -> str:
    failed = f", {report.n_failed} failed" if report.n_failed else ""
    lines = [
        f"{report.monitor}: {report.n_windows} windows{failed}, {report.n_rows:,} predictions"
        f" ({report.n_duplicates:,} duplicates removed, {report.n_quarantined:,} rows quarantined)"
    ]
    lines += ["  columns that drifted most from training", *_drift_lines(report)]
    lines += [f"  {report.metric} by month" + _on_reference(report.reference_value), *_month_lines(report)]
    lines += ["  days with missing outcomes (cancellations)", *_uncovered_lines(report)]
    lines += [f"  incidents ({report.n_notices:,} differences are season or trend)", *_incident_lines(report)]
    return "\n".join(lines)


def _drift_lines(report: MonitorReport) -> list[str]:
    worst_first = sorted(report.drifted, key=lambda c: (-c.n_drifted / max(c.n_windows, 1), -c.value, c.column))
    lines = [
        f"    {c.column:<26} {c.n_drifted:>4} of {c.n_windows} windows, most on {c.worst} ({c.method} {c.value:.2f})"
        for c in worst_first[:N_DRIFTED]
        if c.n_drifted
    ]
    return lines or ["    nothing"]


def _month_lines(report: MonitorReport) -> list[str]:
    return [
        f"    {m.month:%Y-%m}  {m.value:>7.3f}{_interval(m):<17} {m.n_labelled:>7,} outcomes ({m.coverage:.1%})"
        for m in sorted(report.months, key=lambda m: m.month)
    ] or ["    no outcomes yet"]


def _interval(month: MonthPerformance) -> str:
    if month.ci_low is None or month.ci_high is None:
        return ""
    return f" [{month.ci_low:.3f}, {month.ci_high:.3f}]"


def _on_reference(value: float | None) -> str:
    return "" if value is None else f" (reference {value:.3f})"


def _incident_lines(report: MonitorReport) -> list[str]:
    return [
        line
        for one in sorted(report.incidents, key=lambda one: one.first)
        for line in wrap(
            f"{one.severity}: {one.sentence}", width=100, initial_indent="    ", subsequent_indent="      "
        )
    ] or ["    none"]


def _uncovered_lines(report: MonitorReport) -> list[str]:
    least_first = sorted(report.uncovered, key=lambda d: (d.coverage, d.day))
    lines = [
        f"    {d.day}  {d.coverage:.0%} of {d.n_predictions:,} predictions (typically {d.usual:.0%})"
        for d in least_first[:N_UNCOVERED]
    ]
    return lines or ["    none"]
