"""Pictures of a comparison: both ROC curves, both reliability curves, and the gain by segment with its interval."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import dagster as dg

from monitoring_pipeline.graph.pictures import CURRENT_COLOUR, LONGEST_LABEL, REFERENCE_COLOUR, Margins, picture
from monitoring_pipeline.stages import retrain_figures
from monitoring_pipeline.stages.retraining import Done

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SQUARE = 3.2  # inches


def of_step(done: Done) -> dict[str, dg.MetadataValue]:
    """The pictures of a step; none where there is nothing to draw."""
    if done.judged is None or done.comparison is None:
        return {}
    shown = {}
    for curve in retrain_figures.curves(done.judged):
        margins = Margins(bottom=0.45)
        shown[curve.name] = picture(SQUARE, SQUARE, margins, partial(_curve, curve=curve))
    gains = retrain_figures.gains(done.comparison)
    if gains:
        left = 0.3 + max(min(len(one.name), LONGEST_LABEL) for one in gains) * 0.07
        height = 0.8 + 0.2 * len(gains)
        shown["gain"] = picture(6, height, Margins(left=left), lambda ax: _gains(ax, gains))
    return shown


def _curve(ax: Axes, curve: retrain_figures.Curve) -> None:
    ax.plot([0, 1], [0, 1], color="black", linewidth=0.6, linestyle=":")
    for said, colour in ((curve.champion, REFERENCE_COLOUR), (curve.challenger, CURRENT_COLOUR)):
        ax.plot(said.x, said.y, color=colour, linewidth=1.4, label=said.label, marker=curve.marker, markersize=3)
    ax.set_xlabel(curve.x_label, fontsize=7)
    ax.set_ylabel(curve.y_label, fontsize=7)
    ax.tick_params(labelsize=7)
    ax.set_title(curve.name.replace("_", " "), fontsize=8, loc="left")
    ax.legend(fontsize=6, frameon=False, loc="lower right")


def _gains(ax: Axes, gains: list[retrain_figures.Gain]) -> None:
    """The first on top; the dashed line is what still counts as not worse."""
    for row, one in enumerate(reversed(gains)):
        colour = CURRENT_COLOUR if one.verdict == "worse" else "black"
        ax.plot([one.low, one.high], [row, row], color=colour, linewidth=1.2)
        ax.plot([one.value], [row], color=colour, marker="o", markersize=3.5)
    ax.axvline(0, color="black", linewidth=0.6)
    ax.axvline(-gains[0].margin, color=REFERENCE_COLOUR, linewidth=1, linestyle="--")
    ax.set_yticks(range(len(gains)), [one.name[:LONGEST_LABEL] for one in reversed(gains)], fontsize=7)
    ax.set_ylim(-0.6, len(gains) - 0.4)
    ax.tick_params(axis="x", labelsize=7)
    ax.set_title(f"gain in {gains[0].metric} with its interval; right is better", fontsize=8, loc="left")
    ax.spines[["top", "right"]].set_visible(False)
