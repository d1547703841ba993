"""The variables that pages share, in the order of their chain: monitor, version, segment, column, baseline, method."""

from __future__ import annotations

from typing import Any

from grafana.kit.queries import Queries
from grafana.kit.variables import choice, listed

SQL = Queries("shared")
_LABELS = {
    "monitor": ("Monitor", "The declared model.", "monitors"),
    "version": (
        "Version",
        "Model version: those with windows in the time range first, of them the champion.",
        "versions",
    ),
    "segment": ("Segment", "Part of the rows; * is everything.", "segments"),
    "column": ("Column", "The most moved in the time range first.", "columns"),
    "baseline": ("Baseline", "What windows are compared with.", "baselines"),
    "method": ("Method", "How a difference is measured; verdicts do not depend on it.", "methods"),
    "metric": ("Metric", "The headline metric first.", "metrics"),
}


def chain(*names: str) -> list[Any]:
    """These variables."""
    return [choice(name, *_LABELS[name][:2], SQL[_LABELS[name][2]]) for name in names]


def shade() -> Any:
    """What the heat map of verdicts shows."""
    why = "What a cell shows: the verdict, how much the column moved, or how sure that is."
    return listed(
        "shade", "Heat map", why, {"verdict": "Verdict", "effect": "Effect", "evidence": "Evidence"}, "verdict"
    )
