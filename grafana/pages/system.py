"""The monitor itself: does it keep up, what failed, what does it cost?"""

from __future__ import annotations

from typing import Any

from grafana.kit.chain import chain
from grafana.kit.colors import CALM, WARNING
from grafana.kit.links import link, run_link
from grafana.kit.page import Page
from grafana.kit.panels import gauges, named, number, over_time, rows, shaded
from grafana.kit.queries import Queries
from grafana.kit.tables import MINUTE, column, late, sentence, shown, value, when
from grafana.kit.targets import Prom

SQL = Queries("system")
STAGES = (
    "ingestion", "profile", "ground_truth", "quality", "drift",
    "performance", "verdicts", "incidents", "rollups", "estimation",
)  # fmt: skip
NO_EXPORTER = "No series: the exporter (monitoring-pipeline exporter) does not run, or Prometheus does not scrape it."


def numbers() -> list[tuple[int, Any]]:
    warned = ((None, CALM), (1, WARNING))
    return [
        (
            4,
            number(
                "Monitors behind",
                "Whose newest window ended more than two windows before the end of the time range.",
                SQL["n_behind"],
                thresholds=warned,
            ),
        ),
        (
            4,
            number(
                "Failed windows",
                "Of all monitors: with a stage whose last attempt failed.",
                SQL["n_failed"],
                thresholds=warned,
            ),
        ),
        (
            4,
            number(
                "Stale windows",
                "Of this monitor: with a stage older than what it was computed from.",
                SQL["n_stale"],
                thresholds=warned,
            ),
        ),
        (
            4,
            number(
                "Newest result",
                "When a stage of this monitor was last completed.",
                SQL["newest_result"],
                unit="time:D MMM HH:mm",
                empty="never",
                as_text=True,
            ),
        ),
        (4, number("Database", "All tables with their indexes.", SQL["database_bytes"], unit="bytes")),
        (
            4,
            number(
                "Per window",
                "Database size over all windows taken in, of all monitors.",
                SQL["bytes_a_window"],
                unit="bytes",
                empty="no windows",
            ),
        ),
    ]


def lag() -> Any:
    panel = rows(
        "Lag",
        "Time since the end of a monitor's newest window, up to the end of the time range or the declared end; the "
        "longest first.",
        SQL["lag"],
        empty="No monitor is declared yet: see monitoring-pipeline init.",
    )
    return shown(
        panel,
        column("monitor", "Monitor", 200, link("Look at this monitor", "mm-system", monitor="monitor"), grows=True),
        when("seen_until", "Newest window", 140, MINUTE),
        late("lag", "Lag", 100, 2 * 86_400),
    )


def failed() -> Any:
    panel = rows(
        "Failed stages",
        "Of all monitors; the newest first, at most 100.",
        SQL["failed"],
        empty="No stage of a window in this time range has failed.",
    )
    return shown(
        panel,
        column("monitor", "Monitor", 150),
        when("window_start", "Window", 138, MINUTE),
        column("stage", "Stage", 110),
        value("attempts", "Attempts", 80, "none", 0),
        when("failed_at", "Failed at", 138, MINUTE),
        sentence("last_error", "Why", 400),
        column("run_id", "Run", 110, run_link()),
    )


def stale() -> Any:
    panel = rows(
        "Stale stages",
        "Of this monitor: older than what they were computed from, by reason.",
        SQL["stale"],
        empty="Nothing is stale in this time range.",
    )
    return shown(
        panel,
        column("stage", "Stage", 100, grows=True),
        column("reason", "Reason", 90),
        value("windows", "Windows", 80, "none", 0),
        when("first", "First", 98),
        when("last", "Last", 98),
    )


def stages() -> Any:
    panel = rows(
        "Time by stage, newest run",
        "Of this monitor's newest run over windows of the time range: time since the stage before ended. The first "
        "stage counts from its first window.",
        SQL["stages"],
        empty="No run of this monitor completed a stage in this time range.",
    )
    return shown(
        panel,
        column("stage", "Stage", 110, grows=True),
        value("windows", "Windows", 80, "none", 0),
        value("seconds", "Time", 90, "s", 2),
        value("a_window", "A window", 100, "ms", 1),
    )


def runs() -> Any:
    panel = rows(
        "Runs",
        "That computed windows of the time range; from the first to the last completed stage. The newest first, at "
        "most 50.",
        SQL["runs"],
        empty="No run of this monitor completed a stage in this time range.",
    )
    return shown(
        panel,
        column("run_id", "Run", 150, run_link(), grows=True),
        when("began", "Began", 138, MINUTE),
        when("first", "From", 98),
        when("last", "To", 98),
        value("windows", "Windows", 80, "none", 0),
        value("seconds", "Time", 90, "s", 1),
        value("a_window", "A window", 100, "ms", 1),
    )


def build() -> Any:
    page = Page("mm-system", "Does the monitor keep up, what failed, what does it cost?")
    page.variables(*chain("monitor")).dagster()
    page.links_to("mm-fleet", "mm-quality", "mm-service")
    page.row(3, *numbers())
    tables = gauges(
        "Tables",
        "The 12 largest, partitions together, with their indexes.",
        SQL["tables"],
        unit="bytes",
        empty="no tables",
    )
    page.row(9, (12, lag()), (12, tables))
    page.row(6, (24, failed()))
    page.row(9, (12, stages()), (12, stale()))
    page.row(7, (24, runs()))
    results = over_time(
        "Stages completed",
        "Of this monitor, by the clock, not by the time of the data: windows completed by stage in each hundredth of "
        "the time range.",
        SQL["completed"],
        unit="short",
        empty="No stage of this monitor was completed in this time range of the clock; a replay of the past runs "
        "later than its windows.",
    )
    page.row(8, (12, named(results, *STAGES)), (12, lag_seen()))
    page.row(
        8,
        (
            8,
            exported(
                "Database size", "As the exporter sees it.", "max(monitoring_database_bytes)", "Database", "bytes"
            ),
        ),
        (
            8,
            exported(
                "Exporter",
                "Seconds it takes to read the database at a scrape.",
                "max(monitoring_exporter_query_seconds)",
                "Query",
                "s",
            ),
        ),
        (
            8,
            exported(
                "Scrapes",
                "1 while Prometheus reaches a target of this project.",
                'min by (job) (up{job=~"monitoring.*|prediction.*"})',
                "{{job}}",
                "none",
            ),
        ),
    )
    return page.build()


def lag_seen() -> Any:
    return exported(
        "Lag as exported",
        "Of the chosen monitor, by the clock.",
        'max(monitoring_lag_seconds{monitor="$monitor"})',
        "Lag",
        "s",
    )


def exported(title: str, why: str, expr: str, legend: str, unit: str) -> Any:
    """A series of the exporter."""
    return shaded(over_time(title, why, Prom(expr, legend), unit=unit, empty=NO_EXPORTER)).min(0)
