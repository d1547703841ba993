"""Metrics of whole windows: volume, freshness, duplicates, quarantine, label coverage."""

from __future__ import annotations

from statistics import median

from monitoring_pipeline.measurements import WHOLE_ROWS
from monitoring_pipeline.metrics.quality.facts import WindowFacts
from monitoring_pipeline.metrics.quality.rows import Rows, share

LEAST_PAST = 2  # windows needed before the usual volume means anything


def measure_window(rows: Rows, facts: WindowFacts) -> None:
    """Adds the metrics of column ``*``. Shares are of the rows received: kept, duplicate and quarantined together."""
    n, received = facts.n_rows, facts.n_received
    rows.add(WHOLE_ROWS, "rows", float(n), n)
    _volume(rows, facts)
    rows.add(WHOLE_ROWS, "freshness_seconds", facts.freshness_seconds, n)
    rows.add(WHOLE_ROWS, "duplicate_share", share(facts.n_duplicates, received), received)
    quarantined = share(facts.n_quarantined, received)
    rows.add(WHOLE_ROWS, "quarantined_share", quarantined, received, detail=_reasons(facts))
    if facts.coverage is not None:
        rows.add(WHOLE_ROWS, "label_coverage", float(facts.coverage), n)


def _volume(rows: Rows, facts: WindowFacts) -> None:
    """Rows over the median of the usual; undefined with fewer than ``LEAST_PAST`` earlier windows, or empty ones."""
    usual = median(facts.usual_rows) if len(facts.usual_rows) >= LEAST_PAST else 0
    ratio = facts.n_rows / usual if usual > 0 else None
    detail = f"{facts.n_rows} rows, usually {usual:g}" if usual > 0 else None
    rows.add(WHOLE_ROWS, "volume_ratio", ratio, facts.n_rows, detail=detail)


def _reasons(facts: WindowFacts) -> str | None:
    found = sorted(((n, reason) for reason, n in facts.quarantine.items() if n), key=lambda x: (-x[0], x[1]))
    return ", ".join(f"{reason}: {n}" for n, reason in found) or None
