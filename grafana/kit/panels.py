"""Panels with our defaults: a number, lines, a grid of columns by windows, bars, states, a table, a text."""

from __future__ import annotations

from typing import Any

from grafana.kit.colors import CALM, OTHERS, REALIZED, WARNING
from grafana.kit.overrides import fixed, prop, steps, words
from grafana.kit.sdk import (
    barchart,
    bargauge,
    common,
    dashboard,
    heatmap,
    model,
    shapes,
    stat,
    statetimeline,
    table,
    text,
    timeseries,
)
from grafana.kit.targets import Prom, Sql

AXIS = 170
"""Width of the left axis where charts above each other share their time axis."""
Target = str | Sql | Prom


def described(
    panel: Any, title: str, why: str, targets: tuple[Target, ...], empty: str, *, series: bool = False
) -> Any:
    """Title, the sentence behind the (i), what it says when empty, and its targets; plain text is SQL."""
    asked = [Sql(one, chr(ord("A") + i), series) if isinstance(one, str) else one for i, one in enumerate(targets)]
    panel.title(title).description(why).no_value(empty)
    if asked:
        panel.datasource(asked[0].source)
    for target in asked:
        panel.with_target(target)
    return panel


def number(
    title: str,
    why: str,
    query: Target,
    *,
    unit: str = "short",
    decimals: int | None = None,
    thresholds: tuple[tuple[float | None, str], ...] = ((None, CALM),),
    empty: str = "none",
    as_text: bool = False,
) -> Any:
    """One number or word. Coloured only where it is bad."""
    panel = described(stat.Panel(), title, why, (query,), empty).unit(unit).thresholds(steps(*thresholds))
    panel.graph_mode(shapes.BigValueGraphMode.NONE).color_mode(shapes.BigValueColorMode.VALUE)
    panel.justify_mode(shapes.BigValueJustifyMode.AUTO).text(
        common.VizTextDisplayOptions().value_size(18 if as_text else 24)
    )
    panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).fields("/.*/" if as_text else ""))
    return panel if decimals is None else panel.decimals(decimals)


def over_time(title: str, why: str, *queries: Target, unit: str = "short", empty: str, axis: bool = False) -> Any:
    """Lines over windows; colours by override, so that a series keeps its colour whatever else is shown."""
    panel = described(timeseries.Panel(), title, why, queries, empty, series=True).unit(unit)
    panel.line_width(2).show_points(shapes.VisibilityMode.AUTO).point_size(4).fill_opacity(0).span_nulls(False)
    panel.legend(legend()).tooltip(common.VizTooltipOptions().mode(shapes.TooltipDisplayMode.MULTI))
    return panel.axis_width(AXIS) if axis else panel


def legend(show: bool = True) -> Any:
    """Below the chart, as a list."""
    made = common.VizLegendOptions().display_mode(shapes.LegendDisplayMode.LIST)
    return made.placement(shapes.LegendPlacement.BOTTOM).show_legend(show)


def ranked(panel: Any) -> Any:
    """For series whose names are data: their query ranks them by a circled number, and colours go by rank.

    Grafana's own palettes are not told apart by colour-blind eyes, or are pale on white.
    """
    for rank, color in enumerate(OTHERS):
        panel.override_by_regexp(f"/^{chr(0x2460 + rank)} /", [fixed(color)])
    return panel


def named(panel: Any, *names: str) -> Any:
    """For series with these names, in this order of colours."""
    for name, color in zip(names, OTHERS, strict=False):
        panel.override_by_name(name, [fixed(color)])
    return panel


def shaded(panel: Any) -> Any:
    """For series whose names are data and cannot be ranked, as replicas: shades of one colour."""
    return panel.color_scheme(dashboard.FieldColor().mode(model.FieldColorModeId.SHADES).fixed_color(REALIZED))


def grid(
    title: str,
    why: str,
    query: str,
    *,
    top: float,
    empty: str,
    unit: str = "suffix: ×",
    decimals: int = 1,
    color: str = WARNING,
) -> Any:
    """Rows by time, the first name on top; the time of a cell is its end.

    Opacity of one colour reads the same in both themes (schemes turn round in the dark one), and the pinned scale
    means the same every day.
    """
    panel = described(heatmap.Panel(), title, why, (query,), empty, series=True)
    panel.calculate(False).cell_gap(0).show_value(shapes.VisibilityMode.NEVER)
    panel.color(heatmap.HeatmapColorOptions().mode("opacity").fill(color).scale("linear").steps(64).min(0).max(top))
    panel.filter_values(heatmap.FilterValueRange().le(1e-9)).cell_values(
        heatmap.CellValues().unit(unit).decimals(decimals)
    )
    panel.unit(unit)
    return panel.y_axis(heatmap.YAxisConfig().reverse(True).axis_placement(shapes.AxisPlacement.LEFT).axis_width(AXIS))


def states(title: str, why: str, query: str, named: dict[str, tuple[str, str]], *, empty: str) -> Any:
    """One row a series, coloured by what it was in each window."""
    panel = described(statetimeline.Panel(), title, why, (query,), empty, series=True)
    panel.mappings(words(named)).merge_values(True).show_value(shapes.VisibilityMode.NEVER).row_height(0.8)
    panel.fill_opacity(85).line_width(0).axis_width(AXIS).unit("none")
    return panel.legend(legend()).tooltip(common.VizTooltipOptions().mode(shapes.TooltipDisplayMode.SINGLE))


def bars(title: str, why: str, query: Target, *, unit: str = "percentunit", empty: str, spacing: int = 60) -> Any:
    """Grouped bars over names."""
    panel = described(barchart.Panel(), title, why, (query,), empty).unit(unit)
    panel.x_tick_label_rotation(-45).x_tick_label_max_length(18).group_width(0.8).bar_width(0.9).fill_opacity(
        80
    ).line_width(0)
    panel.show_value(shapes.VisibilityMode.NEVER).x_tick_label_spacing(spacing)
    return panel.legend(legend())


def gauges(title: str, why: str, query: Target, *, unit: str, empty: str) -> Any:
    """One horizontal bar a row, the longest first."""
    panel = described(bargauge.Panel(), title, why, (query,), empty).unit(unit).thresholds(steps((None, REALIZED)))
    panel.orientation(shapes.VizOrientation.HORIZONTAL).display_mode(shapes.BarGaugeDisplayMode.BASIC)
    panel.show_unfilled(False).min(0).value_mode(shapes.BarGaugeValueMode.TEXT)
    return panel.reduce_options(common.ReduceDataOptions().values(True).calcs(["lastNotNull"]).fields(""))


def rows(title: str, why: str, *queries: Target, empty: str, wrap: bool = False) -> Any:
    """A table; small rows, so that a hundred fit a few scrolls. Its columns: see ``tables``."""
    panel = described(table.Panel(), title, why, queries, empty)
    panel.cell_height(shapes.TableCellHeight.SM).unit("none")
    # "No value" is the text of an empty panel and of every empty cell: the cells get a dash of their own
    panel.cell_options(shapes.TableAutoCellOptions()).thresholds(steps((None, CALM)))
    return panel.override_by_regexp("/.*/", [prop("noValue", "–")])


def note(title: str, why: str, markdown: str) -> Any:
    """A text."""
    return text.Panel().title(title).description(why).mode("markdown").content(markdown)


def place(panel: Any, x: int, y: int, w: int, h: int, number_: int) -> Any:
    """Where it stands, in 24 columns and rows of 36 px, and its id."""
    return panel.grid_pos(model.GridPos(x=x, y=y, w=w, h=h)).id(number_)
