"""How single fields of a panel look: properties, thresholds, words for values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from grafana.kit.colors import BAD, CALM, CALM_AREA, QUIET, REALIZED, WARNING
from grafana.kit.sdk import dashboard, model

Property = model.DynamicConfigValue
DASH = {"fill": "dash", "dash": [8, 6]}
SILENT = {"legend": True, "tooltip": False, "viz": False}
DOTS = {"drawStyle": "points", "showPoints": "always"}


def prop(name: str, value: Any) -> Property:
    """One property of a field."""
    return model.DynamicConfigValue(id_val=name, value=value)


def fixed(color: str) -> Property:
    """One colour whatever the value."""
    return prop("color", {"mode": "fixed", "fixedColor": color})


def steps(*pairs: tuple[float | None, str]) -> Any:
    """Thresholds from (value, colour) pairs; the first value is None: everything below."""
    return (
        dashboard.ThresholdsConfig()
        .mode(model.ThresholdsMode.ABSOLUTE)
        .steps([model.Threshold(value=value, color=color) for value, color in pairs])
    )


def steps_of(*pairs: tuple[float | None, str]) -> Property:
    """The same for one field."""
    return prop(
        "thresholds", {"mode": "absolute", "steps": [{"value": value, "color": color} for value, color in pairs]}
    )


def words(named: Mapping[str, tuple[str, str]]) -> list[Any]:
    """Value mappings: what a value is shown as, and its colour."""
    return [
        model.ValueMap(
            options={value: model.ValueMappingResult(text=text, color=color) for value, (text, color) in named.items()}
        )
    ]


def pattern(regex: str, text: str, color: str) -> Any:
    """A value mapping by regular expression."""
    return model.RegexMap(
        options=model.DashboardRegexMapOptions(pattern=regex, result=model.ValueMappingResult(text=text, color=color))
    )


def line(series: str, name: str, color: str, **custom: Any) -> tuple[str, list[Property]]:
    """Override: how one series looks."""
    return series, [
        prop("displayName", name),
        fixed(color),
        *(prop(f"custom.{key}", value) for key, value in custom.items()),
    ]


def dashed(series: str, name: str, color: str) -> tuple[str, list[Property]]:
    """Override: a series to compare with, as a dashed line."""
    return line(series, name, color, lineWidth=1, lineStyle=DASH, showPoints="never")


def band(opacity: int = 10) -> tuple[tuple[str, list[Property]], ...]:
    """Overrides: the series ``low`` and ``high`` as a faint band outside of the legend; ``opacity`` in percent."""
    filled = {"fillOpacity": opacity, "fillBelowTo": "low"}
    high = line("high", "high", REALIZED, lineWidth=0, **filled, hideFrom=SILENT, showPoints="never")
    return high, line("low", "low", REALIZED, lineWidth=0, hideFrom=SILENT, showPoints="never")


SEVERITIES = {"critical": ("✖ critical", BAD), "warning": ("▲ warning", WARNING), "info": ("ℹ info", CALM)}
STATES = {"open": ("● open", CALM), "resolved": ("○ resolved", CALM), "retracted": ("⌀ retracted", QUIET)}
VERDICTS = {
    "4": ("✖ alarm", BAD),
    "3": ("▲ notice", WARNING),
    "2": ("quiet", CALM_AREA),
    "1": ("not judged", QUIET),
}
"""By rank: a state must be a number to be a series."""
