"""What may forbid a promotion although the headline allows it: a segment, or the calibration, that is surely worse.

Fairness is the third, see ``fairness``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from monitoring_pipeline.profiles.profile import EVERYTHING
from monitoring_pipeline.retraining.comparison.difference import Difference, Verdict
from monitoring_pipeline.retraining.comparison.paired import difference_in
from monitoring_pipeline.retraining.comparison.rows import Bools, PairedRows

Guard = Literal["headline", "segment", "calibration", "fairness", "shadow"]
LEAST_DAYS = 5
"""Fewer independent units say nothing of how far they vary."""
LEAST_ROWS, LEAST_OF_A_CLASS = 300, 30
CALIBRATION = "expected_calibration_error"
CALIBRATION_MARGIN = 0.01


@dataclass(frozen=True)
class Compared:
    """One difference and what it means. ``delta``: how much worse still counts as not worse, in the metric's unit."""

    guard: Guard
    segment: str
    metric: str
    difference: Difference
    delta: float
    verdict: Verdict
    reason: str

    @property
    def forbids(self) -> bool:
        """Whether it stops a promotion that the headline allows."""
        return self.verdict == "worse" and self.guard in ("segment", "calibration", "fairness")


def segment_guard(rows: PairedRows, metric: str, margin: float, level: float) -> list[Compared]:
    """Each segment with enough rows, at the level that Bonferroni leaves each of them; the others abstain.

    With m segments of enough rows the interval of each has level 1 - (1 - level) / m: that all m hold at once is at
    least as sure as ``level``.
    """
    enough: list[tuple[str, PairedRows]] = []
    few: list[tuple[str, PairedRows]] = []
    for segment, of_segment in _segments(rows):
        chosen = rows.of(of_segment)
        (few if too_few(chosen) else enough).append((segment, chosen))
    each = 1 - (1 - level) / max(len(enough), 1)
    found = [_compared("segment", segment, metric, chosen, margin, each) for segment, chosen in enough]
    for segment, chosen in few:
        found.append(_abstained("segment", segment, metric, chosen, margin, each))
    return found


def calibration_guard(rows: PairedRows, level: float) -> list[Compared]:
    """The expected calibration error of both; nothing without scores of a binary model."""
    if rows.task != "binary" or rows.champion.scores is None or rows.challenger.scores is None:
        return []
    return [_compared("calibration", EVERYTHING, CALIBRATION, rows, CALIBRATION_MARGIN, level)]


def _segments(rows: PairedRows) -> Iterator[tuple[str, Bools]]:
    for values in rows.segments.values():
        for segment in np.unique(values).tolist():
            if segment:  # the empty text holds the rows of all that are too rare
                yield segment, values == segment


def too_few(rows: PairedRows) -> str | None:
    """Why these rows say nothing; None when they do."""
    if len(rows) < LEAST_ROWS:
        return f"{len(rows)} rows; {LEAST_ROWS} are needed"
    if rows.task == "binary" and (rows.smallest_class or 0) < LEAST_OF_A_CLASS:
        return f"{rows.smallest_class} rows of one class; {LEAST_OF_A_CLASS} are needed"
    return f"{rows.n_days} days; {LEAST_DAYS} are needed" if rows.n_days < LEAST_DAYS else None


def _compared(guard: Guard, segment: str, metric: str, rows: PairedRows, margin: float, level: float) -> Compared:
    difference = difference_in(metric, rows, level)
    verdict = difference.verdict(margin)
    return Compared(guard, segment, metric, difference, margin, verdict, sentence(difference, metric, verdict))


def _abstained(guard: Guard, segment: str, metric: str, rows: PairedRows, margin: float, level: float) -> Compared:
    nan = float("nan")
    empty = Difference(nan, nan, nan, nan, nan, nan, level, len(rows), rows.n_days, "too few rows")
    return Compared(guard, segment, metric, empty, margin, "abstained", f"too few: {too_few(rows)}")


def sentence(difference: Difference, metric: str, verdict: Verdict) -> str:
    """The values of both models, their difference with its interval, and the verdict, in words."""
    d = difference
    if verdict == "abstained":
        return f"{metric} is not defined on these {d.n:,} rows: a class is missing"
    return (
        f"{metric} {d.challenger:.4f} against the champion's {d.champion:.4f} on {d.n:,} rows of {d.n_days} days: gain"
        f" {d.value:+.4f} [{d.low:+.4f}, {d.high:+.4f}] at {100 * d.level:.4g} %, {verdict}"
    )
