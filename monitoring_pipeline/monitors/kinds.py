"""What kind of values a column holds, as a person would say it: an id, a time, a share, a class, a code."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal

from monitoring_pipeline.monitors.summary import DECIMAL_COMMA, ColumnSummary

INTEGERS = {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT"}
FLAGS = ({"true", "false"}, {"t", "f"}, {"yes", "no"}, {"y", "n"}, {"0", "1"})
MAX_CLASSES = 20
MOST_LABELS = 100  # class labels of a column that are looked at
UNIQUE_SHARE = 0.9  # of the ids in a log that are different: retries repeat some
# Last words of names of whole numbers that are names; the second list only behind another word (`flight_number`).
_CODES = {"id", "code", "codes", "class", "type", "category", "segment", "uuid", "guid", "sku", "key"}
_POSTAL = {"zip", "zipcode", "zip5", "postcode", "postal", "postalcode", "plz", "fips", "naics", "sic", "mcc"}
_NUMBERED = {
    "account", "card", "customer", "flight", "house", "invoice", "order", "part", "phone", "policy", "route", "serial",
    "store", "tail", "ticket", "train",
}  # fmt: skip


def words(name: str) -> tuple[str, ...]:
    """``PredictionTime``, ``prediction_time`` and ``prediction-time`` are (prediction, time)."""
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    return tuple(re.findall(r"[a-z0-9]+", parted.lower()))


def by_name(columns: Iterable[ColumnSummary], names: Sequence[str]) -> ColumnSummary | None:
    """The column whose name comes first in ``names``."""
    found = {" ".join(words(column.name)): column for column in columns}
    return next((found[name] for name in names if name in found), None)


def moment_of(value: object) -> datetime | None:
    """A minimum or maximum as an aware moment in UTC: from a time, ISO 8601 text or an epoch; None from all else."""
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        value = float(value)
        scale = next((s for s in (1, 1e3, 1e6, 1e9) if 3e8 <= value / s < 5e9), None)
        return None if scale is None else datetime.fromtimestamp(value / scale, UTC)
    try:
        return moment_of(datetime.fromisoformat(str(value).strip()))
    except (ValueError, OverflowError):
        return None


def is_text(column: ColumnSummary) -> bool:
    """Text, UUIDs and enumerations; not digits that happen to be stored as text."""
    return column.kind in ("VARCHAR", "UUID") or column.kind.startswith("ENUM")


def is_number(column: ColumnSummary) -> bool:
    """Whether every value is a number."""
    return column.kind in INTEGERS or column.kind in ("DOUBLE", "FLOAT", "REAL") or column.kind.startswith("DECIMAL")


def is_code(column: ColumnSummary) -> bool:
    """Whole numbers that name something, by how they are stored or by what the column is called."""
    if column.is_code:
        return True
    name = words(column.name)
    if column.kind not in INTEGERS or not name:
        return False
    numbered = len(name) > 1 and name[-1] in ("number", "no", "nr") and name[-2] in _NUMBERED
    return name[-1] in _CODES or bool(_POSTAL & set(name)) or numbered


def has_decimal_comma(column: ColumnSummary) -> bool:
    """Numbers such as 3,14, and whole ones among them."""
    commas = [sample for sample in column.samples if DECIMAL_COMMA.fullmatch(sample)]
    rest = [sample for sample in column.samples if sample not in commas]
    return bool(commas) and all(re.fullmatch(r"[+-]?\d+", sample) for sample in rest)


def is_unique(column: ColumnSummary, n_rows: int) -> bool:
    """Whether it tells rows apart, but for retries: by all rows where they were counted, else by the sample."""
    n_values = n_rows - column.n_null
    if n_values <= 0:
        return False
    sampled = column.n_distinct >= UNIQUE_SHARE * n_values
    return sampled and (column.repeats is None or 1 - column.repeats.anywhere >= UNIQUE_SHARE)


def numbers_rows(column: ColumnSummary, n_rows: int) -> bool:
    """0, 1, 2 … as an index that was written along."""
    low, high = column.minimum, column.maximum
    if n_rows <= 100 or column.kind not in INTEGERS or not isinstance(low, int) or not isinstance(high, int):
        return False
    return column.n_distinct == n_rows and high - low + 1 == n_rows


def is_whole(column: ColumnSummary) -> bool:
    """Integers, and those that a column with gaps made floating."""
    if column.kind in INTEGERS:
        return True
    return column.kind in ("DOUBLE", "FLOAT") and all(re.fullmatch(r"\d+(\.0)?", sample) for sample in column.samples)


def is_time(column: ColumnSummary) -> bool:
    """A time type, or text of which nearly all examples are times."""
    if column.kind.startswith("TIMESTAMP") or column.kind == "DATE":
        return True
    if column.kind != "VARCHAR" or not column.samples:
        return False
    times = [s for s in column.samples if len(s) >= 8 and "-" in s and moment_of(s) is not None]
    return len(times) >= 0.8 * len(column.samples)


def is_epoch(column: ColumnSummary) -> bool:
    """Numbers that are seconds, or a thousandth of one or less, since 1970; a stray 0 or -1 does not change that."""
    if not is_number(column) or column.minimum is None or column.maximum is None:
        return False
    if moment_of(column.minimum) is not None and moment_of(column.maximum) is not None:
        return True
    times = [s for s in column.samples if _epoch_of(s)]
    return bool(times) and len(times) >= 0.8 * len(column.samples)


def _epoch_of(sample: str) -> bool:
    try:
        return moment_of(float(sample)) is not None
    except (ValueError, OverflowError):
        return False


def is_share(column: ColumnSummary) -> bool:
    """Numbers in [0, 1] that are not all whole by their type."""
    low, high = column.minimum, column.maximum
    if not isinstance(low, int | float | Decimal) or not isinstance(high, int | float | Decimal):
        return False
    return is_number(column) and column.kind not in INTEGERS and low >= 0 and high <= 1


def classes_of(column: ColumnSummary) -> tuple[str, ...]:
    """Class labels as outcomes are compared, the most frequent first."""
    if column.classes:
        return column.classes
    plain = (re.sub(r"^([+-]?\d+)\.0+$", r"\1", sample.strip()) for sample in column.samples)
    said = (c.lower() if c in ("True", "False", "TRUE", "FALSE") else c for c in plain)
    return tuple(dict.fromkeys(c for c in said if c))


def n_classes(column: ColumnSummary) -> int:
    """How many there are, spellings that differ in case only counted once."""
    if not 0 < len(column.classes) < MOST_LABELS:
        return column.n_distinct
    return len({label.casefold() for label in column.classes})


def is_class(column: ColumnSummary) -> bool:
    """Text, flags, and numbers without fraction that are few."""
    if is_text(column) or column.kind == "BOOLEAN":
        return True
    whole = all(re.fullmatch(r"[+-]?\d+(\.0+)?", sample) for sample in column.samples)
    return whole and column.n_distinct <= MAX_CLASSES
