"""Monthly partitions of the big tables: created before a window is written, and ahead of time."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Engine, text

from monitoring_pipeline.windows import Window

PARTITIONED = ("profile", "measurement", "verdict", "column_verdict")
ENSURE = text("select monitoring.ensure_months(:parent, cast(:starts as timestamptz[]))")

Month = tuple[str, int, int]  # table, year, month
_known: WeakKeyDictionary[Engine, set[Month]] = WeakKeyDictionary()


def ensure_months(conn: Connection, table: str, windows: Iterable[Window]) -> None:
    """Creates the partitions of ``table`` these windows lie in, where missing; free for months known to be there."""
    known = _known.setdefault(conn.engine, set())
    wanted: dict[Month, datetime] = {}
    for window in windows:
        utc = window.start.astimezone(UTC)
        month = (table, utc.year, utc.month)
        if month not in known:
            wanted.setdefault(month, utc)
    if not wanted:
        return
    made = conn.execute(ENSURE, {"parent": table, "starts": list(wanted.values())}).scalar_one()
    if not made:  # what this transaction made may still be rolled back
        known.update(wanted)


def forget_months(engine: Engine) -> None:
    """Months are looked up again: retention, in this process or another, may have dropped one since."""
    _known.pop(engine, None)
