"""A dashboard's queries as Grafana would send them: variables, then macros. Written from Grafana's documentation."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

DASHBOARDS = Path(__file__).resolve().parent / "dashboards"
VARIABLE = re.compile(r"\$\{(\w+)(?::\w+)?\}|\$(\w+)")
MACRO = re.compile(r"\$([_a-zA-Z0-9]+)\(([^)]*)\)")
POSTGRES = "grafana-postgresql-datasource"


@dataclass(frozen=True)
class Range:
    """A time range, UTC."""

    start: datetime
    end: datetime

    @property
    def literals(self) -> tuple[str, str]:
        first, last = (moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") for moment in (self.start, self.end))
        return first, last


def dashboards() -> dict[str, dict[str, Any]]:
    """The committed JSON by file name."""
    found = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(DASHBOARDS.glob("*.json"))}
    for page in found.values():
        page["templating"].setdefault("list", [])
        page["annotations"].setdefault("list", [])
    return found


def of_postgres(part: Mapping[str, Any]) -> bool:
    """Whether a target, an annotation or a variable asks Postgres."""
    return (part.get("datasource") or {}).get("type") == POSTGRES


def targets(page: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Every panel with each of its targets."""
    for panel in page["panels"]:
        for target in panel.get("targets", []):
            yield panel, target


def interpolated(text: str, values: Mapping[str, str], *, quote: bool = True) -> str:
    """Values of single-valued variables, their single quotes doubled; built-in names stay."""

    def value(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if name not in values:
            return match[0]
        return values[name].replace("'", "''") if quote else values[name]

    return VARIABLE.sub(value, text)


def expanded(sql: str, values: Mapping[str, str], span: Range) -> str:
    """What Postgres gets. Raises ValueError for a macro that Grafana does not know."""
    first, last = span.literals

    def macro(match: re.Match[str]) -> str:
        if match[1] == "__timeFrom":
            return f"'{first}'"
        if match[1] == "__timeTo":
            return f"'{last}'"
        if match[1] == "__timeFilter":
            return f"{match[2]} BETWEEN '{first}' AND '{last}'"
        raise ValueError(f"unknown macro {match[0]}")

    return MACRO.sub(macro, interpolated(sql, values))


def asked_of_prometheus(expr: str) -> str:
    """PromQL with some values in place of its variables."""
    values = {
        "monitor": "m",
        "version": "v",
        "window": "30m",
        "__range": "6h",
        "__rate_interval": "1m",
        "__interval": "15s",
    }
    return interpolated(expr, values, quote=False)
