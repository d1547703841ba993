"""What a source holds, as plain values: ``lake`` finds it out, ``drafting`` and validation reason about it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

DECIMAL_COMMA = re.compile(r"\s*[+-]?\d+,\d+\s*")  # a number as a spreadsheet in Berlin writes it

Extreme = str | int | float | Decimal | bool | date | datetime | None


@dataclass(frozen=True)
class ColumnSummary:
    """One column. ``n_distinct`` counts values that are not null and may be approximate (2 %) in a large source."""

    name: str
    kind: str  # DuckDB's type: BIGINT, DOUBLE, VARCHAR, BOOLEAN, TIMESTAMP, TIMESTAMP WITH TIME ZONE …
    n_distinct: int
    n_null: int
    minimum: Extreme = None
    maximum: Extreme = None
    samples: tuple[str, ...] = ()  # up to 20 distinct values as text, the most frequent first


@dataclass(frozen=True)
class SourceSummary:
    """A source as it is to be written in a declaration (``path``, or ``url`` and ``table``) and what was met in it."""

    n_rows: int
    columns: tuple[ColumnSummary, ...]
    path: str | tuple[str, ...] | None = None
    url: str | None = None
    table: str | None = None
    conflicts: tuple[str, ...] = ()  # columns whose files disagree on the type so that values would be lost

    def column(self, name: str) -> ColumnSummary | None:
        """The column of this name, or None."""
        return next((column for column in self.columns if column.name == name), None)
