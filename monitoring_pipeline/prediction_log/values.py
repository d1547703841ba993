"""Values: what a caller may send for one feature, and what it counts as. Nothing here raises."""

from __future__ import annotations

import math
import re
import reprlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import UTC, date, datetime, timedelta
from enum import Enum
from typing import Any

from monitoring_pipeline.prediction_log.rows import MISSING, MISSING_CODE, UNSEEN_CODE
from monitoring_pipeline.profiles.layout import ColumnLayout

MAX_TEXT = 256
ABSENT: Any = object()
Reason = str | None
_WHOLE = 1e15  # from here on a float is written as one
_NULL_TYPES = frozenset({"NAType", "NaTType", "NoneType"})
_repr = reprlib.Repr()
_repr.maxother = _repr.maxstring = _repr.maxlong = MAX_TEXT


def truncated(value: object) -> str:
    """At most ``MAX_TEXT`` characters that any sink accepts: no lone surrogates, no NUL. Nested values are abridged."""
    try:
        text = value if isinstance(value, str) else _repr.repr(value)
    except Exception as error:  # noqa: BLE001 — a value's own __repr__ may raise anything; the text says so
        text = f"<{type(value).__name__}: {type(error).__name__} in repr>"
    return text[:MAX_TEXT].encode("utf-8", "replace").decode().replace("\0", "\ufffd")


def as_number(value: Any) -> tuple[float, Reason]:
    """The number, or missing and why: ``absent``, ``type`` (texts are not parsed), ``range``. NaN and ±inf pass."""
    if value is ABSENT:
        return MISSING, "absent"
    if type(value).__name__ in _NULL_TYPES:
        return MISSING, None
    if isinstance(value, str | bytes | bytearray):
        return MISSING, "type"
    try:
        return float(value), None
    except OverflowError:
        return MISSING, "range"
    except Exception:  # noqa: BLE001 — any object may stand here; it is counted by the caller as of a wrong type
        return MISSING, "type"


def as_category(value: Any) -> tuple[str | None, Reason]:
    """A category's text as ingestion has it (whole numbers without ``.0``, ``true``/``false``), None when missing; why
    if wrong."""
    if value is ABSENT:
        return None, "absent"
    if isinstance(value, Enum):  # before texts: str() of a member that is a text is its name
        value = value.value
    if isinstance(value, str):
        return str.__str__(value), None
    if hasattr(value, "item") and hasattr(value, "dtype"):
        value = _item(value)
    name = type(value).__name__
    if name in _NULL_TYPES:
        return None, None
    if isinstance(value, bool):
        return ("true" if value else "false"), None
    if isinstance(value, int):
        return (str(value), None) if value.bit_length() < 1024 else (None, "range")
    if isinstance(value, float):
        if math.isnan(value):
            return None, None
        return (str(int(value)) if value.is_integer() and abs(value) < _WHOLE else repr(value)), None
    if name == "Decimal" and value.is_finite() and value == value.to_integral_value() and abs(value) < _WHOLE:
        return str(int(value)), None
    if name in ("Decimal", "UUID", "date", "datetime", "str_"):
        return str(value), None
    return None, "type"


def _item(value: Any) -> Any:
    try:
        return value.item()
    except (ValueError, TypeError, AttributeError):
        return value


_INTEGER = re.compile(r"-?[1-9][0-9]{0,17}")
_BOOLEANS = {"true": (True, "1"), "false": (False, "0")}


def category_codes(layout: ColumnLayout) -> dict[Any, int]:
    """Code by value as callers send it. Integers stand beside their text, but 0 and 1, which equal booleans.

    Where the categories are false and true, 0 and 1 mean them too, as they do to ingestion.
    """
    codes: dict[Any, int] = {None: MISSING_CODE}
    for code, text in enumerate(layout.categories):
        codes[text] = code
        if text != "1" and _INTEGER.fullmatch(text):
            codes[int(text)] = code
    if not codes.keys() - {None, *_BOOLEANS}:
        for text, others in _BOOLEANS.items():
            if text in codes:
                codes |= dict.fromkeys(others, codes[text])
    return codes


def as_code(value: Any, codes: Mapping[Any, int]) -> tuple[int, str | None, Reason]:
    """(code, the text if it is none of the reference's categories, what was wrong)."""
    text, reason = as_category(value)
    if text is None:
        return MISSING_CODE, None, reason
    code = codes.get(text)
    return (UNSEEN_CODE, truncated(text), None) if code is None else (code, None, None)


def as_mapping(row: Any) -> Mapping[str, Any] | None:
    """A row as a mapping: dict, pydantic model, dataclass, record or plain object; None when it is none of these."""
    if isinstance(row, Mapping):
        return row
    names = _field_names(row)
    if names is not None:
        return {name: getattr(row, name) for name in names}
    names = getattr(getattr(row, "dtype", None), "names", None)
    if names is not None:  # one of a structured array
        return dict(zip(names, row.tolist(), strict=True))
    if hasattr(row, "keys") and hasattr(row, "__getitem__") and not hasattr(row, "columns"):
        return {name: row[name] for name in row.keys()}  # noqa: SIM118 — no mapping: a database driver's row, a Series
    dump: Callable[[], Any] | None = getattr(row, "model_dump", None) or getattr(row, "_asdict", None)
    if dump is not None:
        return dict(dump())
    found = getattr(row, "__dict__", None)
    return found if isinstance(found, dict) and not hasattr(row, "__array__") else None


def _field_names(row: Any) -> Sequence[str] | None:
    """Of a dataclass or a struct, which may keep its fields in slots."""
    if is_dataclass(row):
        return [field.name for field in fields(row)]
    return getattr(type(row), "__struct_fields__", None)


EPOCH, MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
LATEST = (datetime(9999, 1, 1, tzinfo=UTC) - EPOCH) // MICROSECOND


def as_microseconds(moment: Any) -> int | None:
    """Since 1970 in UTC, from a datetime (Python's, pandas', NumPy's; naive: UTC), a date (its midnight in UTC),
    seconds since 1970 or ISO 8601.

    None when it is no moment.
    """
    try:
        if isinstance(moment, str):
            moment = datetime.fromisoformat(moment)
        elif isinstance(moment, date) and not isinstance(moment, datetime):
            moment = datetime(moment.year, moment.month, moment.day, tzinfo=UTC)
        if isinstance(moment, datetime):
            microseconds = ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - EPOCH) // MICROSECOND
        elif getattr(getattr(moment, "dtype", None), "kind", None) == "M":
            microseconds = int(moment.astype("datetime64[us]").astype("int64"))
        else:
            microseconds = round(float(moment) * 1e6)
    except (ValueError, TypeError, OverflowError):
        return None
    return microseconds if 0 <= microseconds < LATEST else None


def is_null(value: Any) -> bool:
    """None, NaN, pandas' NA and NaT."""
    return type(value).__name__ in _NULL_TYPES or (isinstance(value, float) and value != value)


def as_id(value: Any) -> str:
    """A prediction id as one line of text, 7 for 7.0; a long one keeps its beginning and gains a digest of it all."""
    text = as_category(value)[0]
    if text is None:
        text = truncated(value)
    if len(text) > MAX_TEXT or not text.isprintable():
        import hashlib

        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
        text = "".join(c if c.isprintable() else "\ufffd" for c in text[:128]) + "-" + digest
    return text
