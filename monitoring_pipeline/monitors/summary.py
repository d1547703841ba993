"""What a source holds, as plain values: ``lake`` finds it out, ``drafting`` and validation reason about it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal

DECIMAL_COMMA = re.compile(r"\s*[+-]?\d+,\d+\s*")  # a number as a spreadsheet in Berlin writes it

Extreme = str | int | float | Decimal | bool | date | datetime | None


@dataclass(frozen=True)
class Repeats:
    """Share of a column's values that occur again, of all rows: anywhere in the source, and within one file."""

    anywhere: float
    in_a_file: float


@dataclass(frozen=True)
class Whole:
    """All rows of a source. ``days``: (UTC day of the event time, rows, first time, last time), in order, without
    times in the future (``n_future``) and without unreadable ones (``n_untimed``)."""

    n_rows: int
    days: tuple[tuple[date, int, datetime, datetime], ...] = ()
    n_hours: int = 0  # different hours with rows, of these days
    n_future: int = 0
    n_untimed: int = 0
    n_unread_files: int = 0


@dataclass(frozen=True)
class LabelDelays:
    """Outcome known minus prediction made, of ``n`` labelled predictions; ``n_early`` labels precede theirs."""

    n: int
    n_early: int
    longest: timedelta
    quantile_99: timedelta


@dataclass(frozen=True)
class ColumnSummary:
    """One column of a sample. ``n_distinct`` counts values that are not null and may be approximate (2 %)."""

    name: str
    kind: str  # DuckDB's type: BIGINT, DOUBLE, VARCHAR, BOOLEAN, TIMESTAMP, TIMESTAMP WITH TIME ZONE …
    n_distinct: int
    n_null: int
    minimum: Extreme = None
    maximum: Extreme = None
    samples: tuple[str, ...] = ()  # up to 20 distinct values as text, the most frequent first
    classes: tuple[str, ...] = ()  # up to 100 class labels as outcomes are compared, the most frequent first
    is_code: bool = False  # digits that are a name: stored as text where numbers could be, or with leading zeros
    repeats: Repeats | None = None  # None: not counted over the whole source
    alternation: float | None = None  # see ``lake.census.Census``; None: not asked


@dataclass(frozen=True)
class SourceSummary:
    """A source as it is to be written in a declaration (``path``, or ``url`` and ``table``) and what was met in it.

    ``n_rows`` counts the rows of the sample that the columns describe, ``whole`` all of them.
    """

    n_rows: int
    columns: tuple[ColumnSummary, ...]
    path: str | tuple[str, ...] | None = None
    url: str | None = None
    table: str | None = None
    conflicts: tuple[str, ...] = ()  # columns whose files disagree on the type so that values would be lost
    whole: Whole | None = None
    told: Mapping[str, str] = field(default_factory=dict)  # by role: the column that the user names for it

    def told_column(self, role: str) -> ColumnSummary | None:
        """The column that the user names for a role, or None."""
        return self.column(self.told[role]) if role in self.told else None

    def column(self, name: str) -> ColumnSummary | None:
        """The column of this name, or None."""
        return next((column for column in self.columns if column.name == name), None)
