"""Incident: what happened, where, since when, and what did late data change? Opened from an alert."""

from __future__ import annotations

from typing import Any

from grafana.kit.chain import chain
from grafana.kit.colors import BAD, CALM, QUIET, REALIZED, REFERENCE, WARNING
from grafana.kit.links import link, run_link
from grafana.kit.overrides import DOTS, SEVERITIES, STATES, VERDICTS, band, dashed, fixed, line, prop, words
from grafana.kit.page import Page
from grafana.kit.panels import bars, number, over_time, rows, states
from grafana.kit.queries import Queries
from grafana.kit.tables import MINUTE, column, hidden, sentence, shown, value, when, word
from grafana.kit.variables import choice
from grafana.pages.reports import reports

SQL = Queries("incident")
NONE = "No incident is chosen: this monitor has none in this time range."


def numbers() -> list[tuple[int, Any]]:
    return [
        (
            4,
            number(
                "State",
                "Open, resolved, or retracted: late data or another policy took back what it rested on.",
                SQL["state"],
                empty="no incident",
                as_text=True,
            ).mappings(words(STATES)),
        ),
        (
            4,
            number(
                "Severity",
                "The worst of its alarms by the declared rules.",
                SQL["severity"],
                empty="no incident",
                as_text=True,
            ).mappings(words(SEVERITIES)),
        ),
        (4, number("Kind of change", "What explains most of it.", SQL["change"], empty="no incident", as_text=True)),
        (
            4,
            number(
                "Since",
                "Start of the first window it was seen in, UTC.",
                SQL["since"],
                unit="time:D MMM YYYY",
                empty="no incident",
                as_text=True,
            ),
        ),
        (4, number("Windows", "With an alarm.", SQL["n_windows"], empty="no incident", as_text=True)),
        (
            4,
            number(
                "Columns",
                "It was seen in; 0: it is about whole rows or the outcome.",
                SQL["n_columns"],
                empty="no incident",
                as_text=True,
            ),
        ),
    ]


def what() -> Any:
    panel = rows(
        "What happened, and what to do",
        "The incident's sentence and the actions for this kind of change.",
        SQL["what"],
        empty=NONE,
    )
    return shown(
        panel,
        sentence("summary", "What happened", 420),
        sentence("actions", "What to do", 240),
        when("last_window", "Last window", 98),
        when("resolved_at", "Resolved", 98),
        column("run_id", "Run", 110, run_link()),
    )


def headline() -> Any:
    panel = over_time(
        "Headline metric around it",
        "Realized from outcomes, all rows, with the 95 % interval; red where degraded, grey where labels are still "
        "missing. The area is the incident.",
        SQL["headline"],
        empty="Nothing is realized in this time range: no outcomes, or none are declared.",
        axis=True,
    )
    for name, properties in (
        line("value", "Realized", REALIZED, lineWidth=1, pointSize=4),
        line("degraded", "Degraded", BAD, pointSize=7, **DOTS),
        line("provisional", "Labels still missing", QUIET, pointSize=6, **DOTS),
        *band(),
        dashed("threshold", "Threshold", BAD),
        dashed("reference", "Reference", REFERENCE),
    ):
        panel.override_by_name(name, properties)
    return panel.decimals(3)


def moved() -> Any:
    panel = rows(
        "What moved, by importance × effect",
        "The strongest alarm of each column or kind. Effect: in standard deviations of the reference (performance: "
        "of its own contrast). Where importance is not known it counts as 1.",
        SQL["moved"],
        empty=NONE,
    )
    return shown(
        panel,
        column("kind", "Kind", 92),
        column(
            "column_name",
            "Column",
            130,
            link("Open the column", "mm-column", column="key", segment="segment_key"),
            grows=True,
        ),
        column("segment", "Segment", 120),
        column("moved", "What moved", 110),
        value("effect", "Effect", 70, "none", 2),
        value("q_value", "q-value", 84, "sci", 1, prop("mappings", words({"0": ("< 1e-300", CALM)}))),
        value("windows", "Windows", 76, "none", 0),
        column("cause", "Cause", 120),
        value("importance", "Importance", 86, "percentunit", 0),
        value("weight", "Weight", 70, "none", 2),
        *hidden("key", "segment_key"),
    )


def segments() -> Any:
    panel = rows(
        "Segments hit",
        "Where columns of the incident, performance, volume or coverage were alarms during it.",
        SQL["segments"],
        empty="No alarm in any segment: the incident rests on violated checks of data quality, or no incident is "
        "chosen.",
    )
    return shown(
        panel,
        column("segment", "Segment", 130, grows=True),
        value("windows", "Windows", 76, "none", 0),
        value("subjects", "Columns", 76, "none", 0),
        column("strongest", "Strongest", 120),
        value("effect", "Effect", 70, "none", 2),
        *hidden("key"),
    )


def distribution() -> Any:
    panel = bars(
        "$column before and during",
        "Share of the values in the reference's bins, all rows: in the reference, in as many windows before (at "
        "least 7 days), and during the incident.",
        SQL["distribution"],
        empty="This incident is about no column, or the column has no reference.",
    )
    panel.override_by_name("reference", [prop("displayName", "Reference"), fixed(REFERENCE)])
    panel.override_by_name("before", [prop("displayName", "Before"), fixed("#56B4E9")])
    return panel.override_by_name("during", [prop("displayName", "During"), fixed(WARNING)])


def revisions() -> Any:
    panel = rows(
        "What became of it: every revision",
        "The newest first. Late rows or labels, or another policy, amend or retract an incident: the reason says "
        "what changed.",
        SQL["revisions"],
        empty=NONE,
    )
    return shown(
        panel,
        when("as_known_at", "Known at", 138, MINUTE),
        word("state", "State", 100, STATES),
        word("severity", "Severity", 96, SEVERITIES),
        when("last_window", "Until", 96),
        value("n_windows", "Windows", 76, "none", 0),
        value("n_columns", "Columns", 76, "none", 0),
        column("reason", "Why it was written", 170, prop("custom.wrapText", True)),
        sentence("summary", "What it said", 280),
        column("run_id", "Run", 90, run_link()),
    )


def timeline() -> Any:
    return states(
        "Verdicts of what it was seen in",
        "Its columns (at most 20) and the kinds of verdict on whole rows, ▸, over the time range: the worst of all "
        "segments.",
        SQL["timeline"],
        VERDICTS,
        empty=NONE,
    )


def build() -> Any:
    page = Page("mm-incident", "One incident: what happened, where, since when, what late data changed.")
    why = "Of this monitor, seen in the time range; the open ones first."
    page.variables(
        *chain("monitor"),
        choice("incident", "Incident", why, SQL["incidents"]),
        choice("column", "Column", "Columns of the incident, by importance × effect.", SQL["its_columns"]),
    )
    page.dagster().links_to("mm-fleet", "mm-model", "mm-column", "mm-quality")
    page.row(3, *numbers())
    page.row(6, (24, what()))
    main = page.row(8, (24, headline()))
    page.row(8, (24, timeline()))
    page.row(8, (24, moved()))
    page.row(9, (14, distribution()), (10, segments()))
    page.row(9, (24, revisions()))
    no_reports = (
        "No report of a period that the incident touches. Declare `evidently: {every: week}` to have them written."
    )
    page.row(6, (24, reports(SQL["reports"], no_reports)))
    page.events("Incident", BAD, SQL["region"], main)
    return page.build()
