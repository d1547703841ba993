"""Durations as a declaration writes them: a number and a unit, such as ``7d``, ``6h`` or ``1d 12h``."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator

_UNITS = {"w": "weeks", "d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
LONGEST = timedelta(days=36_525)
"""Of a declared duration: times plus or minus it stay dates that Python and Postgres can write."""
_TOO_LONG = "a duration is at most 36525d (100 years)"
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?\s*[wdhms]\s*)+")


def _duration(value: Any) -> Any:
    """``7d``, ``6h``, ``1d 12h`` to a timedelta; ISO 8601 (``P7D``) is left to pydantic; a bare number is refused."""
    if isinstance(value, timedelta):
        return value
    text = str(value).strip()
    if _DURATION.fullmatch(text):
        parts = re.findall(r"(\d+(?:\.\d+)?)\s*([wdhms])", text)
        try:
            return sum((timedelta(**{_UNITS[unit]: float(number)}) for number, unit in parts), timedelta())
        except OverflowError:
            raise ValueError(_TOO_LONG) from None
    if isinstance(value, str) and text.startswith("P"):
        return text
    raise ValueError(f"{text!r} is not a duration; write a number and a unit (w, d, h, m, s), such as 7d, 6h or 1d 12h")


def as_text(value: timedelta) -> str:
    """A duration as it may be declared: ``1d 12h``."""
    seconds = int(value.total_seconds())
    parts = []
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        number, seconds = divmod(seconds, size)
        parts += [f"{number}{unit}"] if number else []
    return " ".join(parts) or "0s"


def _not_negative(value: timedelta) -> timedelta:
    if value < timedelta(0):
        raise ValueError("a duration cannot be negative")
    if value > LONGEST:
        raise ValueError(_TOO_LONG)
    return value


Duration = Annotated[timedelta, BeforeValidator(_duration), AfterValidator(_not_negative)]
