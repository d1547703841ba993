"""Days of a training range that are kept out of the fit: they become the reference of the new version."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

EVERY = 5
"""Every fifth day; five and seven share no divisor, so all weekdays are in it alike. A reference of the newest days, or
of rows the model was fitted on, makes ordinary days look drifted or degraded."""
LEAST_DAYS = 5
"""Fewer days say too little of how days vary: then none is held out, and rows after training are the reference."""


def held_out_days(start: datetime, end: datetime) -> frozenset[date]:
    """UTC days within [start, end) whose rows must not be fitted on, searched on, or calibrated on.

    ``start``, ``end``: aware, the training range of event times. Whole days count, and they are counted from a fixed
    day: two ranges hold out the same days of what they share, so a continued model has never seen them either. Empty
    for a range that has fewer than ``LEAST_DAYS`` of them. Raises ValueError for a naive time.
    """
    if start.tzinfo is None or end.tzinfo is None:
        raise ValueError("held_out_days takes aware times")
    first, last = start.astimezone(UTC).date(), (end.astimezone(UTC) - timedelta(microseconds=1)).date()
    every = (first + timedelta(days=n) for n in range((last - first).days + 1))
    found = frozenset(day for day in every if day.toordinal() % EVERY == 0)
    return found if len(found) >= LEAST_DAYS else frozenset()
