"""Retraining: was it asked for, why, what came of it, and is the new model better?"""

from __future__ import annotations

from typing import Any

from grafana.kit.chain import SQL as SHARED
from grafana.kit.chain import chain
from grafana.kit.colors import BAD, CALM, ESTIMATED, QUIET, REALIZED, REFERENCE, WARNING
from grafana.kit.links import link, run_link
from grafana.kit.overrides import DASH, DOTS, fixed, line, prop
from grafana.kit.page import Page
from grafana.kit.panels import bars, number, over_time, ranked, rows
from grafana.kit.queries import Queries
from grafana.kit.tables import MINUTE, column, sentence, shown, value, when, word
from grafana.kit.variables import choice

SQL = Queries("retraining")
NONE_YET = (
    "No retraining in this time range: none is declared under `retrain`, nothing asked for it, or the policy has not"
    " run yet."
)
NO_BACKTEST = "No backtest of this monitor was made: `monitoring-pipeline backtest NAME --policy FILE` makes one."
NO_ATTEMPT = "No attempt is chosen: this monitor has none yet."
DECISIONS = {"retrain": ("● retrain", CALM), "wait": ("◷ wait", QUIET), "skip": ("– skip", QUIET)}
OUTCOMES = {
    "promoted": ("▲ promoted", REALIZED),
    "kept": ("○ kept", CALM),
    "inconclusive": ("? inconclusive", QUIET),
    "failed": ("✖ failed", BAD),
    "training": ("◷ training", CALM),
    "trained": ("◷ trained", CALM),
    "compared": ("◷ compared", CALM),
    "shadowing": ("◷ shadowing", CALM),
    "rejected": ("○ rejected", CALM),
}
COMPARED = {
    "better": ("▲ better", REALIZED),
    "not worse": ("○ not worse", CALM),
    "worse": ("▼ worse", BAD),
    "undecided": ("? undecided", QUIET),
    "abstained": ("– abstained", QUIET),
}
ROLES = {
    "champion": ("★ champion", REALIZED),
    "challenger": ("◷ challenger", CALM),
    "retired": ("○ retired", QUIET),
    "rejected": ("○ rejected", QUIET),
}


def numbers() -> list[tuple[int, Any]]:
    return [
        (4, number("Champion", "The version in service.", SQL["champion"], empty="none registered", as_text=True)),
        (
            4,
            number(
                "Age",
                "Of the champion at the end of the time range, since it was trained.",
                SQL["champion_age"],
                unit="s",
                decimals=0,
                empty="not known",
            ),
        ),
        (
            4,
            number(
                "Newest decision",
                "Of the policy, in the time range; equal decisions in a row are one.",
                SQL["newest_decision"],
                empty="none",
                as_text=True,
            ),
        ),
        (4, number("Attempts", "At a better model, in the time range.", SQL["n_attempts"])),
        (4, number("Promotions", "In the time range, the first version apart.", SQL["n_promoted"])),
        (
            4,
            number(
                "Training time",
                "Of the attempts of the time range, together.",
                SQL["training_seconds"],
                unit="s",
                empty="none",
            ),
        ),
    ]


def by_version() -> Any:
    return ranked(
        over_time(
            "Headline metric by version",
            "Of every version in service: each week, measured on its windows merged (months or quarters where "
            "`rollups` declares no weeks); where it declares nothing, each mature window. Lines: retraining was "
            "decided, a version was promoted.",
            SQL["by_version"],
            empty="Nothing is realized in this time range: no outcomes arrived yet, or none are declared.",
            axis=True,
        )
    ).decimals(3)


def differences() -> Any:
    panel = over_time(
        "Challenger minus champion",
        "Headline metric on rows neither was trained on, turned so that positive is better, with its interval; "
        "dashed: how much worse still counts as not worse. One point an attempt.",
        SQL["differences"],
        unit="none",
        empty="No challenger was compared in this time range: see the decisions below for why.",
        axis=True,
    )
    for name, properties in (
        line("high", "Upper end", QUIET, lineWidth=0, fillOpacity=12, fillBelowTo="Lower end", pointSize=4),
        line("low", "Lower end", QUIET, lineWidth=0, pointSize=4),
        line("difference", "Difference", QUIET, lineWidth=1, pointSize=5),
        line("allowed", "Allowed", REFERENCE, lineWidth=1, lineStyle=DASH, pointSize=3),
        line("passed", "Better or not worse", REALIZED, pointSize=8, **DOTS),
        line("worse", "Worse", BAD, pointSize=8, **DOTS),
    ):
        panel.override_by_name(name, properties)
    return panel.decimals(3)


def decisions() -> Any:
    panel = rows(
        "Decisions",
        "Of the policy, each with its reason; the newest first. Equal decisions in a row are one, counted.",
        SQL["decisions"],
        empty=NONE_YET,
    )
    return shown(
        panel,
        when("as_of", "As of", 138, MINUTE),
        word("decision", "Decision", 92, DECISIONS),
        column("trigger", "Trigger", 110),
        sentence("reason", "Why", 340),
        value("n_evaluations", "Times", 62, "none", 0),
        word("outcome", "Outcome", 116, OUTCOMES),
        column("challenger_version", "Challenger", 150),
        column("run_id", "Run", 100, run_link()),
    )


def attempts() -> Any:
    panel = rows(
        "Attempts",
        "From a decision to promoted, kept, inconclusive or failed; the newest first. The number chooses it below.",
        SQL["attempts"],
        empty=NONE_YET,
    )
    return shown(
        panel,
        column("attempt_id", "Attempt", 76, link("Look at this attempt", "mm-retraining", attempt="attempt_id")),
        when("as_of", "Cut", 138, MINUTE),
        word("state", "State", 120, OUTCOMES),
        column("challenger_version", "Challenger", 160),
        column("champion_version", "Champion", 160),
        sentence("reason", "Why", 340),
        column("run_id", "Run", 100, run_link()),
    )


def comparison() -> Any:
    panel = rows(
        "Comparison of the chosen attempt",
        "Headline decides; the others can only forbid. Difference: challenger minus champion, positive is better, "
        "with its interval over days. Why: of what was not compared or not decided.",
        SQL["comparison"],
        empty=NO_ATTEMPT + " Or it was not compared: it failed before, or has too few rows.",
    )
    return shown(
        panel,
        column("guard", "Guard", 86),
        column("segment", "Segment", 104, grows=True),
        column("metric", "Metric", 186),
        value("champion_value", "Champion", 84, "none", 4),
        value("challenger_value", "Challenger", 88, "none", 4),
        value("difference", "Difference", 86, "none", 4),
        value("ci_low", "Low", 72, "none", 4),
        value("ci_high", "High", 72, "none", 4),
        value("n", "Rows", 76),
        value("n_blocks", "Days", 58, "none", 0),
        word("verdict", "Verdict", 110, COMPARED),
        sentence("reason", "Why", 190),
    )


def versions() -> Any:
    panel = rows(
        "Model versions",
        "All that are registered; the newest first.",
        SQL["versions"],
        empty="No model version is registered for this monitor.",
    )
    return shown(
        panel,
        column(
            "model_version", "Version", 150, link("Open the model", "mm-model", version="model_version"), grows=True
        ),
        word("role", "Role", 110, ROLES),
        when("trained_at", "Trained", 138, MINUTE),
        column("algorithm", "Algorithm", 216),
        value("n_rows", "Rows", 76),
        when("train_start", "Data from", 96),
        when("train_end", "to", 96),
        value("duration_seconds", "Took", 72, "s", 0),
        value("cpu_seconds", "CPU", 72, "s", 0),
        value("peak_rss_bytes", "Memory", 80, "bytes", 0),
        value("artifact_bytes", "Artifact", 80, "bytes", 0),
    )


def training_metrics() -> Any:
    panel = rows(
        "Training metrics of the challenger",
        "Of the chosen attempt, else of the champion: on rows it was trained on, validated on, and on held-out rows "
        "with the interval. Cells of the confusion matrix are counts, in `training_metric_current`.",
        SQL["training_metrics"],
        empty="No training metrics for this version: it was not trained here.",
    )
    return shown(
        panel,
        column("metric", "Metric", 186, grows=True),
        value("train", "Train", 66, "none", 4),
        value("validation", "Validation", 82, "none", 4),
        value("test", "Test", 66, "none", 4),
        value("low", "Low", 64, "none", 4),
        value("high", "High", 64, "none", 4),
        value("n", "Rows", 64),
    )


def trials() -> Any:
    panel = rows(
        "Tuning trials of the challenger",
        "Of the chosen attempt's search, the best first.",
        SQL["trials"],
        empty="No search: none is declared under `retrain.training.search`, or it was not trained here.",
    )
    return shown(
        panel,
        value("trial", "Trial", 54, "none", 0),
        value("rung", "Round", 56, "none", 0),
        column("state", "State", 78),
        column("metric", "Metric", 96),
        value("value", "Value", 76, "none", 4),
        sentence("hyperparameters", "Hyperparameters", 330),
        value("n_resources", "Resources", 84),
        value("cpu_seconds", "CPU", 66, "s", 1),
        sentence("error", "Error", 160),
    )


def curve() -> Any:
    panel = bars(
        "Training curve of the challenger",
        "The trainer's metric after each iteration, on rows trained on and on rows validated on; every few"
        " iterations, about 25 in all. A score is the better the higher (a negative loss), a loss the lower.",
        SQL["curve"],
        unit="none",
        empty="No curve for this version: its trainer reports none, or it was not trained here.",
        spacing=90,
    )
    panel.override_by_name("train", [prop("displayName", "Train"), fixed(QUIET)])
    return panel.override_by_name("validation", [prop("displayName", "Validation"), fixed(REALIZED)])


def backtest_months() -> Any:
    panel = bars(
        "Newest backtest: gain by month",
        "What the replayed policy would have gained over what happened, in units of its metric; positive is better. The"
        " newest 36 months, whatever the time range.",
        SQL["backtest_months"],
        unit="none",
        empty=NO_BACKTEST,
    )
    return panel.override_by_name("gain", [prop("displayName", "Gain"), fixed(REALIZED)]).decimals(3)


def backtests() -> Any:
    panel = rows(
        "Backtests",
        "History replayed under other policies, the newest first. Happened, replayed: mean of the months' metric, "
        "each of all its rows; gain: their difference, positive is better; least gain: of the month with the least.",
        SQL["backtests"],
        empty=NO_BACKTEST,
    )
    return shown(
        panel,
        when("ran_at", "Made", 92),
        column("policy", "Policy", 136, grows=True),
        column("metric", "Metric", 70),
        value("n_retrainings", "Retrained", 78, "none", 0),
        value("n_promoted", "Promoted", 76, "none", 0),
        value("training", "Training", 66, "s", 0),
        value("mean_happened", "Happened", 78, "none", 4),
        value("mean_replayed", "Replayed", 74, "none", 4),
        value("gain", "Gain", 64, "none", 4),
        value("least_gain", "Least gain", 78, "none", 4),
    )


def build() -> Any:
    page = Page(
        "mm-retraining",
        "Was retraining asked for, why, what came of it, and is the new model better?",
        since="now-180d",
    )
    page.variables(
        *chain("monitor"), choice("attempt", "Attempt", "The newest first.", SQL["attempts_offered"])
    ).dagster()
    page.links_to("mm-fleet", "mm-model", "mm-segments")
    page.row(3, *numbers())
    main = page.row(9, (24, by_version()))
    page.row(8, (24, differences()))
    page.row(9, (24, decisions()))
    page.row(8, (24, attempts()))
    page.row(8, (24, comparison()))
    page.row(9, (12, training_metrics()), (12, curve()))
    page.row(8, (24, trials()))
    page.row(8, (24, versions()))
    page.row(9, (8, backtest_months()), (16, backtests()))
    page.events("Promotions", ESTIMATED, SHARED["version_changes"], main)
    page.events("Retraining decided", WARNING, SQL["decision_events"], main)
    return page.build()
