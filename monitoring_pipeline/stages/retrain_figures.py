"""What to draw of a comparison, as plain arrays."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from monitoring_pipeline.profiles.profile import EVERYTHING
from monitoring_pipeline.retraining.comparison import Comparison, Outputs
from monitoring_pipeline.retraining.judged_rows import Judged

POINTS = 200
TENTHS = 10
MOST_GAINS = 25
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Said:
    """One model's curve: shares in [0, 1]."""

    label: str
    x: Floats
    y: Floats


@dataclass(frozen=True)
class Curve:
    """The same curve of both models."""

    name: str
    x_label: str
    y_label: str
    champion: Said
    challenger: Said
    marker: str = ""


@dataclass(frozen=True)
class Gain:
    """A difference with its interval. ``margin``: how much worse still counts as not worse."""

    name: str
    metric: str
    value: float
    low: float
    high: float
    margin: float
    verdict: str


def curves(judged: Judged) -> list[Curve]:
    """ROC and reliability curves of a binary model with scores; none for others, or without both classes."""
    rows = judged.rows
    if rows.task != "binary" or rows.champion.scores is None or not rows.smallest_class:
        return []
    positive = rows.outcome == 1
    roc = _roc("champion", positive, rows.champion), _roc("challenger", positive, rows.challenger)
    tenths = (
        _reliability("champion", rows.outcome, rows.champion),
        _reliability("challenger", rows.outcome, rows.challenger),
    )
    return [
        Curve("roc", "share of the negatives called positive", "share of the positives found", roc[0], roc[1]),
        Curve("reliability", "mean score", "share of positives", tenths[0], tenths[1], marker="o"),
    ]


def gains(comparison: Comparison) -> list[Gain]:
    """The headline, then segments, the worst first; those that abstained are left out."""
    found = [
        Gain(
            "all rows" if one.segment == EVERYTHING else one.segment, one.metric, one.difference.value,
            one.difference.low, one.difference.high, one.delta, one.verdict,
        )
        for one in comparison.compared
        if one.guard in ("headline", "shadow", "segment") and isfinite(one.difference.low)
    ]  # fmt: skip
    return [*found[:1], *sorted(found[1:], key=lambda one: one.high)[: MOST_GAINS - 1]]


def _roc(label: str, positive: NDArray[np.bool_], outputs: Outputs) -> Said:
    assert outputs.scores is not None
    order = np.argsort(-outputs.scores[:, 0], kind="stable")
    found, wrong = np.cumsum(positive[order]), np.cumsum(~positive[order])
    at = np.unique(np.linspace(0, len(order) - 1, POINTS).astype(int))
    return Said(label, np.append(0.0, wrong[at] / wrong[-1]), np.append(0.0, found[at] / found[-1]))


def _reliability(label: str, outcome: Floats, outputs: Outputs) -> Said:
    """By tenths of the rows, so that each point rests on as many."""
    assert outputs.scores is not None
    order = np.argsort(outputs.scores[:, 0], kind="stable")
    parts = [part for part in np.array_split(order, TENTHS) if len(part)]
    scores = np.array([outputs.scores[part, 0].mean() for part in parts])
    return Said(label, scores, np.array([outcome[part].mean() for part in parts]))
