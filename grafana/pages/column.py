"""Column: what moved in one column, when, against what, in which segments?"""

from __future__ import annotations

from typing import Any

from grafana.kit.chain import SQL as SHARED
from grafana.kit.chain import chain
from grafana.kit.colors import BAD, CALM, QUIET, REALIZED, REFERENCE, WARNING
from grafana.kit.links import link
from grafana.kit.overrides import DOTS, VERDICTS, band, dashed, fixed, line, prop, words
from grafana.kit.page import Page
from grafana.kit.panels import bars, named, number, over_time, ranked, rows
from grafana.kit.queries import Queries
from grafana.kit.sdk import common, shapes
from grafana.kit.tables import column, count, hidden, shown, value, when

SQL = Queries("column")
BASELINES = ("training", "previous", "seasonal")
NOT_JUDGED = (
    "No verdicts on this column here: no windows, no reference for this version yet, or the segment is not in them."
)


def numbers() -> list[tuple[int, Any]]:
    status = number(
        "Verdict", "Of the newest window of the time range.", SQL["newest_status"], empty="not judged", as_text=True
    )
    return [
        (4, status.mappings(words(VERDICTS | {"2": ("quiet", CALM)}))),
        (
            4,
            number(
                "Effect",
                "Size of what moved most, in standard deviations of the reference, with its sign; newest window.",
                SQL["newest_effect"],
                decimals=2,
                unit="none",
                empty="not judged",
            ),
        ),
        (
            4,
            number(
                "What moved",
                "Location, spread, shape, missing, outside the reference's range, unseen categories, or one category.",
                SQL["newest_moved"],
                empty="not judged",
                as_text=True,
            ),
        ),
        (
            4,
            number(
                "q-value",
                "p-value adjusted for all columns and segments of the window.",
                SQL["newest_q"],
                unit="none",
                empty="not judged",
            ).mappings(words({"0": ("< 1e-300", CALM)})),
        ),
        (4, number("Values", "In the newest window, without missing ones.", SQL["newest_n"], empty="no windows")),
        (
            4,
            number(
                "Importance",
                "How much the column matters to the model, from its training.",
                SQL["importance"],
                unit="percentunit",
                decimals=0,
                empty="not known",
            ),
        ),
    ]


def distribution() -> Any:
    panel = bars(
        "Distribution: reference, time range, last 7 days",
        "Share of the values in the reference's bins. Numbers: bins that hold about equally many reference rows; "
        "categories: the 40 most frequent, then those the reference does not know. Merged over the windows of the "
        "time range and over the last 7 days of the version in it.",
        SQL["distribution"],
        empty="No reference that holds this column, or no values in this time range and segment.",
    )
    panel.override_by_name("reference", [prop("displayName", "Reference"), fixed(REFERENCE)])
    panel.override_by_name("seen", [prop("displayName", "Time range"), fixed("#56B4E9")])
    return panel.override_by_name("recent", [prop("displayName", "Last 7 days of the version"), fixed(WARNING)])


def effect() -> Any:
    panel = over_time(
        "Effect of $column",
        "Signed size of what moved most, in standard deviations of the reference (of a share: of its arcsine). Red: "
        "the verdict is an alarm; orange: earlier weeks explain it.",
        SQL["effect"],
        unit="none",
        empty=NOT_JUDGED,
        axis=True,
    )
    for name, properties in (
        line("effect", "Effect", REALIZED, lineWidth=1, showPoints="never"),
        line("quiet", "Quiet", REALIZED, pointSize=3, **DOTS),
        line("notice", "Notice", WARNING, pointSize=6, **DOTS),
        line("alarm", "Alarm", BAD, pointSize=7, **DOTS),
    ):
        panel.override_by_name(name, properties)
    return panel.decimals(2)


def p_values(title: str, why: str, query: str, *names: str) -> Any:
    panel = over_time(title, why, query, unit="sci", empty="This method gives no p-value here: " + NOT_JUDGED)
    panel.scale_distribution(common.ScaleDistributionConfig().type(shapes.ScaleDistribution.LOG).log(10))
    return named(panel, *names).max(1)


def moments() -> Any:
    panel = over_time(
        "Mean and spread",
        "Mean of the window with one standard deviation up and down; dashed, the reference's mean.",
        SQL["moments"],
        empty="A category has no mean: see the distribution. Or there are no values in this time range and segment.",
    )
    for name, properties in (
        line("mean", "Mean", REALIZED, showPoints="never"),
        *band(20),
        dashed("reference", "Reference", REFERENCE),
    ):
        panel.override_by_name(name, properties)
    return panel


def shares() -> Any:
    panel = over_time(
        "Missing, unseen, outside",
        "Shares of the rows: without a value, not a number; of the values: no category of the reference, outside its"
        " range.",
        SQL["shares"],
        unit="percentunit",
        empty="No data-quality metrics for this column, version and segment in this time range.",
    )
    for name, properties in (
        line("missing_share", "Missing", REALIZED, showPoints="never"),
        line("unseen_share", "Unseen", WARNING, showPoints="never"),
        line("out_of_range_share", "Outside", WARNING, showPoints="never"),
        line("nan_share", "Not a number", QUIET, showPoints="never"),
    ):
        panel.override_by_name(name, properties)
    return panel.min(0)


def segments() -> Any:
    panel = rows(
        "Segments side by side",
        "The column in each segment over the time range: alarms and notices, newest and largest effect, what moved "
        "then.",
        SQL["segments"],
        empty=NOT_JUDGED,
    )
    return shown(
        panel,
        column("segment", "Segment", 130, link("Look at this segment", "mm-column", segment="key"), grows=True),
        value("n", "Values", 70),
        count("alarms", "Alarms", 62),
        count("notices", "Notices", 64),
        value("newest", "Newest", 62, "none", 2),
        value("peak", "Peak", 56, "none", 2),
        when("peak_at", "Peak on", 92),
        column("moved", "What moved", 90),
        *hidden("key"),
    )


def build() -> Any:
    page = Page("mm-column", "One column: what moved, when, against what, in which segments.")
    page.variables(*chain("monitor", "version", "segment", "column", "baseline", "method"))
    page.links_to("mm-fleet", "mm-model", "mm-segments", "mm-quality")
    page.row(3, *numbers())
    page.row(10, (24, distribution()))
    main = page.row(8, (24, effect()))
    by_segment = over_time(
        "Effect by segment",
        "The same effect in each of the ten largest segments.",
        SQL["effect_by_segment"],
        unit="none",
        empty=NOT_JUDGED,
    )
    by_baseline = over_time(
        "$method by baseline",
        "The measurement against each baseline, without a verdict.",
        SQL["value_by_baseline"],
        unit="none",
        empty="No drift metrics for this column and method: not every method fits a number and a category; or no "
        "reference.",
    )
    page.row(9, (12, named(by_baseline, *BASELINES)), (12, moments()))
    page.row(
        9,
        (
            12,
            p_values(
                "p-value of $method by baseline",
                "Of the method's own test, uncalibrated: with many rows it is small for differences that do not "
                "matter. Values below 1e-12 are drawn there.",
                SQL["p_by_baseline"],
                *BASELINES,
            ),
        ),
        (
            12,
            p_values(
                "q-value and level",
                "Calibrated on how much windows vary and adjusted for all columns; an alarm where it is at or below "
                "the level that the budget of false alarms allows.",
                SQL["q_over_time"],
                "q-value",
                "level",
            ),
        ),
    )
    page.row(9, (12, shares()), (12, ranked(by_segment)))
    page.row(9, (24, segments()))
    page.events("Critical incidents", BAD, SHARED["critical_incidents"], main)
    page.events("Warnings", WARNING, SHARED["warnings"], main)
    return page.build()
