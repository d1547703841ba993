"""The comparison as a whole: the headline, the guards, and what follows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isfinite
from typing import Literal

import numpy as np

from monitoring_pipeline.monitors.declaration import Task
from monitoring_pipeline.monitors.retraining import Promotion
from monitoring_pipeline.profiles.profile import EVERYTHING
from monitoring_pipeline.retraining.comparison.difference import Difference
from monitoring_pipeline.retraining.comparison.fairness import fairness_guard
from monitoring_pipeline.retraining.comparison.guards import (
    LEAST_DAYS,
    Compared,
    calibration_guard,
    segment_guard,
    sentence,
    too_few,
)
from monitoring_pipeline.retraining.comparison.paired import difference_in
from monitoring_pipeline.retraining.comparison.rows import Outputs, PairedRows

RELATIVE = ("mae", "rmse", "mape")
"""Metrics in the outcome's unit: margins are shares of the champion's value."""
Outcome = Literal["promote", "kept", "inconclusive"]


@dataclass(frozen=True)
class Comparison:
    """``outcome`` follows from ``compared``, whose first is the headline; ``reason``: one sentence."""

    outcome: Outcome
    reason: str
    compared: tuple[Compared, ...]


def compare(
    rows: PairedRows, metric: str, promote: Promotion, least_gain: float = 0.0, shadow: bool = False
) -> Comparison:
    """Whether the challenger replaces the champion, judged on these rows.

    ``least_gain``: with rule ``better``, what the interval's lower end must exceed. It and ``promote.margin`` are in
    the metric's unit; of errors in the outcome's unit (mae, rmse, mape) they are shares of the champion's value.
    ``shadow``: the rows are those of a shadow; it needs as many days as it lasted, at most ``promote.least_days``.
    Raises UserError for a metric that cannot be compared.
    """
    level = promote.level
    difference = difference_in(metric, rows, level)
    unit = abs(difference.champion) if metric in RELATIVE else 1.0
    margin, least_gain = promote.margin * unit, least_gain * unit
    verdict = difference.verdict(margin)
    guard: Literal["headline", "shadow"] = "shadow" if shadow else "headline"
    said = sentence(difference, metric, verdict)
    headline = Compared(guard, EVERYTHING, metric, difference, margin, verdict, said)
    lacking = _lacking(rows, difference, promote, shadow)
    if lacking:
        return Comparison("inconclusive", lacking, (replace(headline, verdict="abstained", reason=lacking),))
    guards = segment_guard(rows, metric, margin, level) if promote.segments else []
    guards += calibration_guard(rows, level) if promote.calibration else []
    guards += fairness_guard(rows, promote.fairness, level) if promote.fairness else []
    outcome, reason = _ruled(headline, guards, promote, least_gain)
    return Comparison(outcome, reason, (headline, *guards))


def check_metric(metric: str, task: Task, scored: bool) -> None:
    """Raises UserError for a metric that cannot be compared: before hours of training rather than after.

    ``scored``: whether the models give scores.
    """
    outcome = np.array([0.0, 1.0, 0.0, 1.0])
    said = Outputs(outcome, np.full((4, 1 if task == "binary" else 2), 0.5) if scored else None)
    difference_in(metric, PairedRows(task, outcome, said, said, np.array([0, 0, 1, 1]), ("0", "1")), level=0.95)


def least_days(promote: Promotion, shadow: bool) -> int:
    """Days that a comparison needs: as declared, but a shadow no more than it lasts, and never fewer than five."""
    declared = min(promote.least_days, promote.shadow_for.days) if shadow else promote.least_days
    return max(declared, LEAST_DAYS)


def _lacking(rows: PairedRows, difference: Difference, promote: Promotion, shadow: bool) -> str | None:
    least = least_days(promote, shadow)
    if rows.n_days < least:
        return f"{rows.n_days} days with labelled rows that neither model was trained on; {least} are needed"
    if not isfinite(difference.value) or not isfinite(difference.low):
        return f"the metric is not defined on these {len(rows):,} rows: a class is missing"
    if len(rows) < promote.least_rows and not _surely_better(rows, difference):
        needed = f"{promote.least_rows:,} are needed of a challenger that is not surely better"
        return f"{len(rows):,} labelled rows that neither model was trained on; {needed}"
    return None


def _surely_better(rows: PairedRows, difference: Difference) -> bool:
    """Few rows show a large gain as well as many; what they cannot show is that nothing is lost."""
    return difference.low > 0 and too_few(rows) is None


def _ruled(
    headline: Compared, guards: list[Compared], promote: Promotion, least_gain: float
) -> tuple[Outcome, str]:  # fmt: skip
    least = -headline.delta if promote.rule == "not_worse" else least_gain
    if not headline.difference.low > least:
        return "kept", f"{headline.reason}; rule {promote.rule} asks for a lower end above {least:+g}"
    forbidding = [one for one in guards if one.forbids]
    if forbidding:
        first = min(forbidding, key=lambda one: one.difference.high)
        where = "" if first.segment == EVERYTHING else f" {first.segment}"
        more = f", and {len(forbidding) - 1} more" if len(forbidding) > 1 else ""
        return "kept", f"{headline.reason}; but {first.guard}{where} is surely worse: {first.reason}{more}"
    return "promote", headline.reason
