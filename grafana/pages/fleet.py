"""Fleet: which model needs me? Every monitor is a row; the worst come first."""

from __future__ import annotations

from typing import Any

from grafana.kit.colors import BAD, CALM, QUIET, WARNING
from grafana.kit.links import link
from grafana.kit.overrides import SEVERITIES, STATES
from grafana.kit.page import Page
from grafana.kit.panels import number, rows
from grafana.kit.queries import Queries
from grafana.kit.sdk import model
from grafana.kit.tables import column, count, hidden, late, sentence, shown, trend, value, when, word
from grafana.kit.targets import Sql

SQL = Queries("fleet")
DAY = 86_400
HEALTH = {
    "6": ("✖ critical", BAD),
    "5": ("▼ degraded", BAD),
    "4": ("▲ warning", WARNING),
    "3": ("◷ late", WARNING),
    "2": ("– no data", QUIET),
    "1": ("◌ ended", QUIET),
    "0": ("ok", CALM),
}
COLUMNS = (
    word("health", "Health", 96, HEALTH),
    column("monitor", "Monitor", 140, link("Open the model", "mm-model", monitor="monitor"), grows=True),
    count("critical", "Critical", 64),
    count("warning", "Warnings", 78),
    count("drifted", "Drifted", 64),
    column("metric", "Metric", 70),
    value("value", "Newest", 66, "none", 3),
    value("margin", "Margin", 64, "percentunit", 0),
    trend("Trend #B", "Trend", 120),
    value("coverage", "Labelled", 72, "percentunit", 0),
    late("lag", "Lag", 72, 2 * DAY),
    column("champion", "Champion", 102),
    value("age", "Age", 74, "s", 0),
    count("opened", "Opened", 66),
    value("budget", "Budget", 64, "none", 2),
)


def monitors() -> Any:
    panel = rows(
        "Monitors",
        "One row a monitor, the worst first. Drifted: columns whose verdict is an alarm in the newest window. "
        "Newest: the headline metric of the newest window whose labels are in. Margin: how much better that is than "
        "its threshold, or where none is pinned than the reference, as a share of it; degraded is a verdict, not a "
        "negative margin. Trend: the metric over the time range, mature windows only, each row on its own scale. "
        "Labelled: of the newest window that had its full label delay. Opened: incidents of the last 30 days; "
        "Budget: the false ones a month that the declaration accepts.",
        Sql(SQL["monitors"]),
        Sql(SQL["trend"], "B", series=True),
        empty="No monitor is declared yet: see monitoring-pipeline init.",
    )
    order = {one.name: place for place, one in enumerate(COLUMNS)}
    for name, options in (
        ("timeSeriesTable", {}),
        ("joinByField", {"byField": "monitor", "mode": "outer"}),
        ("organize", {"indexByName": order}),
    ):
        panel.with_transformation(model.DataTransformerConfig(id_val=name, options=options))
    return shown(panel, *COLUMNS)


def incidents() -> Any:
    panel = rows(
        "Incidents",
        "Of all monitors, seen in the time range; the open and the worst first, at most 50.",
        SQL["incidents"],
        empty="No incident in this time range: nothing was judged, or nothing is wrong.",
    )
    return shown(
        panel,
        word("state", "State", 100, STATES),
        word("severity", "Severity", 96, SEVERITIES),
        column("monitor", "Monitor", 140, link("Open the model", "mm-model", monitor="monitor")),
        when("first_window", "Since", 98),
        value("n_windows", "Windows", 76, "none", 0),
        column(
            "incident_id",
            "Incident",
            150,
            link("Open the incident", "mm-incident", ("from_ms", "to_ms"), monitor="monitor", incident="incident_id"),
        ),
        sentence("summary", "What happened", 500),
        *hidden("from_ms", "to_ms"),
    )


def build() -> Any:
    page = Page("mm-fleet", "Every monitored model in one table, the worst first.")
    page.links_to("mm-service", "mm-system")
    page.row(
        3,
        (4, number("Monitors", "Declared monitors.", SQL["n_monitors"])),
        (
            4,
            number(
                "Critical incidents", "Open, of all monitors.", SQL["n_critical"], thresholds=((None, CALM), (1, BAD))
            ),
        ),
        (
            4,
            number(
                "Warnings",
                "Open incidents of severity warning.",
                SQL["n_warnings"],
                thresholds=((None, CALM), (1, WARNING)),
            ),
        ),
        (4, number("Predictions", "Predictions taken in that were made in the time range.", SQL["n_predictions"])),
        (
            4,
            number(
                "Failed windows",
                "With a stage whose last attempt failed, in the time range.",
                SQL["n_failed"],
                thresholds=((None, CALM), (1, WARNING)),
            ),
        ),
        (
            4,
            number(
                "Longest lag",
                "The longest time since the end of a monitor's newest window, up to the end of the time range.",
                SQL["longest_lag"],
                unit="s",
                decimals=0,
                empty="no data",
                thresholds=((None, CALM), (2 * DAY, WARNING)),
            ),
        ),
    )
    page.row(15, (24, monitors()))
    page.row(11, (24, incidents()))
    return page.build()
