"""Values: what a caller may send for one feature, and what it counts as. Nothing here raises."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from monitoring_pipeline.profiles.layout import ColumnLayout
from monitoring_pipeline.serving.rows import MISSING, MISSING_CODE, UNSEEN_CODE

MAX_TEXT = 256
ABSENT: Any = object()
Reason = str | None
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
    """Canonical text of a category (integers without ``.0``, ``true``/``false``), None when missing; why if wrong."""
    if value is ABSENT:
        return None, "absent"
    if isinstance(value, str):
        return str(value), None
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
        return (str(int(value)) if value.is_integer() else repr(value)), None
    if name in ("Decimal", "UUID", "date", "datetime", "str_", "Enum"):
        return str(value), None
    return None, "type"


def _item(value: Any) -> Any:
    try:
        return value.item()
    except (ValueError, TypeError, AttributeError):
        return value


def category_codes(layout: ColumnLayout) -> dict[Any, int]:
    """Code by value as callers send it. Integers stand beside their text, but 0 and 1, which equal booleans."""
    codes: dict[Any, int] = {None: MISSING_CODE}
    for code, text in enumerate(layout.categories):
        codes[text] = code
        if text.lstrip("-").isdecimal() and text == str(int(text)) and text not in ("0", "1"):
            codes[int(text)] = code
    for value, text in ((True, "true"), (False, "false")):
        if text in codes and "0" not in codes and "1" not in codes:
            codes[value] = codes[text]
    return codes


def as_code(value: Any, codes: Mapping[Any, int]) -> tuple[int, str | None, Reason]:
    """(code, the text if it is none of the reference's categories, what was wrong)."""
    text, reason = as_category(value)
    if text is None:
        return MISSING_CODE, None, reason
    code = codes.get(text)
    return (UNSEEN_CODE, truncated(text), None) if code is None else (code, None, None)


def as_mapping(row: Any) -> Mapping[str, Any] | None:
    """A row as a mapping: dict, pydantic model, dataclass or plain object; None when it is nothing of the kind."""
    if isinstance(row, Mapping):
        return row
    dump: Callable[[], Any] | None = getattr(row, "model_dump", None) or getattr(row, "_asdict", None)
    if dump is not None:
        return dict(dump())
    if hasattr(row, "to_dict") and hasattr(row, "index") and not hasattr(row, "columns"):
        return dict(row.to_dict())  # pandas Series
    found = getattr(row, "__dict__", None)
    return found if isinstance(found, dict) and not hasattr(row, "__array__") else None


EARLIEST = int(datetime(1970, 1, 1, tzinfo=UTC).timestamp() * 1e6)
LATEST = int(datetime(9999, 1, 1, tzinfo=UTC).timestamp() * 1e6)


def as_microseconds(moment: Any) -> int | None:
    """Since 1970 in UTC, from a datetime (naive: UTC), seconds since 1970 or ISO 8601; None when it is no moment."""
    try:
        if isinstance(moment, str):
            moment = datetime.fromisoformat(moment)
        if isinstance(moment, datetime):
            moment = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        microseconds = int(float(moment) * 1e6)
    except (ValueError, TypeError, OverflowError):
        return None
    return microseconds if EARLIEST <= microseconds < LATEST else None


def as_id(value: Any) -> str:
    """A prediction id as one line of text; a long one keeps its beginning and gains a digest of the whole."""
    text = value if isinstance(value, str) else truncated(value)
    if len(text) > MAX_TEXT or not text.isprintable():
        import hashlib

        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
        text = "".join(c if c.isprintable() else "\ufffd" for c in text[:128]) + "-" + digest
    return text
