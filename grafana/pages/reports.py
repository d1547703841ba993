"""Evidently's reports, as the pages Model and Incident list them."""

from __future__ import annotations

from typing import Any

from grafana.kit.links import run_link
from grafana.kit.panels import rows
from grafana.kit.tables import column, sentence, shown, value, when

WHERE = (
    "Files in HTML on the machine of the run: drift and summary of the columns, and where outcomes are known drift of "
    "the outcome and performance. The run leads to both in Dagster."
)


def reports(query: str, empty: str) -> Any:
    """One row a report."""
    panel = rows("Evidently's reports", WHERE, query, empty=empty)
    return shown(
        panel,
        when("window_start", "From", 98),
        when("last_at", "To", 98),
        value("n_current", "Rows", 70, "none", 0),
        value("n_labelled", "Labelled", 76, "none", 0),
        sentence("path", "Columns", 290),
        sentence("performance_path", "Performance", 290),
        column("run_id", "Run", 110, run_link()),
    )
