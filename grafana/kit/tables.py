"""Columns of a table: title, width in pixels, unit, words, bars, links.

The pixels of a table add up to at most 1,230 for one as wide as the page on a screen of 1,280 (``test_layout``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from grafana.kit.colors import CALM, REALIZED, WARNING
from grafana.kit.overrides import Property, fixed, prop, steps_of, words

COLOURED = prop("custom.cellOptions", {"type": "color-text"})
DAY, MINUTE = "time:YYYY-MM-DD", "time:YYYY-MM-DD HH:mm"
SPARKLINE = {
    "type": "sparkline",
    "hideValue": True,
    "lineWidth": 1,
    "fillOpacity": 0,
    "gradientMode": "none",
    "lineInterpolation": "linear",
}
DOT = words({"0": ("·", CALM)})


@dataclass(frozen=True)
class Column:
    """One column. ``width``: pixels; ``grows``: takes what is left, at least ``width``."""

    name: str
    title: str
    width: int
    more: Sequence[Property] = field(default_factory=tuple)
    grows: bool = False

    def overrides(self) -> list[Property]:
        """Its properties."""
        width = prop("custom.minWidth" if self.grows else "custom.width", self.width)
        return [prop("displayName", self.title), width, *self.more]


def column(name: str, title: str, width: int, *more: Property, grows: bool = False) -> Column:
    """Text or a plain number."""
    return Column(name, title, width, more, grows)


def value(
    name: str, title: str, width: int, unit: str = "short", decimals: int | None = None, *more: Property
) -> Column:
    """A number with its unit."""
    places = () if decimals is None else (prop("decimals", decimals),)
    return Column(name, title, width, (prop("unit", unit), *places, prop("custom.align", "right"), *more))


def count(name: str, title: str, width: int) -> Column:
    """A count whose zero is a dot, so that others stand out."""
    return Column(name, title, width, (prop("mappings", DOT), prop("custom.align", "center")))


def when(name: str, title: str, width: int, unit: str = DAY) -> Column:
    """A time, UTC."""
    return Column(name, title, width, (prop("unit", unit),))


def word(name: str, title: str, width: int, named: dict[str, tuple[str, str]]) -> Column:
    """A state: shape, word and colour."""
    return Column(name, title, width, (prop("mappings", words(named)), COLOURED, prop("custom.align", "left")))


def late(name: str, title: str, width: int, limit: float) -> Column:
    """Seconds, coloured beyond ``limit``."""
    return value(name, title, width, "s", 1, COLOURED, steps_of((None, CALM), (limit, WARNING)))


def share(name: str, title: str, width: int, color: str = WARNING) -> Column:
    """A share in [0, 1] as a bar with its number."""
    cell = prop("custom.cellOptions", {"type": "gauge", "mode": "basic", "valueDisplayMode": "text"})
    of = (prop("unit", "percentunit"), prop("min", 0), prop("max", 1), prop("decimals", 0))
    return Column(name, title, width, (*of, fixed(color), cell))


def trend(name: str, title: str, width: int) -> Column:
    """A sparkline. It takes no links, and each row has its own scale."""
    return Column(name, title, width, (fixed(REALIZED), prop("custom.cellOptions", SPARKLINE)), grows=True)


def sentence(name: str, title: str, width: int, *more: Property) -> Column:
    """Text over several lines."""
    return Column(name, title, width, (prop("custom.wrapText", True), *more), grows=True)


def hidden(*names: str) -> list[Column]:
    """Fields that only links use."""
    return [Column(name, name, 0, (prop("custom.hideFrom", {"viz": True}),)) for name in names]


def shown(panel: Any, *columns: Column) -> Any:
    """The table with these columns."""
    for one in columns:
        if one.width:
            panel.override_by_name(one.name, one.overrides())
        else:
            panel.override_by_name(one.name, list(one.more))
    return panel
