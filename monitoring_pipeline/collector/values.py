"""Values: what may stand in a field of a record, and how it is written down.

Each reader takes a JSON value that is not null and returns what the landing file holds, or raises ``Refused`` with what
is wrong and what to write. What a service sent and a monitor should see (NaN, ±inf, a category nobody knows) is no
mistake; what would have to be guessed (a text where a number belongs, a time without a zone) is.
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from monitoring_pipeline.lake.times import FUTURE_TOLERANCE
from monitoring_pipeline.prediction_log.values import as_category

Reader = Callable[[Any], Any]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = datetime(9999, 1, 1, tzinfo=UTC)
_MILLISECONDS = 1e11  # as seconds that is the year 5138
_NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_KINDS = {dict: "an object", list: "a list", str: "text", bool: "a boolean", int: "a number", float: "a number"}
_repr = reprlib.Repr()
_repr.maxstring = _repr.maxother = _repr.maxlong = 60


class Refused(ValueError):
    """What is wrong with a value, and what to write instead."""


def shown(value: Any) -> str:
    """The value, abridged: errors go back to the client and into logs."""
    if isinstance(value, dict | list):
        return f"{_KINDS[type(value)]} of {len(value)}"
    return "true" if value is True else "false" if value is False else "null" if value is None else _repr.repr(value)


def number(value: Any) -> float:
    """Any JSON number; NaN and ±inf as the bare word or as text, since JSON has no number for them."""
    if isinstance(value, float) or (isinstance(value, int) and not isinstance(value, bool)):
        try:
            return float(value)
        except OverflowError:
            raise Refused("is too large for a 64-bit float") from None
    if isinstance(value, str) and value in _NOT_FINITE:
        return _NOT_FINITE[value]
    raise Refused(f'must be a number, null, or "NaN", "Infinity", "-Infinity"; not {shown(value)}')


def finite(value: Any) -> float:
    """A prediction of a regression."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Refused(f"must be a finite number, not {shown(value)}")
    found = number(value)
    if not math.isfinite(found):
        raise Refused(f"must be a finite number, not {found}")
    return found


def share(value: Any) -> float:
    """A score."""
    found = finite(value)
    if not 0 <= found <= 1:
        raise Refused(f"must lie in [0, 1], not {found:g}")
    return found


def flag(value: Any) -> bool:
    """Reads a boolean."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float) and value in (0, 1):
        return bool(value)
    raise Refused(f"must be true, false, 1, 0 or null, not {shown(value)}")


def text_of(longest: int) -> Reader:
    """A category or a class: text, or a number or boolean in its canonical text (1.0 is ``1``)."""

    def read(value: Any) -> str:
        if isinstance(value, dict | list):
            raise Refused(f"must be one value, not {shown(value)}; flatten nested values into features of their own")
        text, reason = as_category(value)
        if text is None or reason:
            raise Refused(f"must be text, a number or a boolean, not {shown(value)}")
        return _plain(text, longest)

    return read


def id_of(longest: int) -> Reader:
    """An id: text of printable characters, or an integer."""

    def read(value: Any) -> str:
        if isinstance(value, int) and not isinstance(value, bool):
            if value.bit_length() >= 256:
                raise Refused("is too large an integer for an id; write it as text")
            value = str(value)
        if not isinstance(value, str) or not value.strip():
            raise Refused(f"must be text that is not empty, or an integer, not {shown(value)}")
        if not value.isprintable():
            raise Refused("holds control or unprintable characters; use printable characters only")
        return _plain(value, longest)

    return read


def _plain(text: str, longest: int) -> str:
    if len(text) > longest:
        raise Refused(f"has {len(text)} characters; {longest} are the most")
    if "\0" in text:
        raise Refused("contains the character NUL, which Postgres cannot store; remove it")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Refused("holds half of a surrogate pair, which is no character; send valid UTF-8") from None
    return text


def moment_until(now: datetime) -> Reader:
    """Microseconds since 1970 UTC, from ISO 8601 with a zone or seconds since 1970; at most ``FUTURE_TOLERANCE`` after
    ``now``, as ingestion has it."""

    def read(value: Any) -> int:
        moment = _moment(value)
        if moment > now + FUTURE_TOLERANCE:
            ahead = timedelta(seconds=round((moment - now).total_seconds()))
            raise Refused(
                f"lies {ahead} ahead of the collector's clock ({now:%Y-%m-%dT%H:%M:%SZ}); "
                f"{FUTURE_TOLERANCE} is tolerated. Correct the sender's clock or time zone"
            )
        return (moment - _EPOCH) // timedelta(microseconds=1)

    return read


def _moment(value: Any) -> datetime:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise Refused(f"must be ISO 8601 with a zone or seconds since 1970, not {shown(value)}")
    if isinstance(value, str):
        return _from_text(value)
    if not math.isfinite(value) or value < 0:
        raise Refused(f"must be seconds since 1970-01-01 UTC, not {shown(value)}")
    if value >= _MILLISECONDS:
        raise Refused(f"{shown(value)} looks like milliseconds or finer; write seconds since 1970")
    return _EPOCH + timedelta(seconds=value)


def _from_text(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise Refused(f"{shown(text)} is not ISO 8601; write for example 2024-03-01T06:30:00Z") from None
    if found.tzinfo is None:
        raise Refused(f"{shown(text)} has no time zone; append Z or an offset such as +01:00")
    try:
        found = found.astimezone(UTC)
    except OverflowError:
        raise Refused(f"{shown(text)} is outside 1970 to 9998") from None
    if not _EPOCH <= found < _LATEST:
        raise Refused(f"{shown(text)} is outside 1970 to 9998")
    return found
