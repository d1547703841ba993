"""Windows: half-open UTC intervals [start, end) of event time. The smallest is the partition, an hour or a day."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal

WindowSize = Literal["hour", "day"]
WINDOWS_A_DAY = {"hour": 24, "day": 1}
LENGTH = {"hour": timedelta(hours=1), "day": timedelta(days=1)}
KEY_FORMAT = {"hour": "%Y-%m-%d-%H:%M", "day": "%Y-%m-%d"}


@dataclass(frozen=True, order=True)
class Window:
    """[start, end), both aware and in UTC."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if self.start.tzinfo is None or self.end.tzinfo is None:
            raise ValueError("a window's bounds carry a time zone")
        if self.end <= self.start:
            raise ValueError(f"a window ends after it starts: {self.start} .. {self.end}")

    @classmethod
    def at(cls, moment: datetime, size: WindowSize) -> Window:
        """The window of this size that holds ``moment`` (aware; any zone)."""
        utc = moment.astimezone(UTC)
        start = utc.replace(minute=0, second=0, microsecond=0)
        if size == "day":
            start = start.replace(hour=0)
        return cls(start, start + LENGTH[size])

    @classmethod
    def from_key(cls, key: str, size: WindowSize) -> Window:
        """From a Dagster partition key: ``2013-04-01`` or ``2013-04-01-07:00``."""
        return cls.at(datetime.strptime(key, KEY_FORMAT[size]).replace(tzinfo=UTC), size)

    def key(self, size: WindowSize) -> str:
        """Its Dagster partition key, such as ``2013-04-01`` or ``2013-04-01-07:00``."""
        return self.start.strftime(KEY_FORMAT[size])

    def __str__(self) -> str:
        return f"{self.start:%Y-%m-%dT%H:%MZ}/{self.end:%Y-%m-%dT%H:%MZ}"


def starts_of(windows: Iterable[Window]) -> list[datetime]:
    """When each of these windows starts, in their order."""
    return [window.start for window in windows]


def runs_of(windows: Iterable[Window]) -> list[tuple[Window, Window]]:
    """Gaps and islands: consecutive windows as (first, last) pairs, in order."""
    islands: list[tuple[Window, Window]] = []
    for window in sorted(set(windows)):
        if islands and islands[-1][1].end == window.start:
            islands[-1] = (islands[-1][0], window)
        else:
            islands.append((window, window))
    return islands


def partition_range(
    start: date, end: date | None, size: WindowSize, now: datetime | None = None
) -> tuple[Window, Window]:
    """First and last window of a monitor that runs from ``start`` up to ``end`` (exclusive), or up to ``now`` without
    one.

    The last is whole: a window that has not ended by ``now`` is none yet. Raises ValueError when no window has ended.
    """
    moment = now or datetime.now(UTC)
    first = Window.at(datetime.combine(start, time(), UTC), size)
    stop = min(moment, datetime.combine(end, time(), UTC)) if end is not None else moment
    last = Window.at(Window.at(stop, size).start - timedelta(microseconds=1), size)
    if last.start < first.start:
        raise ValueError(f"no window since {start} has ended")
    return first, last
