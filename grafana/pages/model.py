"""Model: how well does it predict, what moved, and what came of it? Read from the top down."""

from __future__ import annotations

from typing import Any

from grafana.kit.chain import SQL as SHARED
from grafana.kit.chain import chain, shade
from grafana.kit.colors import BAD, CALM, ESTIMATED, QUIET, REALIZED, REFERENCE, WARNING
from grafana.kit.links import link
from grafana.kit.overrides import DOTS, SEVERITIES, STATES, VERDICTS, band, dashed, fixed, line, pattern, prop
from grafana.kit.page import Page
from grafana.kit.panels import bars, grid, number, over_time, rows, states
from grafana.kit.queries import Queries
from grafana.kit.tables import column, count, hidden, sentence, shown, value, when, word
from grafana.kit.targets import Sql
from grafana.pages.reports import reports

SQL = Queries("model")
NOT_JUDGED = (
    "No verdicts for this version and segment in this time range: no windows, no reference for this version yet, or "
    "the stage verdicts has not run."
)


def performance() -> Any:
    panel = over_time(
        "$metric of $monitor",
        "Dots: realized from outcomes, one a window, with the 95 % interval as a band; red where the verdict is "
        "degraded, grey where labels are still missing (the value will change). Steps: weeks, measured on their "
        "windows merged (months or quarters where `rollups` declares no weeks; none where it declares nothing). "
        "Dashed: the pinned threshold, else the reference's value; purple, estimated without outcomes. Areas: "
        "incidents.",
        Sql(SQL["realized"], "A", series=True),
        Sql(SQL["estimated"], "B", series=True),
        Sql(SQL["merged"], "C", series=True),
        empty="Nothing is realized in this time range: no outcomes arrived yet, none are declared, or the version or"
        " segment has no rows.",
        axis=True,
    )
    panel.decimals(3)
    for name, properties in (
        line("merged", "Merged windows", REALIZED, lineWidth=2, lineInterpolation="stepAfter", showPoints="never"),
        line("fine", "Realized", REALIZED, pointSize=4, **DOTS),
        line("degraded", "Degraded", BAD, pointSize=6, **DOTS),
        line("provisional", "Labels still missing", QUIET, pointSize=6, **DOTS),
        *band(),
        dashed("threshold", "Threshold", BAD),
        dashed("reference", "Reference", REFERENCE),
        dashed("estimated", "Estimated", ESTIMATED),
    ):
        panel.override_by_name(name, properties)
    return panel


def scores() -> Any:
    panel = bars(
        "Scores: last 7 days against the reference",
        "Share of the predictions in bins that hold about equally many reference rows: level bars mean no change. "
        "The score where one is logged, else the prediction; the last 7 days of the version in the time range, the "
        "chosen segment.",
        SQL["scores"],
        empty="Nothing to compare: no reference for this version, no predictions in these days, or no score is "
        "declared.",
    )
    panel.override_by_name("reference", [prop("displayName", "Reference"), fixed(REFERENCE)])
    return panel.override_by_name("recent", [prop("displayName", "Last 7 days of the version"), fixed(REALIZED)])


def labels() -> Any:
    panel = over_time(
        "Labelled share",
        "Of each window's predictions. A window is mature when missing labels can hardly change it, or when it is "
        "old enough.",
        SQL["labels"],
        unit="percentunit",
        empty="This monitor declares no outcomes, or has no windows in this time range.",
        axis=True,
    )
    panel.axis_soft_min(0.8).max(1)
    panel.override_by_name(*line("labelled", "Labelled", REALIZED, showPoints="never"))
    return panel.override_by_name(*dashed("wanted", "Wanted", REFERENCE))


def columns() -> Any:
    panel = rows(
        "Columns by drift",
        "Alarms: windows in which the column was called drifted. Notices: those that earlier weeks explain. Effect: "
        "size of what moved, in standard deviations of the reference.",
        SQL["columns"],
        empty=NOT_JUDGED,
    )
    return shown(
        panel,
        column("column_name", "Column", 120, link("Open the column", "mm-column", column="key"), grows=True),
        count("alarms", "Alarms", 62),
        count("notices", "Notices", 64),
        value("newest", "Newest", 66, "none", 2),
        value("peak", "Peak", 60, "none", 2),
        when("peak_at", "Peak on", 92),
        column("moved", "What moved", 106),
        *hidden("key"),
    )


def incidents() -> Any:
    panel = rows(
        "Incidents",
        "Of this monitor, seen in the time range; the open ones first.",
        SQL["incidents"],
        empty="No incident in this time range: nothing was judged, or nothing is wrong.",
    )
    return shown(
        panel,
        word("state", "State", 100, STATES),
        word("severity", "Severity", 96, SEVERITIES),
        column(
            "incident_id",
            "Incident",
            150,
            link("Open the incident", "mm-incident", ("from_ms", "to_ms"), incident="incident_id"),
        ),
        when("first_window", "Since", 98),
        value("n_windows", "Windows", 76, "none", 0),
        sentence("summary", "What happened", 500),
        *hidden("from_ms", "to_ms"),
    )


def numbers() -> list[tuple[int, Any]]:
    red_arrow = pattern("(.*▼)", "$1", BAD)
    return [
        (
            4,
            number(
                "Newest $metric",
                "Of the newest mature window: the one whose labels are in.",
                SQL["newest_metric"],
                decimals=3,
                empty="not yet",
            ),
        ),
        (
            4,
            number(
                "Margin",
                "How much better that is than the threshold, or where none is pinned than the reference, as a share "
                "of it. ▼: the verdict is degraded.",
                SQL["margin"],
                empty="not yet",
                as_text=True,
            ).mappings([red_arrow]),
        ),
        (
            4,
            number(
                "Mature until",
                "End of the newest window whose labels are in; later values will still change.",
                SQL["mature_until"],
                unit="time:D MMM YYYY",
                empty="not yet",
                as_text=True,
            ),
        ),
        (
            4,
            number(
                "Drifted columns",
                "Of the newest window, all rows: verdicts that are alarms, of the columns judged.",
                SQL["n_drifted"],
                empty="no windows",
                as_text=True,
            ),
        ),
        (4, number("Open incidents", "Of this monitor, now.", SQL["n_open"], thresholds=((None, CALM), (1, BAD)))),
        (
            4,
            number(
                "Violated checks",
                "Quality metrics of the newest window beyond their threshold.",
                SQL["n_violated"],
                empty="no windows",
                thresholds=((None, CALM), (1, WARNING)),
            ),
        ),
    ]


def build() -> Any:
    page = Page("mm-model", "One model: performance, drift, labels, incidents.")
    page.variables(*chain("monitor", "version", "segment", "metric", "baseline", "method"), shade()).dagster()
    page.links_to("mm-fleet", "mm-column", "mm-segments", "mm-quality", "mm-retraining", "mm-service")
    page.row(3, *numbers())
    main = page.row(10, (24, performance()))
    page.row(6, (24, verdicts()))
    page.row(17, (24, verdict_heat()))
    page.row(10, (12, columns()), (12, scores()))
    page.row(6, (24, labels()))
    page.row(10, (24, incidents()))
    page.row(17, (24, method_heat()))
    no_reports = (
        "No report in this time range. Declare `evidently: {every: week}`, or materialize the asset evidently_report "
        "of a window in Dagster."
    )
    page.row(6, (24, reports(SQL["reports"], no_reports)))
    page.events("Critical incidents", BAD, SHARED["critical_incidents"], main)
    page.events("Warnings", WARNING, SHARED["warnings"], main)
    page.events("Versions", ESTIMATED, SHARED["version_changes"], main)
    return page.build()


def verdicts() -> Any:
    return states(
        "Verdicts",
        "One row a kind, the worst verdict of the window: of all rows and the chosen segment; drift of all rows. "
        "Notice: it differs as earlier weeks led to expect, or its cause is known.",
        SQL["verdicts"],
        VERDICTS,
        empty=NOT_JUDGED,
    )


def verdict_heat() -> Any:
    return grid(
        "Verdicts by column: $shade",
        "Verdict: full where the column is called drifted, pale where earlier weeks explain it. Effect: in limits of"
        " 0.15 standard deviations. Evidence: log of the q-value in logs of the level that the budget allows: 1 is "
        "the limit. ▸ marks what the model puts out. At most 50 columns, the most moved.",
        SQL["heat"],
        top=5.0,
        empty=NOT_JUDGED,
    )


def method_heat() -> Any:
    return grid(
        "$method against $baseline",
        "The measurement itself, without a verdict: it also moves with season and with few rows. ▸ marks what the "
        "model puts out. At most 50 columns, the largest first chosen.",
        SQL["method_heat"],
        top=0.5,
        empty="No drift metrics for this version, segment, baseline and method in this time range: no reference, a "
        "first window without the one before, or fewer than four weeks for the seasonal baseline.",
        unit="none",
        decimals=3,
        color=REALIZED,
    )
