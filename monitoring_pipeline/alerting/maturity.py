"""When a window's labels are complete, as far as the clock and their number tell.

Whether labels that are still missing could change what is measured is the rule of ``performance.maturity``.
"""

from __future__ import annotations

from datetime import UTC, datetime

from monitoring_pipeline.monitors.declaration import Labels
from monitoring_pipeline.windows import Window


def is_mature(labels: Labels, window: Window, coverage: float | None, now: datetime | None = None) -> bool:
    """Whether every row of a window is labelled, or the window is older than the maximum label delay.

    ``coverage``: labelled share in [0, 1], None when unknown. ``now`` is in UTC; the clock when None.
    """
    if coverage is not None and coverage >= 1:
        return True
    return (now or datetime.now(UTC)) - window.end >= labels.max_delay
