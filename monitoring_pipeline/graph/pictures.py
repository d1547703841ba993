"""Small pictures in the metadata of a materialization: what a person looks at first.

Each is one figure drawn by matplotlib from values that a stage computed, as an inline PNG of some ten kilobytes.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import dagster as dg
import numpy as np

from monitoring_pipeline.monitors import Window
from monitoring_pipeline.stages import figures
from monitoring_pipeline.stages.context import StageContext

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_COLUMNS = 25
MOST_WINDOWS = 120
REFERENCE_COLOUR, CURRENT_COLOUR = "#9aa5b1", "#d9480f"
DPI = 80
LONGEST_LABEL = 24
MOST_LABELS = 40  # below a histogram
BAR = 0.4  # width of a bar, of which a bin has two


def of_stage(stages: StageContext, name: str, windows: Sequence[Window]) -> dict[str, dg.MetadataValue]:
    """The pictures of one stage over these windows; none where there is nothing to draw."""
    draw = {"drift": _drift, "performance": _performance, "ground_truth": _coverage}.get(name)
    return draw(stages, windows) if draw and windows else {}


def _drift(stages: StageContext, windows: Sequence[Window]) -> dict[str, dg.MetadataValue]:
    shown = {}
    heat = figures.drift_heat(stages, windows[-MOST_WINDOWS:])
    if heat is not None:
        height = 0.2 * min(len(heat.columns), MOST_COLUMNS) + 0.6
        names = Margins(left=_inches(heat.columns, 7), right=0.8)
        shown["drift_by_column"] = picture(8, height, names, lambda ax: _heat_map(ax, heat))
    for histogram in figures.most_drifted(stages, windows[-1], most=3):
        labels = Margins(bottom=_inches(histogram.labels, 6))
        drawn = picture(5, 1.7 + labels.bottom, labels, partial(_histogram, histogram=histogram))
        shown[f"histogram_{histogram.column}"] = drawn
    return shown


def _performance(stages: StageContext, windows: Sequence[Window]) -> dict[str, dg.MetadataValue]:
    line = figures.performance_line(stages, windows[-MOST_WINDOWS * 3 :])
    return {} if line is None else {line.metric: picture(8, 2.6, Margins(), lambda ax: _line(ax, line))}


def _coverage(stages: StageContext, windows: Sequence[Window]) -> dict[str, dg.MetadataValue]:
    line = figures.coverage_line(stages, windows[-MOST_WINDOWS * 3 :])
    return {} if line is None else {"label_coverage": picture(8, 2.0, Margins(), lambda ax: _line(ax, line))}


@dataclass(frozen=True)
class Margins:
    """Inches around the axes. Given rather than found: to measure every text first takes as long as to draw."""

    left: float = 0.55
    right: float = 0.1
    bottom: float = 0.3
    top: float = 0.3


def _inches(texts: Sequence[str], points: int) -> float:
    """Room for the longest text at this size of font."""
    return 0.2 + max((len(text[:LONGEST_LABEL]) for text in texts), default=0) * points * 0.65 / 72


def picture(width: float, height: float, margins: Margins, draw: Callable[[Axes], None]) -> dg.MetadataValue:
    """An inline image: Dagster shows markdown, and a data address needs no server."""
    # Not pyplot: it keeps global state and looks for a screen.
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure: Figure = Figure(figsize=(width, height), dpi=DPI)
    FigureCanvasAgg(figure)
    inside = (width - margins.left - margins.right) / width, (height - margins.bottom - margins.top) / height
    png = io.BytesIO()
    with rc_context({"text.parse_math": False}):  # names of columns and categories are no formulas: `$$` is one of them
        draw(figure.add_axes((margins.left / width, margins.bottom / height, *inside)))
        figure.savefig(png, format="png")
    return dg.MetadataValue.md(f"![picture](data:image/png;base64,{base64.b64encode(png.getvalue()).decode()})")


def _heat_map(ax: Axes, heat: figures.Heat) -> None:
    order = np.argsort(-np.nan_to_num(heat.values).max(axis=1), kind="stable")[:MOST_COLUMNS]
    from matplotlib.colors import LogNorm

    # A drift figure spans decades: on a linear scale the season's columns would hide all others.
    scale = LogNorm(vmin=heat.threshold / 20, vmax=heat.threshold * 50, clip=True)
    shown = np.where(heat.values[order] <= 0, heat.threshold / 20, heat.values[order])
    image = ax.imshow(shown, aspect="auto", cmap="YlOrRd", norm=scale, interpolation="nearest")
    ax.set_yticks(range(len(order)), [heat.columns[i][:LONGEST_LABEL] for i in order], fontsize=7)
    step = max(1, len(heat.windows) // 8)
    ticks = range(0, len(heat.windows), step)
    ax.set_xticks(ticks, [heat.windows[i].start.strftime("%d %b") for i in ticks], fontsize=7)
    title = (
        f"{heat.method} against {heat.baseline}; drift from {heat.threshold:g}, the line in the scale; white: no values"
    )
    ax.set_title(title, fontsize=8, loc="left")
    beside = ax.get_position()
    scale_axes = ax.figure.add_axes((beside.x1 + 0.01, beside.y0, 0.015, beside.height))
    colorbar = ax.figure.colorbar(image, cax=scale_axes)
    colorbar.minorticks_off()
    colorbar.ax.axhline(heat.threshold, color="black", linewidth=1)
    colorbar.ax.tick_params(labelsize=7)


def _histogram(ax: Axes, histogram: figures.Histogram) -> None:
    _bars(ax, histogram.reference, -BAR, REFERENCE_COLOUR, "reference")
    _bars(ax, histogram.current, 0.0, CURRENT_COLOUR, histogram.window.start.strftime("%Y-%m-%d %H:%M"))
    at = range(0, len(histogram.labels), 1 + len(histogram.labels) // MOST_LABELS)
    ax.set_xticks(at, [histogram.labels[i][:LONGEST_LABEL] for i in at], rotation=60, ha="right", fontsize=6)
    ax.tick_params(axis="y", labelsize=7)
    ax.set_ylabel("share", fontsize=7)
    ax.set_title(f"{histogram.column}: {histogram.method} {histogram.value:.3f}", fontsize=8, loc="left")
    ax.legend(fontsize=6, frameon=False)


def _bars(ax: Axes, heights: np.ndarray, offset: float, colour: str, label: str) -> None:
    """A bar for each height, at its number plus ``offset``: one shape, for a hundred take a hundred times as long."""
    edges = np.add.outer(np.arange(len(heights)) + offset, (0.0, BAR)).ravel()
    steps = np.column_stack((heights, np.zeros(len(heights)))).ravel()[:-1]
    ax.stairs(steps, edges, fill=True, color=colour, label=label)


def _line(ax: Axes, line: figures.Line) -> None:
    times = np.array([window.start.replace(tzinfo=None) for window in line.windows], "datetime64[s]")
    ax.plot(times, line.values, color=CURRENT_COLOUR, linewidth=1.2)
    if line.low is not None and line.high is not None:
        ax.fill_between(times, line.low, line.high, color=CURRENT_COLOUR, alpha=0.15, linewidth=0)
    if line.threshold is not None:
        ax.axhline(line.threshold, color=REFERENCE_COLOUR, linewidth=1, linestyle="--")
    ax.tick_params(labelsize=7)
    ax.set_title(line.title, fontsize=8, loc="left")
    ax.spines[["top", "right"]].set_visible(False)
