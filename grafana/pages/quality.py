"""Data quality and ingestion: did the rows arrive, and can they be used?"""

from __future__ import annotations

from typing import Any

from grafana.kit.chain import SQL as SHARED
from grafana.kit.chain import chain
from grafana.kit.colors import BAD, CALM, REALIZED, REFERENCE, WARNING
from grafana.kit.links import link, run_link
from grafana.kit.overrides import DOTS, dashed, line
from grafana.kit.page import Page
from grafana.kit.panels import grid, number, over_time, ranked, rows
from grafana.kit.queries import Queries
from grafana.kit.tables import MINUTE, column, count, hidden, sentence, shown, value, when

SQL = Queries("quality")
NO_WINDOWS = "No windows were taken in for this monitor in this time range."


def numbers() -> list[tuple[int, Any]]:
    return [
        (
            4,
            number(
                "Rows received",
                "Kept, duplicate and set aside together, in the time range.",
                SQL["n_received"],
                empty="no windows",
            ),
        ),
        (
            4,
            number(
                "Set aside",
                "Share of the rows received that could not be used; they are kept, with their reason.",
                SQL["quarantined_share"],
                unit="percentunit",
                decimals=2,
                empty="no windows",
                thresholds=((None, CALM), (0.001, WARNING)),
            ),
        ),
        (
            4,
            number(
                "Duplicates",
                "Share of the rows received whose id had been seen.",
                SQL["duplicate_share"],
                unit="percentunit",
                decimals=2,
                empty="no windows",
                thresholds=((None, CALM), (0.01, WARNING)),
            ),
        ),
        (
            4,
            number(
                "Violated checks",
                "Quality metrics beyond their threshold in the newest window of the time range.",
                SQL["n_violated"],
                empty="no windows",
                thresholds=((None, CALM), (1, WARNING)),
            ),
        ),
        (
            4,
            number(
                "Labelled",
                "Share of the predictions of the time range whose outcome is known.",
                SQL["coverage"],
                unit="percentunit",
                decimals=1,
                empty="no outcomes declared",
            ),
        ),
        (
            4,
            number(
                "Unknown labels",
                "Labels that still match no prediction, as of the newest batch.",
                SQL["n_unknown"],
                empty="no labels yet",
                thresholds=((None, CALM), (1, WARNING)),
            ),
        ),
    ]


def volume() -> Any:
    panel = over_time(
        "Rows",
        "Rows kept, one a window; dashed, what earlier windows lead to expect; red where the verdict is an alarm.",
        SQL["volume"],
        empty=NO_WINDOWS,
        axis=True,
    )
    panel.override_by_name(*line("rows", "Rows", REALIZED, showPoints="never"))
    panel.override_by_name(*dashed("expected", "Expected", REFERENCE))
    return panel.override_by_name(*line("alarm", "Alarm", BAD, pointSize=7, **DOTS)).min(0)


def set_aside() -> Any:
    panel = over_time(
        "Set aside and duplicates",
        "Shares of the rows received.",
        SQL["set_aside"],
        unit="percentunit",
        empty=NO_WINDOWS,
        axis=True,
    )
    panel.override_by_name(*line("quarantined", "Set aside", WARNING, showPoints="never"))
    return panel.override_by_name(*line("duplicate", "Duplicates", REALIZED, showPoints="never")).min(0)


def coverage() -> Any:
    panel = over_time(
        "Labelled share",
        "Of each window's rows; dashed, what earlier windows of the same age lead to expect; red where the verdict "
        "is an alarm.",
        SQL["coverage_over_time"],
        unit="percentunit",
        empty="This monitor declares no outcomes, or has no windows in this time range.",
        axis=True,
    )
    panel.override_by_name(*line("labelled", "Labelled", REALIZED, showPoints="never"))
    panel.override_by_name(*dashed("expected", "Expected", REFERENCE))
    return panel.override_by_name(*line("alarm", "Alarm", BAD, pointSize=7, **DOTS)).axis_soft_min(0.8).max(1)


def violations() -> Any:
    panel = rows(
        "Violated checks",
        "Columns and metrics beyond their threshold in at least one window of the time range, the most frequent "
        "first; * is whole rows.",
        SQL["violations"],
        empty="No check was violated in this time range, or no quality was measured for this version.",
    )
    return shown(
        panel,
        column("column_name", "Column", 170, link("Open the column", "mm-column", column="key"), grows=True),
        column("metric", "Metric", 150),
        value("windows", "Windows", 80, "none", 0),
        value("newest", "Newest", 90, "none", 4),
        value("threshold", "Threshold", 90, "none", 4),
        column("source", "Threshold from", 116),
        when("last_at", "Last on", 98),
        sentence("detail", "Detail", 240),
        *hidden("key"),
    )


def intake() -> Any:
    panel = rows("Windows taken in", "The newest first, at most 400.", SQL["intake"], empty=NO_WINDOWS)
    return shown(
        panel,
        when("window_start", "Window", 138, MINUTE),
        value("n_received", "Received", 90),
        value("n_rows", "Kept", 90),
        count("n_duplicates", "Duplicates", 90),
        count("n_quarantined", "Set aside", 84),
        sentence("quarantine", "Why set aside", 220),
        column("model_versions", "Versions", 130),
        when("ingested_at", "Taken in at", 138, MINUTE),
        column("run_id", "Run", 110, run_link()),
    )


NO_PARITY = (
    "Nothing to compare: this monitor does not declare how its features are computed again (`parity`), or no window of "
    "this time range was compared."
)


def parity() -> Any:
    panel = over_time(
        "Served and recomputed features",
        "Share of the sampled predictions whose feature differs when it is computed again: any feature, then the 7 "
        "columns that differ most.",
        SQL["parity"],
        unit="percentunit",
        empty=NO_PARITY,
    )
    return ranked(panel).min(0)


def parity_now() -> Any:
    panel = rows(
        "Newest comparison",
        "The newest window that was compared, the columns that differ most first. Unmatched: sampled predictions that "
        "were not computed again.",
        SQL["parity_now"],
        empty=NO_PARITY,
    )
    return shown(
        panel,
        column("column_name", "Column", 100, grows=True),
        value("n_compared", "Compared", 76, "none", 0),
        count("n_differing", "Differ", 58),
        count("n_unmatched", "Unmatched", 78),
        sentence("example", "First that differs", 150),
        *hidden("differing_share", "window_start"),
    )


def build() -> Any:
    page = Page("mm-quality", "Did the rows and labels arrive, and can they be used?")
    page.variables(*chain("monitor", "version")).dagster()
    page.links_to("mm-fleet", "mm-model", "mm-column", "mm-system")
    page.row(3, *numbers())
    main = page.row(8, (24, volume()))
    page.row(6, (24, set_aside()))
    page.row(7, (24, coverage()))
    page.row(9, (24, violations()))
    page.row(
        12,
        (
            24,
            grid(
                "Violated checks by column",
                "Number of violated metrics of a column in each window; ▸ whole rows. At most 50 columns.",
                SQL["violated_grid"],
                top=3.0,
                unit="none",
                decimals=0,
                empty="No check was violated in this time range, or no quality was measured for this version.",
            ),
        ),
    )
    missing = over_time(
        "Missing values",
        "Share of the rows without a value, of the 8 columns farthest from their reference.",
        SQL["missing"],
        unit="percentunit",
        empty="No column misses a value in this time range.",
        axis=True,
    )
    page.row(9, (24, ranked(missing).min(0)))
    page.row(8, (14, parity()), (10, parity_now()))
    page.row(10, (24, intake()))
    page.events("Critical incidents", BAD, SHARED["critical_incidents"], main)
    page.events("Warnings", WARNING, SHARED["warnings"], main)
    return page.build()
