"""Event times as UTC: SQL expressions for every shape a time arrives in.

Naive times are wall-clock times of the declared zone, read as Python reads them with ``fold=0``: an ambiguous time of
the autumn night is its first occurrence, a time that the spring night skips is read with the offset before the gap. The
offsets come from ``zoneinfo``, so that the answer does not depend on what DuckDB's own zone database holds.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from monitoring_pipeline.errors import DeclarationError

FUTURE_TOLERANCE = timedelta(minutes=5)
_NAIVE = {"TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "DATE"}
_NANOSECONDS = "TIMESTAMPTZ_NS"  # pandas before 3 wrote these; DuckDB has few functions for them
_AWARE = {"TIMESTAMP WITH TIME ZONE", _NANOSECONDS}
_INTEGERS = {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "HUGEINT"}
# An offset is only looked for behind a time of day: the day of '2024-03-31' is no offset.
OFFSET = r":[0-9]{2}.*([zZ]|UTC|GMT|[+-][0-9]{2}(:?[0-9]{2})?)\s*$"


def utc_sql(column: str, kind: str, timezone: str) -> str:
    """SQL of type TIMESTAMP (UTC, or null where unreadable) for the quoted ``column`` of DuckDB type ``kind``."""
    if kind in _AWARE:
        moment = f"CAST({column} AS TIMESTAMPTZ)"
        return _on_the_calendar(moment, f"make_timestamp(epoch_us({moment}))", "TIMESTAMPTZ")
    if kind == "TIMESTAMP_NS":
        return f"CASE WHEN isfinite({column}) THEN {_local_to_utc(f'CAST({column} AS TIMESTAMP)', timezone)} END"
    if kind in _NAIVE:
        return _on_the_calendar(column, _local_to_utc(f"CAST({column} AS TIMESTAMP)", timezone), kind)
    if kind in _INTEGERS or kind in ("DOUBLE", "FLOAT") or kind.startswith("DECIMAL"):
        return _epoch_to_utc(f"CAST({column} AS DOUBLE)" if kind not in _INTEGERS else column)
    if kind == "VARCHAR":
        number = f"TRY_CAST({column} AS DOUBLE)"
        moment = f"TRY_CAST({column} AS TIMESTAMPTZ)"
        aware = _on_the_calendar(moment, f"make_timestamp(epoch_us({moment}))", "TIMESTAMPTZ")
        local = f"TRY_CAST({column} AS TIMESTAMP)"
        naive = _on_the_calendar(local, _local_to_utc(local, timezone), "TIMESTAMP")
        is_aware = f"regexp_matches({column}, '{OFFSET}')"
        return (
            f"CASE WHEN {is_aware} THEN {aware} WHEN {number} IS NOT NULL THEN {_epoch_to_utc(number)} ELSE {naive} END"
        )
    return "CAST(NULL AS TIMESTAMP)"


def is_time(kind: str) -> bool:
    """Whether a DuckDB type is a moment or a day."""
    return kind in _AWARE or kind in _NAIVE


def on_the_calendar(column: str, kind: str) -> str:
    """Condition: a time of DuckDB type ``kind`` lies between the years 1 and 9999, as Python's times do."""
    if kind == _NANOSECONDS:
        column, kind = f"CAST({column} AS TIMESTAMPTZ)", "TIMESTAMPTZ"
    if kind == "TIMESTAMP_NS":
        return f"isfinite({column})"
    return f"{column} >= CAST('0001-01-03' AS {kind}) AND {column} < CAST('9999-12-30' AS {kind})"


def coarse_filter(column: str, kind: str, start: datetime, end: datetime) -> str | None:
    """A condition on the bare column that no row of [start, end) fails, so that row groups can be skipped; or None."""
    margin = timedelta(hours=0 if kind in _AWARE else 26)
    if kind in _AWARE or kind in _NAIVE:
        low, high = (timestamp(t) for t in (start - margin, end + margin))
        kind_of_bound = kind if kind in _AWARE else "TIMESTAMP"
        return f"{column} >= CAST('{low}' AS {kind_of_bound}) AND {column} < CAST('{high}' AS {kind_of_bound})"
    return None


def timestamp(moment: datetime) -> str:
    """An aware moment as DuckDB's text of a UTC timestamp."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")


def aware(moment: datetime) -> datetime:
    """What DuckDB hands back for a UTC TIMESTAMP, with its zone."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _on_the_calendar(raw: str, utc: str, kind: str) -> str:
    """``utc``, or null where ``raw`` lies before year 1, after 9999 or at infinity: Python has no such times."""
    return f"CASE WHEN {on_the_calendar(raw, kind)} THEN {utc} END"


def _epoch_to_utc(number: str) -> str:
    """Seconds, milli-, micro- or nanoseconds since 1970, told apart by magnitude (good from 1973 to 5138).

    Smaller numbers are something else: 20240331 is a day, not a second in 1970. They cannot be read, nor can those
    before year 1 or beyond 64 bits of nanoseconds.
    """
    size = f"abs(CAST({number} AS DOUBLE))"  # the least BIGINT has no absolute value
    micros = (
        f"CASE WHEN {size} < 1e8 THEN NULL"
        f" WHEN {size} < 1e11 THEN CASE WHEN {number} > -62e9 THEN {number} * 1e6 END"
        f" WHEN {size} < 1e14 THEN CASE WHEN {number} > -62e12 THEN {number} * 1e3 END"
        f" WHEN {size} < 1e17 THEN CASE WHEN {number} > -62e15 THEN {number} END"
        f" WHEN {size} < 1e19 THEN {number} / 1e3 END"
    )
    return f"make_timestamp(TRY_CAST({micros} AS BIGINT))"


def _local_to_utc(naive: str, timezone: str) -> str:
    """``naive - offset``; the offset by a balanced CASE tree over the zone's changes."""
    first, changes = _changes(timezone)
    if not changes:
        return naive if first == 0 else f"({naive} - to_seconds({first}))"
    return f"({naive} - to_seconds({_tree(naive, first, changes)}))"


def _tree(naive: str, before: int, changes: tuple[tuple[str, int], ...]) -> str:
    if not changes:
        return str(before)
    middle = len(changes) // 2
    moment, offset = changes[middle]
    left = _tree(naive, before, changes[:middle])
    right = _tree(naive, offset, changes[middle + 1 :])
    return f"CASE WHEN {naive} < TIMESTAMP '{moment}' THEN {left} ELSE {right} END"


@lru_cache(maxsize=64)
def _changes(timezone: str) -> tuple[int, tuple[tuple[str, int], ...]]:
    """Offset in seconds at first, then (local time from which, offset); before 2000 and after 2050 as at the edge."""
    try:
        zone = ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise DeclarationError(
            f"schema.timezone: {timezone!r} is no time zone; write an IANA name such as Europe/Berlin"
        ) from error
    step, at, end = timedelta(days=7), datetime(2000, 1, 1, tzinfo=UTC), datetime(2050, 1, 1, tzinfo=UTC)
    first = before = _offset(zone, at)
    changes: list[tuple[str, int]] = []
    while at < end:
        after = _offset(zone, at + step)
        if after != before:
            instant = _first_instant(zone, at, at + step, before)
            # fold=0: a skipped time keeps the offset before the gap, a repeated one is its first occurrence.
            local = instant + timedelta(seconds=max(before, after))
            changes.append((timestamp(local), after))
            before = after
        at += step
    return first, tuple(changes)


def _first_instant(zone: ZoneInfo, low: datetime, high: datetime, before: int) -> datetime:
    while high - low > timedelta(seconds=1):
        middle = (low + (high - low) / 2).replace(microsecond=0)
        low, high = (middle, high) if _offset(zone, middle) == before else (low, middle)
    return high


def _offset(zone: ZoneInfo, at: datetime) -> int:
    offset = at.astimezone(zone).utcoffset()
    return 0 if offset is None else int(offset.total_seconds())
