"""Values of a feature that a person should look at: missing values written as numbers, one name written in two ways."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from monitoring_pipeline.monitors.summary import ColumnSummary

# What programs write for "not known": codes of nines, the smallest of short integers, absolute zero in Celsius.
NOT_KNOWN = frozenset({-99, -999, -9999, -99999, -999999, 9999, 99999, 999999, -32768, 32767, -273.15})


def not_known_as_number(column: ColumnSummary) -> str:
    """What to say of a numerical column whose least or greatest value is a code that is frequent; else empty.

    Of many different values the frequent ones are sampled: a code that is not among them is a value like others.
    """
    frequent = {number for sample in column.samples if (number := _number(sample)) is not None}
    ends = [_number(end) for end in (column.minimum, column.maximum)]
    codes = [end for end in ends if end in NOT_KNOWN and end in frequent]
    if not codes:
        return ""
    said = " and ".join(f"{code:g}" for code in codes)
    return f"{said} may stand for a missing value; write none in its place, or it counts as a number"


def written_in_two_ways(samples: Sequence[str]) -> str:
    """What to say of categories that differ in case or blanks only; else empty."""
    met: dict[str, str] = {}
    for sample in samples:
        first = met.setdefault(" ".join(sample.casefold().split()), sample)
        if first != sample:
            return f"{first!r} and {sample!r} are two categories; write them alike if they are one"
    return ""


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None
