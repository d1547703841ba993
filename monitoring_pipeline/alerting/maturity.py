"""When a window's labels are complete enough to trust what is measured from them."""

from __future__ import annotations

from datetime import UTC, datetime

from monitoring_pipeline.monitors.declaration import Labels
from monitoring_pipeline.windows import Window


def is_mature(labels: Labels, window: Window, coverage: float | None, now: datetime | None = None) -> bool:
    """Whether a window is labelled as far as declared, or older than the maximum label delay.

    ``coverage``: labelled share in [0, 1], None when unknown. ``now`` is in UTC; the clock when None.
    """
    if coverage is not None and coverage >= labels.coverage:
        return True
    return (now or datetime.now(UTC)) - window.end >= labels.max_delay
