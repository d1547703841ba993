"""Segments and fairness: for whom is the model worse, whose data moved, and are protected groups treated alike?"""

from __future__ import annotations

from typing import Any

from grafana.kit.chain import chain
from grafana.kit.colors import CALM, WARNING
from grafana.kit.links import link
from grafana.kit.overrides import VERDICTS
from grafana.kit.page import Page
from grafana.kit.panels import grid, number, over_time, ranked, rows, states
from grafana.kit.queries import Queries
from grafana.kit.tables import column, count, hidden, share, shown, value

SQL = Queries("segments")
NO_SEGMENTS = "No segments: none are declared under `segments`, or this version has no windows in this time range."
NOT_PROTECTED = "No fairness metrics: no columns are declared under `protected`."
NOT_REALIZED = "Nothing is realized here: no outcomes in this time range, or none are declared."


def table() -> Any:
    panel = rows(
        "Segments",
        "Newest: $metric of the newest mature window with its 95 % interval; merged: of all rows of the newest whole "
        "period, the longest declared under `rollups`; reference: of the same segment. Degraded: windows with that "
        "verdict. Alarms: columns called drifted, times windows.",
        SQL["table"],
        empty=NO_SEGMENTS,
    )
    return shown(
        panel,
        column("segment", "Segment", 170, link("Open the model for it", "mm-model", segment="key"), grows=True),
        value("n_rows", "Rows", 84),
        share("share", "Share", 150, "blue"),
        value("newest", "Newest", 80, "none", 3),
        value("low", "Low", 74, "none", 3),
        value("high", "High", 74, "none", 3),
        value("merged", "Merged", 80, "none", 3),
        column("period", "Period", 84),
        value("reference", "Reference", 90, "none", 3),
        count("degraded", "Degraded", 84),
        count("alarms", "Alarms", 76),
        count("columns", "Columns", 80),
        *hidden("key"),
    )


def fairness() -> Any:
    panel = rows(
        "Fairness",
        "Of each protected column: the largest difference between any two of its groups in the newest window that "
        "holds it, with its 95 % interval for all pairs at once, and the two groups. Violated: windows whose whole "
        "interval lies beyond the declared threshold; without one nothing is.",
        SQL["fairness"],
        empty=NOT_PROTECTED,
    )
    return shown(
        panel,
        column("protected_column", "Protected", 120),
        column("metric", "Metric", 220),
        value("newest", "Newest", 80, "none", 3),
        value("low", "Low", 74, "none", 3),
        value("high", "High", 74, "none", 3),
        value("threshold", "Threshold", 90, "none", 3),
        count("violated", "Violated", 84),
        column("groups", "Between", 280, grows=True),
    )


def build() -> Any:
    page = Page("mm-segments", "For whom is the model worse, and whose data moved?")
    page.variables(*chain("monitor", "version", "metric"))
    page.links_to("mm-fleet", "mm-model", "mm-column")
    page.row(
        3,
        (8, number("Segments", "Values of the declared columns met in the time range.", SQL["n_segments"])),
        (
            8,
            number(
                "Worst segment",
                "With the worst $metric in the newest whole period, the longest declared under `rollups`; without any, "
                "in the newest mature window.",
                SQL["worst"],
                empty="not realized",
                as_text=True,
            ),
        ),
        (
            8,
            number(
                "Alarms",
                "Columns called drifted in a segment, times windows.",
                SQL["n_alarms"],
                thresholds=((None, CALM), (1, WARNING)),
            ),
        ),
    )
    page.row(9, (24, table()))
    lines = over_time(
        "$metric by segment",
        "Of the ten largest segments: each week, measured on its windows merged (months or quarters where `rollups` "
        "declares no weeks); where it declares nothing, each mature window.",
        SQL["performance"],
        empty=NOT_REALIZED,
        axis=True,
    )
    page.row(10, (24, ranked(lines).decimals(3)))
    page.row(
        7,
        (
            24,
            states(
                "Performance verdicts by segment",
                "Calibrated on how much windows of the same segment vary.",
                SQL["verdicts"],
                VERDICTS,
                empty="No performance verdicts: no outcomes, or no reference with outcomes.",
            ),
        ),
    )
    page.row(
        9,
        (
            24,
            grid(
                "Drifted columns by segment",
                "Columns called drifted in a window; a pale cell: differences that earlier weeks explain. The 50 "
                "largest segments.",
                SQL["drift"],
                top=5.0,
                unit="none",
                decimals=1,
                empty="No verdicts on columns: no reference for this version, or no windows in this time range.",
            ),
        ),
    )
    gaps = over_time(
        "Largest difference between groups",
        "The ten largest of the differences that the table names; a rate in one group minus that in another.",
        SQL["fairness_lines"],
        empty=NOT_PROTECTED,
        axis=True,
    )
    page.row(7, (24, fairness()))
    page.row(8, (24, ranked(gaps).decimals(3).min(0)))
    sizes = over_time(
        "Share of the rows",
        "Of the ten largest segments: a change of the mix moves every metric of all rows.",
        SQL["sizes"],
        unit="percentunit",
        empty=NO_SEGMENTS,
        axis=True,
    )
    page.row(9, (24, ranked(sizes).min(0)))
    return page.build()
