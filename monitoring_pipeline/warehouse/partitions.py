"""Monthly partitions of the big tables: created before a window is written, and ahead of time."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Engine, text

from monitoring_pipeline.windows import Window

PARTITIONED = ("profile", "measurement", "verdict")
ENSURE = text("select monitoring.ensure_months(:parent, cast(:starts as timestamptz[]))")

_known: WeakKeyDictionary[Engine, set[tuple[int, int]]] = WeakKeyDictionary()


def ensure_months(conn: Connection, windows: Iterable[Window]) -> None:
    """Creates the partitions these windows lie in, where they are missing; free for months known to be there."""
    known = _known.setdefault(conn.engine, set())
    wanted: dict[tuple[int, int], datetime] = {}
    for window in windows:
        utc = window.start.astimezone(UTC)
        if (utc.year, utc.month) not in known:
            wanted.setdefault((utc.year, utc.month), utc)
    if not wanted:
        return
    made = sum(
        conn.execute(ENSURE, {"parent": table, "starts": list(wanted.values())}).scalar_one() for table in PARTITIONED
    )
    if not made:  # what this transaction made may still be rolled back
        known.update(wanted)
